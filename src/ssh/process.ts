import {spawn} from 'node:child_process'
import {access, constants} from 'node:fs/promises'
import {delimiter, join} from 'node:path'

import {OsSshError} from '../errors.ts'

export interface Finished {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** ms; the program is killed then and the status is 124. Default 10,000. */
  readonly timeout?: number
}

/** Runs a program without a shell and collects what it says. @throws OsSshError LOCAL_TOOL when it is not installed */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {env: options.env ?? process.env, stdio: 'pipe'})
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
      resolve({status: late ? 124 : (code ?? 1), stdout, stderr})
    })
  })
}

/**
 * Turns this process into another program, so that no Node stays between the user and ssh; exit status, signals and
 * terminal are then the program's own. Where that cannot be (Windows) it is started as a child and its status kept.
 */
export async function become(program: string, args: readonly string[], env = process.env): Promise<never> {
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
