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
import {access, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'

import {startDaemon, until} from '../src/system/daemon.ts'
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

/** How long a lab may take to come up, ms. */
const UP_MS = 180_000

function needRoot(): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new Error('the lab makes network namespaces: it needs root on Linux')
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
  throw new Error('too many labs on this machine; end some: npm run lab -- down --name NAME')
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

async function whenUp(dir: string): Promise<LabInfo> {
  const files = labFiles(dir)
  const text = (file: string) => readFile(file, 'utf8').catch(() => undefined)
  const outcome = await until(
    async () => (await exists(files.info)) || (await exists(files.failure)),
    UP_MS,
    25,
  )
  const info = await text(files.info)
  if (info !== undefined) return JSON.parse(info) as LabInfo
  const failure = outcome && (await text(files.failure))
  if (failure?.startsWith('EADDRINUSE'))
    throw new Error('the port of the lab is in use; choose another: --port')
  throw new Error(
    `the lab did not come up${failure ? `: ${failure}` : ` within ${UP_MS / 1000} s`}; see ${files.log}`,
  )
}

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  )

/**
 * Brings a lab up and returns when every guest's sshd listens. A lab that is already up is left as it is; the ruins
 * of one that crashed are cleared first.
 * @throws Error without root, for a bad name, a port in use, or when no index is free
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
    throw new Error(`lab ${name} is just being brought up`)
  }
  try {
    const index = await claimIndex(name)
    log(`external network 172.24.${index}.0/24`)
    const daemon: DaemonOptions = {
      name,
      port: options.port ?? 5100,
      index,
      ssh_endpoint: options.sshEndpoint ?? '',
      token_life: options.tokenLife ?? 7200,
    }
    await writeFile(labFiles(dir).options, JSON.stringify(daemon), {mode: 0o600})
    const script = fileURLToPath(new URL('daemon.ts', import.meta.url))
    const env = {PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', [marker]: dir}
    startDaemon([process.execPath, script, dir], labFiles(dir).log, env)
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
 * @throws Error without root, or for a bad name
 * @returns whether there was anything to end
 */
export async function labDown({name}: {readonly name: string}): Promise<{readonly removed: boolean}> {
  needRoot()
  const dir = labDir(name)
  const indices = await claimOf(name)
  const swept = await sweep(name, dir, indices.map(hostLeg))
  for (const index of indices) await rm(join(stateRoot(), '.index', String(index)), {force: true})
  const had = await exists(dir)
  await rm(dir, {recursive: true, force: true})
  return {removed: swept || had}
}

/** What is there of a lab: `broken` when its daemon died or never came up. @throws Error for a bad name */
export async function labStatus({name}: {readonly name: string}): Promise<LabStatus> {
  const dir = labDir(name)
  const processes = (await members(dir)).length
  const there = await exists(dir)
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
