import {spawn, spawnSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {access, constants} from 'node:fs/promises'
import {delimiter, join} from 'node:path'

import {OsSshError} from '../errors.ts'

export interface Finished {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Status of a program that was ended because it took too long, as timeout(1) gives it. */
export const LATE = 124

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** ms; the program is killed then and the status is LATE. Default 10,000. */
  readonly timeout?: number
}

/** Runs a program without a shell and collects what it says. @throws OsSshError LOCAL_TOOL when it is not installed */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env ?? process.env,
      stdio: 'pipe',
      ...(options.cwd && {cwd: options.cwd}),
    })
    let [stdout, stderr, late] = ['', '', false]
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
      // A grandchild may still hold the pipes: do not wait for it.
      child.stdout.destroy()
      child.stderr.destroy()
    }, options.timeout ?? 10_000)
    child.stdout.setEncoding('utf8').on('data', text => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', text => (stderr += text))
    child.stdin.on('error', () => {}) // it may end without reading
    child.stdin.end(options.input ?? '')
    child.on('error', error => {
      clearTimeout(timer)
      reject(missing(program, error))
    })
    child.on('close', code => {
      clearTimeout(timer)
      resolve({status: late ? LATE : (code ?? 1), stdout, stderr})
    })
  })
}

/**
 * Turns this process into another program, so that no Node stays between the user and ssh; exit status, signals and
 * terminal are then the program's own. Where that cannot be (Windows) it is started as a child and its status kept.
 */
export async function replaceProcess(
  program: string,
  args: readonly string[],
  env = process.env,
): Promise<never> {
  const file = await find(program, env)
  if (process.execve && process.platform !== 'win32') process.execve(file, [program, ...args], {...env})
  const child = spawn(file, args, {env, stdio: 'inherit'})
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => resolve(code ?? (signal ? 255 : 1)))
  })
  process.exit(status)
}

/** Absolute path of a program on the PATH. @throws OsSshError LOCAL_TOOL */
async function find(program: string, env: NodeJS.ProcessEnv): Promise<string> {
  const names = process.platform === 'win32' ? [`${program}.exe`] : [program]
  const places = `${env['PATH'] ?? ''}${delimiter}/usr/bin${delimiter}/bin`.split(delimiter)
  for (const file of places.flatMap(place => names.map(name => join(place, name)))) {
    const there = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (there) return file
  }
  throw missing(program)
}

function missing(program: string, cause?: unknown): OsSshError {
  return new OsSshError('LOCAL_TOOL', `${program} is not installed, or cannot be started`, {cause})
}

/** Whether there is a process of this id, whoever's it is. */
export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * When a process began, as a word that no other process of the same id has, also after a reboot; undefined when there is none,
 * or the system does not tell.
 */
export function startTime(pid: number): string | undefined {
  if (process.platform === 'win32') return undefined
  if (process.platform !== 'linux') {
    // In one language and zone, whoever asks.
    const env = {...process.env, LC_ALL: 'C', TZ: 'UTC'}
    const {stdout} = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], {encoding: 'utf8', env})
    return stdout?.trim().replace(/\W+/g, '-') || undefined
  }
  try {
    // Clock ticks since the boot, and which boot that was.
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
    return `${boot}-${processStatus(pid)[STARTTIME - FIRST]}`
  } catch {
    return undefined
  }
}

/** Fields of /proc/PID/stat by their numbers in proc_pid_stat(5), after the name in parentheses, which may hold anything. */
const [FIRST, PGRP, TPGID, STARTTIME] = [3, 5, 8, 22]

/** Fields of /proc/PID/stat from `state` on. @throws Error when there is no such process */
export const processStatus = (pid: number | 'self') =>
  readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')

/** Whether this process belongs to the foreground job of its terminal (tcgetpgrp(3)); false without one. */
export function inForeground(): boolean {
  if (process.platform === 'win32') return false
  const [group, foreground] = jobs().map(Number)
  return group !== undefined && group > 0 && group === foreground
}

/** This process's group, and the group that its terminal listens to; -1 or 0 where there is no terminal. */
function jobs(): (string | undefined)[] {
  if (process.platform === 'linux') {
    const fields = processStatus('self')
    return [fields[PGRP - FIRST], fields[TPGID - FIRST]]
  }
  const {stdout} = spawnSync('ps', ['-o', 'pgid=,tpgid=', '-p', String(process.pid)], {encoding: 'utf8'})
  return (stdout ?? '').trim().split(/\s+/)
}
