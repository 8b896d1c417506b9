import {spawn} from 'node:child_process'
import {appendFileSync, closeSync, openSync} from 'node:fs'
import {mkdir, readFile, rm, writeFile} from 'node:fs/promises'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'
import {newSshKey, sha256Fingerprint} from '../keys.ts'
import {labFiles, marker, netnsName, templateFile} from '../paths.ts'
import {attempt, ipBatch, run} from '../run.ts'
import type {Cloud, PortRecord, ServerRecord} from '../state.ts'
import type {Bridges} from './bridges.ts'
import {consoleLog} from './fabric.ts'
import type {Security} from './security.ts'

interface Running {
  readonly netns: string
  readonly outer: number
  /** Port id -> device name in the guest as plugged. */
  readonly nics: Map<string, string>
}

/** Seconds that a guest may take to start its sshd: generous, the machine may be busy. */
const bootLimit = 60

/** Does this boot data ask for root logins, as cloud-init understands it? */
function admitsRoot(server: ServerRecord): boolean {
  const text = server.user_data === null ? '' : Buffer.from(server.user_data, 'base64').toString()
  return /^disable_root:\s*(false|0)\s*$/m.test(text)
}

/** Guests: a set of namespaces each (net, mount, pid, uts) with Debian's stock sshd; PID 1 is templates/lab/guest-init. */
export function createGuests(cloud: Cloud, lab: string, dir: string, bridges: Bridges, security: Security) {
  const running = new Map<string, Running>()

  async function seed(server: ServerRecord): Promise<string> {
    const folder = labFiles(dir).guest(server.id)
    const files = join(folder, 'seed')
    await mkdir(files, {recursive: true, mode: 0o700})
    if (server.host_key === '') {
      const key = newSshKey(`root@${server.hostname}`)
      await writeFile(join(files, 'host_key'), key.private_key, {mode: 0o600})
      await writeFile(join(files, 'host_key.pub'), `${key.public_key}\n`)
      server.host_key = key.public_key.split(' ').slice(0, 2).join(' ')
    }
    const keys = server.key_data ? `${server.key_data.trim()}\n` : ''
    await writeFile(join(files, 'authorized_keys'), keys)
    await writeFile(join(files, 'root_keys'), admitsRoot(server) ? keys : '')
    await rm(join(folder, 'ready.new'), {force: true})
    return folder
  }

  function start(server: ServerRecord, netns: string, folder: string): number {
    const log = openSync(join(folder, 'init.log'), 'a', 0o600)
    const argv = [
      '--mount',
      '--uts',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
    ]
    const init = ['sh', templateFile('lab/guest-init'), folder, server.hostname]
    const child = spawn('nsenter', [`--net=/run/netns/${netns}`, 'unshare', ...argv, ...init], {
      detached: true,
      stdio: ['ignore', log, log],
      env: {PATH: process.env['PATH'], [marker]: dir},
    })
    closeSync(log)
    child.on('error', () => undefined)
    child.unref()
    return child.pid ?? 0
  }

  async function ready(server: ServerRecord, folder: string): Promise<void> {
    const until = Date.now() + bootLimit * 1000
    while (Date.now() < until) {
      const text = await readFile(join(folder, 'ready.new'), 'utf8').catch(() => '')
      if (text !== '') return
      await sleep(15)
    }
    const log = await readFile(join(folder, 'init.log'), 'utf8').catch(() => '')
    throw new Error(`guest ${server.name} did not start: ${log.slice(-400)}`)
  }

  function nextDevice(guest: Running): string {
    const used = new Set(guest.nics.values())
    let number = 0
    while (used.has(`eth${number}`)) number++
    return `eth${number}`
  }

  async function plug(guest: Running, port: PortRecord): Promise<string> {
    const device = nextDevice(guest)
    guest.nics.set(port.id, device)
    try {
      await bridges.connect(port, guest.netns, device)
      await security.sync(port.network_id)
    } catch (error) {
      guest.nics.delete(port.id)
      throw error
    }
    return device
  }

  /** What cloud-init does at boot: addresses, and one default route per family. */
  async function configure(server: ServerRecord, guest: Running): Promise<void> {
    const routed = new Set<number>()
    const lines: string[] = []
    for (const id of server.ports) {
      const port = cloud.ports.get(id)
      if (!port) continue
      const device = await plug(guest, port)
      lines.push(`link set ${device} up`)
      for (const ip of port.fixed_ips) {
        const subnet = cloud.subnets.get(ip.subnet_id)
        if (!subnet) continue
        const six = subnet.ip_version === 6
        lines.push(
          `addr add ${ip.ip_address}/${subnet.cidr.split('/')[1]} dev ${device}${six ? ' nodad' : ''}`,
        )
        if (subnet.gateway_ip === null || routed.has(subnet.ip_version)) continue
        routed.add(subnet.ip_version)
        lines.push(`route add default via ${subnet.gateway_ip} dev ${device}`)
      }
    }
    const order = (line: string) => (line.startsWith('route') ? 2 : line.startsWith('addr') ? 1 : 0)
    await ipBatch(
      guest.netns,
      lines.sort((a, b) => order(a) - order(b)),
    )
  }

  async function stop(server: ServerRecord): Promise<void> {
    const guest = running.get(server.id)
    if (!guest) return
    running.delete(server.id)
    for (const id of guest.nics.keys()) {
      const port = cloud.ports.get(id)
      if (port) await bridges.disconnect(port)
    }
    try {
      process.kill(guest.outer, 'SIGKILL') // unshare --kill-child: PID 1 goes with it, and all of the guest with that
    } catch {} // it was gone already
    await attempt(['ip', 'netns', 'del', guest.netns])
  }

  return {
    async boot(server: ServerRecord): Promise<void> {
      if (running.has(server.id)) return
      const folder = await seed(server)
      const netns = netnsName(lab, 'vm', server.id)
      await run(['ip', 'netns', 'add', netns])
      const guest: Running = {netns, outer: start(server, netns, folder), nics: new Map()}
      running.set(server.id, guest)
      await Promise.all([configure(server, guest), ready(server, folder)])
      const fingerprint = sha256Fingerprint(server.host_key)
      appendFileSync(join(folder, 'console.log'), consoleLog(server.hostname, server.host_key, fingerprint))
    },
    shutdown: stop,
    async destroy(server: ServerRecord): Promise<void> {
      await stop(server)
      await rm(labFiles(dir).guest(server.id), {recursive: true, force: true})
    },
    async plug(server: ServerRecord, port: PortRecord): Promise<void> {
      const guest = running.get(server.id)
      if (guest) await plug(guest, port)
    },
    async unplug(server: ServerRecord, port: PortRecord): Promise<void> {
      running.get(server.id)?.nics.delete(port.id)
      await bridges.disconnect(port)
    },
    async console(server: ServerRecord): Promise<string> {
      const file = join(labFiles(dir).guest(server.id), 'console.log')
      return readFile(file, 'utf8').catch(() => '')
    },
  }
}
