import {appendFileSync} from 'node:fs'
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {fingerprint, generateKeyPair} from '../../src/ssh/keys.ts'
import {announce, attempt, ipBatch, run} from '../../src/system/commands.ts'
import {startDaemon, until} from '../../src/system/daemon.ts'
import {processStatus} from '../../src/system/process.ts'
import {guestInit, labFiles, marker, netnsName} from '../paths.ts'
import type {Cloud, PortRecord, ServerRecord} from '../state.ts'
import type {Bridges} from './bridges.ts'
import {configDrive, diskLimit} from './config-drive.ts'
import {consoleLog} from './fabric.ts'
import type {Security} from './security.ts'

interface Running {
  readonly netns: string
  readonly outer: number
  /** Port id -> device name in the guest as plugged. */
  readonly nics: Map<string, string>
}

/** How long a guest may take to start its sshd, ms: generous, the machine may be busy. */
const BOOT_MS = 60_000
/** How long its processes may take to end, ms. */
const END_MS = 10_000

/** What cloud-init does at boot: addresses, and one default route per family; as lines of `ip -batch`. */
function addressing(cloud: Cloud, nics: ReadonlyMap<string, string>): string[] {
  const [links, addresses, routes] = [[] as string[], [] as string[], new Map<number, string>()]
  for (const [id, device] of nics) {
    links.push(`link set ${device} up`)
    for (const {ip_address, subnet_id} of cloud.ports.get(id)?.fixed_ips ?? []) {
      const subnet = cloud.subnets.get(subnet_id)
      if (!subnet) continue
      const {cidr, ip_version, gateway_ip} = subnet
      const nodad = ip_version === 6 ? ' nodad' : ''
      addresses.push(`addr add ${ip_address}/${cidr.split('/')[1]} dev ${device}${nodad}`)
      if (gateway_ip !== null && !routes.has(ip_version))
        routes.set(ip_version, `route add default via ${gateway_ip} dev ${device}`)
    }
  }
  return [...links, ...addresses, ...routes.values()]
}

/**
 * Guests: a set of namespaces each (net, mount, pid, uts) with Debian's stock sshd. Their PID 1 is lab/guest-init, or where they
 * have user data lab/guest-init-cloud, in which Debian's cloud-init makes all that a boot makes, the host key too.
 */
export class Guests {
  readonly #cloud: Cloud
  readonly #lab: string
  readonly #dir: string
  readonly #bridges: Bridges
  readonly #security: Security
  readonly #running = new Map<string, Running>()

  constructor(cloud: Cloud, lab: string, dir: string, bridges: Bridges, security: Security) {
    this.#cloud = cloud
    this.#lab = lab
    this.#dir = dir
    this.#bridges = bridges
    this.#security = security
  }

