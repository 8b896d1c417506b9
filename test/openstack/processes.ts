import {mkdirSync, readdirSync, readFileSync, writeFileSync} from 'node:fs'
import {connect} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'

import {marker} from '../../lab/paths.ts'
import {members} from '../../lab/sweep.ts'
import {run} from '../../src/system/commands.ts'
import {until as answered, startDaemon} from '../../src/system/daemon.ts'
import {processStatus, startTime} from '../../src/system/process.ts'
import {dir} from './place.ts'

/** Debian's own programs and nothing of the caller's: no other Python, no proxy. */
const environment = {
  PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  HOME: `${dir}/home`,
  no_proxy: '*',
  [marker]: dir,
}

/** Starts a daemon in a session of its own; its output goes to log/NAME.log. */
export function start(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): number {
  for (const folder of ['log', 'pids', 'home']) mkdirSync(`${dir}/${folder}`, {recursive: true})
  const pid = startDaemon(argv, `${dir}/log/${name}.log`, {...environment, ...env})
  writeFileSync(`${dir}/pids/${name}`, `${pid} ${startTime(pid)}`)
  return pid
}

/** Runs a command of the cloud's to its end, with its environment. @throws CommandError */
export async function command(argv: readonly string[]): Promise<string> {
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return run(['env', '-i', ...settings, ...argv])
}

/** Asks again until it is so. @param seconds generous: the machine may be busy @throws Error */
export async function until(
  what: string,
  so: () => boolean | Promise<boolean>,
  seconds = 180,
): Promise<void> {
  if (await answered(so, seconds * 1000, 200)) return
  throw new Error(`${what}: not within ${seconds} s; see ${dir}/log and ${dir}/nodes/*/log`)
}

/** Does anybody listen there? */
export function listening(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({port, host})
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}

/** A child of a process that unshared a PID namespace: PID 1 in there. */
export function childOf(pid: number): number | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
    return child ? Number(child) : undefined
  } catch {
    return undefined
  }
}

export interface Daemon {
  readonly name: string
  readonly pid: number
  readonly alive: boolean
}

/** What was started, by name. */
export function daemons(): Daemon[] {
  let names: string[] = []
  try {
    names = readdirSync(`${dir}/pids`).sort()
  } catch {} // nothing was
  return names.map(name => {
    const [pid, start] = readFileSync(`${dir}/pids/${name}`, 'utf8').split(' ')
    return {name, pid: Number(pid), alive: startTime(Number(pid)) === start}
  })
}

/**
 * Kills every daemon with its process group, and what has left its group but still has our marker in its environment
 * (Neutron writes its process titles over its environment, so the marker alone does not do).
 *
 * @returns whether there was anything
 */
export async function killAll(): Promise<boolean> {
  const groups = daemons().filter(one => one.alive)
  for (const {pid} of groups) kill(-pid)
  let strays = await members(dir)
  const any = groups.length + strays.length > 0
  for (; strays.length > 0; strays = await members(dir)) {
    for (const pid of strays) kill(pid)
    await sleep(50)
  }
  return any
}

/** Kills one daemon with its process group, and waits until nothing of it runs. */
export async function stop(name: string): Promise<void> {
  const daemon = daemons().find(one => one.name === name)
  if (!daemon?.alive) return
  kill(-daemon.pid)
  await until(`${name} to end`, () => !running(daemon.pid), 30)
}

/** A zombie does not run: what we have started is reaped when we end. */
function running(group: number): boolean {
  return readdirSync('/proc').some(entry => {
    if (!/^\d+$/.test(entry)) return false
    try {
      const [state, , pgrp] = processStatus(Number(entry))
      return Number(pgrp) === group && state !== 'Z'
    } catch {
      return false
    }
  })
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {} // it was quicker
}

/** Every process of the cloud: the daemons and all that descends from them. */
async function all(): Promise<Set<number>> {
  const children = new Map<number, number[]>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = Number(processStatus(Number(entry))[1])
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)])
    } catch {} // it has just ended
  }
  const found = new Set<number>()
  const add = (pid: number) => {
    if (found.has(pid)) return
    found.add(pid)
    for (const child of children.get(pid) ?? []) add(child)
  }
  for (const {pid, alive} of daemons()) if (alive) add(pid)
  for (const pid of await members(dir)) add(pid)
  return found
}

/** A command as it is run in a node's namespaces. @throws Error when the node is not up */
export function nodeCommand(node: string, argv: readonly string[]): readonly string[] {
  const daemon = daemons().find(one => one.name === node)
  const init = daemon?.alive ? childOf(daemon.pid) : undefined
  if (init === undefined) throw new Error(`node ${node} is not up`)
  return ['nsenter', '-t', String(init), '-m', '-n', '-u', '-p', '--', ...argv]
}

/** Runs a command in a node's namespaces. @throws CommandError; Error when the node is not up */
export const inNode = async (node: string, argv: readonly string[]) => run(nodeCommand(node, argv))

/** Processes of the whole cloud, and their memory with shared pages counted once (PSS), bytes. */
export async function size(): Promise<{processes: number; memory: number}> {
  const pids = await all()
  let kib = 0
  for (const pid of pids) {
    try {
      kib += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
    } catch {} // it has just ended
  }
  return {processes: pids.size, memory: kib * 1024}
}
