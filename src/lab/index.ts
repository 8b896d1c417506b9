/**
 * A small OpenStack cloud on one Linux machine: a Fastify application that speaks Keystone, Nova, Neutron and Glance,
 * and network namespaces with real sshd, real bridges and real routers. Needs root. It lives in the network namespace
 * that it is started in.
 *
 * @example
 * const lab = await labUp({name: 'demo', port: 0})
 * // OS_CLIENT_CONFIG_FILE=lab.clouds_yaml, ssh -i lab.management_key root@lab.gates[0].host
 * await labDown({name: 'demo'})
 */
import {spawn} from 'node:child_process'
import {closeSync, openSync} from 'node:fs'
import {mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {fileURLToPath} from 'node:url'
import {OsSshError} from '../errors.ts'
import type {DaemonOptions} from './daemon.ts'
import type {LabInfo} from './info.ts'
import {hostLeg} from './net/bridges.ts'
import {labDir, labFiles, marker, stateRoot} from './paths.ts'
import {members, sweep} from './sweep.ts'

export type {LabInfo} from './info.ts'

export interface LabOptions {
  readonly name: string
  /** Of the API on 127.0.0.1; 0 takes any free one. Default 5100. */
  readonly port?: number
  /** URL of the catalog's service of type `ssh`. Default: the port after the API's. */
  readonly sshEndpoint?: string
  /** Life of a token, seconds. Default 7,200. */
  readonly tokenLife?: number
  /** Also load the routers of src/lab/seed/snat.ts. */
  readonly snat?: boolean
  readonly log?: (line: string) => void
}

export interface LabStatus {
  readonly name: string
  readonly state: 'up' | 'down' | 'broken'
  /** When it is up. */
  readonly info?: LabInfo
  /** Processes of the lab, the daemon and every guest's first ones. */
  readonly processes: number
}

/** Seconds that a lab may take to come up. */
const upLimit = 180

function needRoot(): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new OsSshError('NOT_ROOT', 'the lab makes network namespaces: it needs root on Linux')
  }
}

/** Takes a free index for the external network 172.24.INDEX.0/24: the claim is a file that only one can create. */
async function claimIndex(name: string): Promise<number> {
  const claims = join(stateRoot(), '.index')
  await mkdir(claims, {recursive: true, mode: 0o700})
  for (let index = 20; index < 250; index++) {
    try {
      await writeFile(join(claims, String(index)), name, {flag: 'wx'})
      return index
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
  throw new OsSshError('BUSY', 'too many labs on this machine', {hint: 'end some: os-ssh lab down NAME'})
}

/** The index that a lab has claimed. */
async function claimOf(name: string): Promise<number[]> {
  const claims = join(stateRoot(), '.index')
  const found: number[] = []
  for (const file of await readdir(claims).catch(() => [])) {
    if ((await readFile(join(claims, file), 'utf8').catch(() => '')) === name) found.push(Number(file))
  }
  return found
}

function startDaemon(dir: string): void {
  const log = openSync(labFiles(dir).log, 'a', 0o600)
  const script = fileURLToPath(
    new URL(import.meta.url.endsWith('.ts') ? './daemon.ts' : './daemon.js', import.meta.url),
  )
  const child = spawn(process.execPath, [script, dir], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log],
    env: {PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', [marker]: dir},
  })
  closeSync(log)
  child.unref()
}

async function whenUp(dir: string): Promise<LabInfo> {
  const files = labFiles(dir)
  for (const until = Date.now() + upLimit * 1000; Date.now() < until; await sleep(25)) {
    const info = await readFile(files.info, 'utf8').catch(() => undefined)
    if (info !== undefined) return JSON.parse(info) as LabInfo
    const failure = await readFile(files.failure, 'utf8').catch(() => undefined)
    if (failure === undefined) continue
    if (failure.startsWith('EADDRINUSE'))
      throw new OsSshError('USAGE', 'the port of the lab is in use', {hint: 'choose another: --port'})
    throw new Error(`the lab did not come up: ${failure}`)
  }
  throw new Error(`the lab did not come up within ${upLimit} s, see ${files.log}`)
}

/**
 * Brings a lab up and returns when every guest's sshd listens. A lab that is already up is left as it is; the ruins
 * of one that crashed are cleared first.
 * @throws OsSshError NOT_ROOT; USAGE for a bad name or a port in use; BUSY when no index is free
 */
export async function labUp(options: LabOptions): Promise<LabInfo> {
  needRoot()
  const {name, log = () => undefined} = options
  const dir = labDir(name)
  const now = await labStatus({name})
  if (now.info && now.state === 'up') return now.info
  if (now.state === 'broken') await labDown({name})
  await mkdir(stateRoot(), {recursive: true, mode: 0o700})
  try {
    await mkdir(dir, {mode: 0o700})
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new OsSshError('BUSY', `lab ${name} is just being brought up`)
  }
  try {
    const index = await claimIndex(name)
    log(`external network 172.24.${index}.0/24`)
    const daemon: DaemonOptions = {
      name,
      port: options.port ?? 5100,
      index,
      snat: options.snat ?? false,
      ssh_endpoint: options.sshEndpoint ?? '',
      token_life: options.tokenLife ?? 7200,
    }
    await writeFile(labFiles(dir).options, JSON.stringify(daemon), {mode: 0o600})
    startDaemon(dir)
    const info = await whenUp(dir)
    log(`${info.servers.length} servers, API at ${info.api}`)
    return info
  } catch (error) {
    await labDown({name})
    throw error
  }
}

/**
 * Ends a lab: every process, namespace, device and file of it, also when its daemon is gone.
 * @throws OsSshError NOT_ROOT; USAGE for a bad name
 * @returns whether there was anything to end
 */
export async function labDown({name}: {readonly name: string}): Promise<{readonly removed: boolean}> {
  needRoot()
  const dir = labDir(name)
  const indices = await claimOf(name)
  const swept = await sweep(name, dir, indices.map(hostLeg))
  for (const index of indices) await rm(join(stateRoot(), '.index', String(index)), {force: true})
  const had = await readdir(dir).then(
    () => true,
    () => false,
  )
  await rm(dir, {recursive: true, force: true})
  return {removed: swept || had}
}

/** What is there of a lab: `broken` when its daemon died or never came up. @throws OsSshError USAGE for a bad name */
export async function labStatus({name}: {readonly name: string}): Promise<LabStatus> {
  const dir = labDir(name)
  const processes = (await members(dir)).length
  const there = await readdir(dir).then(
    () => true,
    () => false,
  )
  if (!there && processes === 0) return {name, state: 'down', processes}
  const text = await readFile(labFiles(dir).info, 'utf8').catch(() => undefined)
  if (text === undefined) return {name, state: 'broken', processes}
  const info = JSON.parse(text) as LabInfo
  const alive = await fetch(`${info.api}/identity/v3`, {signal: AbortSignal.timeout(5000)}).then(
    reply => reply.ok,
    () => false,
  )
  return {name, state: alive ? 'up' : 'broken', info, processes}
}

/** Names of the labs of this machine. */
export async function labNames(): Promise<string[]> {
  const all = await readdir(stateRoot()).catch(() => [] as string[])
  return all.filter(name => !name.startsWith('.')).sort()
}