  async boot(server: ServerRecord): Promise<void> {
    if (this.#running.has(server.id)) return
    const folder = await this.#prepare(server)
    const netns = netnsName(this.#lab, 'vm', server.id)
    await run(['ip', 'netns', 'add', netns])
    const guest: Running = {netns, outer: this.#start(server, netns, folder), nics: new Map()}
    this.#running.set(server.id, guest)
    await Promise.all([this.#configure(server, guest, folder), ready(server, folder, guest.outer)])
    if (server.user_data !== null)
      server.host_key = bare(await readFile(join(folder, 'host_key.pub'), 'utf8'))
    else {
      const host = fingerprint(server.host_key)
      appendFileSync(join(folder, 'console.log'), consoleLog(server.hostname, server.host_key, host))
    }
  }

  async shutdown(server: ServerRecord): Promise<void> {
    const guest = this.#running.get(server.id)
    if (!guest) return
    this.#running.delete(server.id)
    for (const id of guest.nics.keys()) {
      const port = this.#cloud.ports.get(id)
      if (port) await this.#bridges.disconnect(port)
    }
    await end(guest.outer)
    await attempt(['ip', 'netns', 'del', guest.netns])
  }

  async destroy(server: ServerRecord): Promise<void> {
    await this.shutdown(server)
    await rm(this.#folder(server), {recursive: true, force: true})
  }

  async plug(server: ServerRecord, port: PortRecord): Promise<void> {
    const guest = this.#running.get(server.id)
    if (guest) await this.#plug(guest, port)
  }

  async unplug(server: ServerRecord, port: PortRecord): Promise<void> {
    this.#running.get(server.id)?.nics.delete(port.id)
    await this.#bridges.disconnect(port)
  }

  async console(server: ServerRecord): Promise<string> {
    return readFile(join(this.#folder(server), 'console.log'), 'utf8').catch(() => '')
  }

  #folder(server: ServerRecord): string {
    return labFiles(this.#dir).guest(server.id)
  }

  /** Lays out what PID 1 reads: the config drive, or keys of the host and of those who may log in. */
  async #prepare(server: ServerRecord): Promise<string> {
    const folder = this.#folder(server)
    const files = join(folder, 'seed')
    await mkdir(files, {recursive: true, mode: 0o700})
    for (const said of ['ready.new', 'network']) await rm(join(folder, said), {force: true})
    if (server.user_data !== null) {
      for (const [path, content] of configDrive(server)) {
        await mkdir(dirname(join(files, path)), {recursive: true})
        await writeFile(join(files, path), content)
      }
      return folder
    }
    if (server.host_key === '') {
      const key = generateKeyPair(`root@${server.hostname}`)
      await writeFile(join(files, 'host_key'), key.privateKey, {mode: 0o600})
      await writeFile(join(files, 'host_key.pub'), `${key.publicKey}\n`)
      server.host_key = bare(key.publicKey)
    }
    await writeFile(join(files, 'authorized_keys'), server.key_data ? `${server.key_data.trim()}\n` : '')
    return folder
  }

  #start(server: ServerRecord, netns: string, folder: string): number {
    const own = ['--mount', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc']
    const unshare = ['unshare', ...own, '--propagation', 'private']
    const limit = diskLimit(server.metadata)
    const init =
      server.user_data === null
        ? ['sh', guestInit.plain, folder, server.hostname]
        : ['sh', guestInit.cloud, folder, server.hostname, ...(limit === undefined ? [] : [String(limit)])]
    const env = {PATH: process.env['PATH'], [marker]: this.#dir}
    return startDaemon(
      ['nsenter', `--net=/run/netns/${netns}`, ...unshare, ...init],
      join(folder, 'init.log'),
      env,
    )
  }

  async #plug(guest: Running, port: PortRecord): Promise<void> {
    const used = new Set(guest.nics.values())
    let number = 0
    while (used.has(`eth${number}`)) number++
    const device = `eth${number}`
    guest.nics.set(port.id, device)
    try {
      await this.#bridges.connect(port, guest.netns, device)
      await this.#security.sync(port.network_id)
    } catch (error) {
      guest.nics.delete(port.id)
      throw error
    }
  }

  async #configure(server: ServerRecord, guest: Running, folder: string): Promise<void> {
    for (const id of server.ports) {
      const port = this.#cloud.ports.get(id)
      if (port) await this.#plug(guest, port)
    }
    await ipBatch(guest.netns, addressing(this.#cloud, guest.nics))
    for (const [id, device] of guest.nics)
      for (const {ip_address} of this.#cloud.ports.get(id)?.fixed_ips ?? [])
        announce(guest.netns, device, ip_address)
    await writeFile(join(folder, 'network'), '')
  }
}

/** Waits for the end of the boot. @throws Error with PID 1's last words when it ended, or took too long */
async function ready(server: ServerRecord, folder: string, outer: number): Promise<void> {
  const text = (name: string) => readFile(join(folder, name), 'utf8').catch(() => '')
  const said = await until(async () => (await text('ready.new')) || !alive(outer), BOOT_MS, 15)
  if (typeof said === 'string') return
  throw new Error(`guest ${server.name} did not start: ${(await text('init.log')).slice(-400)}`)
}

/** Kills a guest by its PID 1, with which all of it goes; `unshare`, which waits for it, has ended when nothing is left. */
async function end(outer: number): Promise<void> {
  const [init] = await readFile(`/proc/${outer}/task/${outer}/children`, 'utf8').then(
    pids => pids.split(' ').filter(Boolean).map(Number),
    () => [],
  )
  try {
    process.kill(init ?? outer, 'SIGKILL')
  } catch {} // it was gone already
  await until(() => !alive(outer), END_MS, 5)
}

function alive(pid: number): boolean {
  try {
    return processStatus(pid)[0] !== 'Z'
  } catch {
    return false
  }
}

/** A public key without its comment. */
const bare = (line: string) => line.trim().split(' ').slice(0, 2).join(' ')
