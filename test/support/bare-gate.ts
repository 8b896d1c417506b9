import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'

import {expect} from '@jest/globals'

import {aliasAt, DIRECT_SLOT, login} from '../../src/service/gates/addresses.ts'
import {renderAccounts, renderGate} from '../../src/service/gates/render.ts'
import type {AttachmentRow, PathRow} from '../../src/service/store/schema.ts'
import {signHostCertificate, signUserCertificate} from '../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {ADVERTISE, HEAR, KNOCK, LINK, SERVER} from './knock.ts'
import {needOwnNetns} from './netns.ts'
import {eventually, type Result, run} from './run.ts'
import {without} from './script-lines.ts'

/*
 * A gate without a cloud: this machine's sshd and kernel with an /etc, a /run, processes and network of their own, a tenant's VM,
 * one on a network that the gate's own way out leads to, and the world, where somebody has an alias' address.
 * It becomes what the service's own script makes of it, or what is left of that when lines of it are taken away.
 */

export const GATE = '172.24.4.2'
export const OUTSIDE = '172.24.4.1'
/** The gate's address, a VM's and its router's on each tenant's network, and what lies behind that router. */
export const [NIC, VM, VM_2, ROUTER, BEHIND] = ['10.0.0.2', '10.0.0.10', '10.0.0.11', '10.0.0.1', '10.1.0.5']
export const [NIC6, VM6] = ['fd10::2', 'fd10::10']
export const [GATE6, OUTSIDE6] = ['fd24::2', 'fd24::1']
const [SIDE, SIDE6] = ['192.168.7.10', 'fd07::10']
/** The network that came a moment ago: still in the gate's main namespace. */
export const FRESH_NIC = '10.9.0.2'
/** Aliases: of two paths of a tenant's, of the VM that needs no namespace; and one that nobody has. */
export const [MINE, SIBLING, DIRECT, NOBODY] = [
  aliasAt(0, 4, 0),
  aliasAt(0, 4, 1),
  aliasAt(DIRECT_SLOT, 4, 0),
  aliasAt(9, 4, 0),
]
export const [MINE6, DIRECT6, NOBODY6] = [aliasAt(0, 6, 0), aliasAt(DIRECT_SLOT, 6, 0), aliasAt(9, 6, 0)]
/** Of a client behind a carrier's NAT. */
export const CARRIER = '100.127.255.1'

const MAC = 'fa:16:3e:00:00:05'
const PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
/** The most generous sshd that an operator may have: what the service says comes first. */
const SSHD = `Include /etc/ssh/sshd_config.d/*.conf
KbdInteractiveAuthentication yes
PasswordAuthentication yes
UsePAM no
X11Forwarding yes
XAuthLocation /bin/true
PermitTunnel yes
UseDNS yes
GatewayPorts yes
Subsystem sftp internal-sftp
`
const INIT = `set -e
  mount -t sysfs sysfs /sys; mount -t tmpfs -o mode=755 t /run; mount -t tmpfs t /mnt
  mkdir -p /run/netns /run/lock /run/sshd /run/os-ssh /run/home /mnt/up /mnt/work
  mount -t overlay o -o lowerdir=/etc,upperdir=/mnt/up,workdir=/mnt/work /etc
  mount -t tmpfs -o mode=755 t /var/log; touch /run/utmp /var/log/wtmp /var/log/btmp /var/log/lastlog
  rm -f /etc/ssh/sshd_config.d/* /etc/nologin /etc/resolv.conf; mkdir -p /etc/os-ssh
  ip link set lo up
  for ns in out vm side fresh; do ip netns add $ns; ip -n $ns link set lo up; done
  plug() { # NIC MAC NS
    ip link add "$1" address "$2" type veth peer name eth0 netns "$3"; ip -n "$3" link set eth0 up
  }
  plug eth0 fa:16:3e:00:00:01 out; plug eth1 fa:16:3e:00:00:02 side
  plug ens5 ${MAC} vm; plug ens7 fa:16:3e:00:00:07 fresh
  for nic in eth0 eth1 ens7; do ip link set $nic up; done
  ip address add ${GATE}/24 dev eth0; ip address add ${GATE6}/64 dev eth0 nodad
  ip address add 192.168.7.2/24 dev eth1; ip address add fd07::2/64 dev eth1 nodad
  ip address add ${FRESH_NIC}/24 dev ens7; ip address add fd09::2/64 dev ens7 nodad
  ip route add default via ${OUTSIDE}; ip route add default via ${OUTSIDE6}
  ip -n out address add ${OUTSIDE}/24 dev eth0; ip -n out address add ${OUTSIDE6}/64 dev eth0 nodad
  for address in ${NOBODY}/32 ${NOBODY6}/128 ${CARRIER}/32; do ip -n out address add $address dev lo; done
  # Everybody knows the way back, and to what they must not reach.
  for route in 10.9.0.0/24 100.64.0.0/20; do ip -n out route add $route via ${GATE}; done
  ip -n out route add fd09::/64 via ${GATE6}
  ip -n side address add ${SIDE}/24 dev eth0; ip -n side route add 172.24.4.0/24 via 192.168.7.2
  ip -n side address add ${SIDE6}/64 dev eth0 nodad; ip -n side route add fd24::/64 via fd07::2
  ip -n fresh address add 10.9.0.10/24 dev eth0; ip -n fresh route add default via ${FRESH_NIC}
  ip -n fresh address add fd09::10/64 dev eth0 nodad; ip -n fresh route add default via fd09::2
  for address in ${VM}/24 ${VM_2}/24 ${ROUTER}/24 ${BEHIND}/32; do ip -n vm address add $address dev eth0; done
  ip -n vm address add ${VM6}/64 dev eth0 nodad; ip -n vm route add 100.64.0.0/10 via ${NIC}
  # The client of sshd's pid file: sshd itself is started for each connection, and reads its configuration then.
  sh -c 'trap "" HUP; exec sleep infinity' & echo $! >/run/sshd.pid
  echo ready
  exec sleep infinity`

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
function attachment(slot: number): AttachmentRow {
  const network = {network_id: uuid(100 + slot), project_id: 'p', port_id: uuid(200 + slot)}
  const reach = [
    {network_id: network.network_id, cidr: '10.0.0.0/24', via: null},
    {network_id: uuid(300), cidr: '10.1.0.0/24', via: ROUTER},
  ]
  const times = {wired_at: null, idle_since: null, created_at: 0}
  const addresses = [`${NIC}/24`, `${NIC6}/64`]
  const row = {id: uuid(slot), gate_id: uuid(999), slot, mtu: 1450, state: 'plugged'} as const
  return {...row, ...network, reach, mac: MAC, addresses, ...times}
}

/** Number n of the accounts, for an hour. */
function path(n: number, slot: number, alias: string, address: string): PathRow {
  const now = Date.now()
  const who = {user_id: 'u', user_name: 'alice', project_id: 'p', public_key: 'k', fingerprint: 'f'}
  const vm = {server_id: uuid(400 + n), server_name: 'vm', network_id: uuid(100 + slot), address}
  const times = {created_at: now, expires_at: now + 3_600_000, certificate_until: now + 3_600_000}
  const rest = {ended_at: null, cut_at: null, error: undefined, version: 1, applied: 0, serial: n}
  const route = slot === DIRECT_SLOT ? 'direct' : 'attached'
  const place = {gate_id: uuid(999), attachment_id: uuid(slot), alias, login: login(n)}
  return {id: uuid(500 + n), state: 'active', route, ...who, ...vm, ...place, ...times, ...rest}
}

export interface Push {
  /** Lines of the script that are not there, as ./script-lines.ts reads them. */
  readonly without?: readonly string[]
  readonly paths?: readonly PathRow[]
  readonly slots?: readonly number[]
  readonly rested?: readonly PathRow[]
  readonly whole?: boolean
  /** What the gate itself is, too, though no line of that is gone or was. */
  readonly base?: boolean
}

interface Held {
  /** What the other end says first. */
  readonly first: string
  /** What becomes of a word; `undefined` when the process is no more. */
  say(word: string): Promise<string>
  end(): void
}

const as = (account: string) =>
  account ? ['setpriv', '--reuid', account, '--regid', 'os-ssh', '--clear-groups'] : []

export class BareGate {
  readonly paths = [
    path(0, 0, MINE, VM),
    path(1, 0, SIBLING, VM_2),
    path(2, 0, MINE6, VM6),
    path(3, DIRECT_SLOT, DIRECT, SIDE),
    path(4, DIRECT_SLOT, DIRECT6, SIDE6),
  ] as const
  readonly #folder = mkdtempSync(join(tmpdir(), 'os-ssh-bare-'))
  readonly #children: ChildProcess[] = []
  readonly #authority = generateKeyPair('ca')
  readonly #hostKey = generateKeyPair('gate')
  readonly #key = generateKeyPair('alice')
  readonly #init: ChildProcess
  #pid = ''
  #bent = true

  private constructor() {
    const spaces = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
    this.#init = spawn('unshare', [...spaces, '--propagation', 'private', 'sh', '-c', INIT], {
      env: {PATH},
      stdio: ['ignore', 'pipe', 'inherit'],
    })
  }

  static async open(): Promise<BareGate> {
    needOwnNetns()
    const gate = new BareGate()
    await gate.#boot()
    return gate
  }

  async #boot(): Promise<void> {
    const {pid, stdout} = this.#init
    if (!stdout) throw new Error('no output')
    const ended = once(this.#init, 'exit').then(() => {
      throw new Error('the gate did not boot')
    })
    await Promise.race([once(stdout, 'data'), ended])
    ended.catch(() => undefined)
    this.#pid = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    for (const name of ['gate', 'out', 'vm', 'side', 'fresh']) await this.#listen(name)
    await this.#keys()
    await this.sh(renderAccounts(this.paths.map(one => one.login)))
    await this.sh('usermod -d /run/home osp0000 && chown osp0000: /run/home')
  }

  async #keys(): Promise<void> {
    this.file('id', this.#key.privateKey)
    this.file('id.pub', `${this.#key.publicKey}\n`)
    this.file('cert.pub', `${this.#certify()}\n`)
    this.file('known', `@cert-authority gate ${this.#authority.publicKey}\n`)
    this.file('host', this.#hostKey.privateKey)
    this.file('sshd_config', SSHD)
    await this.sh(
      `cat ${this.#folder}/sshd_config >/etc/ssh/sshd_config
       rm -f /etc/ssh/ssh_host_*; install -m 600 ${this.#folder}/host /etc/ssh/ssh_host_ed25519_key`,
    )
  }

  async #listen(name: string): Promise<void> {
    const [program, ...words] = this.inside(name, '/usr/bin/python3', '-uc', SERVER, name)
    const child = spawn(program, words, {stdio: ['ignore', 'pipe', 'inherit']})
    this.#children.push(child)
    await once(child.stdout, 'data')
  }

  /** What runs these words on the gate, or in another place's network. */
  inside(space: string, ...words: string[]): [string, ...string[]] {
    const enter = ['--target', this.#pid, '--mount', '--net', '--pid', '--wdns=/', 'env', `PATH=${PATH}`]
    const further = space === 'gate' ? [] : ['nsenter', `--net=/run/netns/${space}`]
    return ['nsenter', ...enter, ...further, ...words]
  }

  async try(space: string, ...words: string[]): Promise<Result> {
    const [program, ...rest] = this.inside(space, ...words)
    return run(program, rest)
  }

  /** A script for the gate's root, or for root in another place's network. @throws Error unless it ends with 0 */
  async sh(script: string, space = 'gate'): Promise<string> {
    const [program, ...rest] = this.inside(space, 'env', `SSH_CONNECTION=${OUTSIDE} 1 ${GATE} 22`, 'sh', '-s')
    const {status, stdout, stderr} = await run(program, rest, {input: script})
    if (status !== 0) throw new Error(`${status}: ${stderr}${stdout}`)
    return stdout
  }

  /** The service's own. @param base whether it says what the gate itself is, too */
  script({whole = true, paths = this.paths, slots = [0], rested = []}: Push = {}, base = true): string {
    const rows = slots.map(attachment)
    return renderGate({
      holder: {service: uuid(11), fence: 1, copy: uuid(12), who: 'alice'},
      ...(base && {base: this.#identity()}),
      attachments: rows.map(row => ({row, paths: paths.filter(one => one.attachment_id === row.id)})),
      slots,
      paths,
      rested,
      whole,
      slotOf: new Map(),
      now: Date.now(),
    })
  }

  /** Runs the script. The gate itself is made anew where lines of that are gone now, or were before. */
  async push(push: Push = {}): Promise<void> {
    const {without: gone = [], base = false} = push
    const bent = gone.some(text => /^(guard|sshd|settings|script)/.test(text))
    const script = without(this.script(push, base || bent || this.#bent), gone)
    // Or it would be taken for done.
    const answer = await this.sh(`rm -f /run/os-ssh/os-ssh-*\n${script}`)
    if (!/^applied \d+$/m.test(answer)) throw new Error(answer)
    this.#bent = bent
  }

  #identity() {
    const request = {
      ...{caPrivateKey: this.#authority.privateKey, publicKey: this.#hostKey.publicKey, serial: 1n},
      ...{keyId: 'gate', principals: ['gate'], validAfter: new Date(0), validBefore: new Date(4e12)},
    }
    const hostCertificate = signHostCertificate(request)
    return {userCas: [this.#authority.publicKey], hostCertificate, keepNics: ['eth1']}
  }

  /** Every namespace new. */
  async renew(push: Push = {}): Promise<void> {
    await this.push({slots: []})
    await this.push(push)
  }

  /** What becomes of a connection, or of a datagram: what is said at its other end first, `reset`, `ICMP`, `silence` or an errno. */
  async knock(space: string, to: string, {port = 22, udp = false, source = '', account = ''} = {}) {
    const words = ['/usr/bin/python3', '-Sc', KNOCK, udp ? 'udp' : 'tcp', to, String(port), source]
    return (await this.try(space, ...as(account), ...words)).stdout.trim()
  }

  /** A connection of an account's that stays. */
  async hold(account: string, to: string): Promise<Held> {
    const knock = ['/usr/bin/python3', '-Suc', KNOCK, 'hold', to, '22', '']
    const [program, ...rest] = this.inside('gate', ...as(account), ...knock)
    const child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'inherit']})
    this.#children.push(child)
    child.stdin.on('error', () => undefined)
    const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
    const next = async () => String((await lines.next()).value)
    const first = await next()
    const say = (word: string) => {
      child.stdin.write(`${word}\n`)
      return next()
    }
    return {first, say, end: () => child.kill('SIGKILL')}
  }

  /** A router of an interface's network speaks. @returns what the other end of the link, which must have heard it, has of it now */
  async advertise(space: string, device: string, at: string, heardBy: string): Promise<string> {
    const look = (words: string) => this.sh(words, at)
    const heard = async () =>
      Number(await look(`awk '/Icmp6InRouterAdvertisements/ {print $2}' /proc/self/net/dev_snmp6/${heardBy}`))
    const before = await heard()
    await this.python(space, ADVERTISE, device)
    await eventually(heard, n => n > before, 2000)
    const route = await look(`ip -6 route show default dev ${heardBy}`)
    const addresses = await look(`ip -6 -o address show dev ${heardBy}`)
    expect(await heard()).toBeGreaterThan(before)
    return [/proto ra/.test(route) && 'route', / fd99::/.test(addresses) && 'fd99::']
      .filter(Boolean)
      .join(' ')
  }

  /** What comes of it when the tenant's VM does that on its link: see LINK. */
  link = (kind: string, to: string) => this.python('vm', LINK, kind, to, NIC)

  /** Listens on a VM's link, until it is asked what the gate has announced there. */
  async hear(space: string): Promise<() => Promise<string>> {
    const [program, ...rest] = this.inside(space, '/usr/bin/python3', '-Suc', HEAR, NIC, NIC6)
    const child = spawn(program, rest, {stdio: ['pipe', 'pipe', 'inherit']})
    this.#children.push(child)
    const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
    await lines.next()
    return async () => {
      child.stdin.end()
      return String((await lines.next()).value)
    }
  }

  async python(space: string, program: string, ...words: string[]): Promise<string> {
    const {status, stdout, stderr} = await this.try(space, '/usr/bin/python3', '-Sc', program, ...words)
    if (status !== 0) throw new Error(stderr)
    return stdout.trim()
  }

  /** The VM says something over the connection that it got last. @returns what becomes of that one: `open`, `reset` or `silence` */
  speak = (space: string) => this.knock(space, '127.0.0.1', {port: 23, udp: true})

  /** ssh with a certificate for the first path, and these words around the host. */
  ssh(before: readonly string[], after: readonly string[] = [], env: object = {}): Promise<Result> {
    return this.sshBare(['-o', `CertificateFile=${this.#folder}/cert.pub`, ...before], after, env)
  }

  /** The same with nothing but a key. */
  sshBare(before: readonly string[], after: readonly string[] = [], env: object = {}): Promise<Result> {
    const settings = {
      ...{BatchMode: 'yes', IdentitiesOnly: 'yes', IdentityFile: `${this.#folder}/id`, ConnectTimeout: '10'},
      ...{UserKnownHostsFile: `${this.#folder}/known`, StrictHostKeyChecking: 'yes', HostKeyAlias: 'gate'},
      ...{ExitOnForwardFailure: 'yes', User: this.paths[0].login},
      ProxyCommand: this.inside('gate', '/usr/sbin/sshd', '-i').join(' '),
    }
    const given = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
    // The first value of an option counts.
    const words = ['ssh', '-F', 'none', ...before, ...given, 'gate', ...after]
    // With an agent to be forwarded.
    return run('ssh-agent', words, {env: {PATH: process.env['PATH'], HOME: this.#folder, ...env}})
  }

  /** A key's certificate that permits whatever a certificate may. */
  #certify(): string {
    const permits = ['agent-forwarding', 'port-forwarding', 'pty', 'user-rc', 'X11-forwarding']
    return signUserCertificate({
      ...{caPrivateKey: this.#authority.privateKey, publicKey: this.#key.publicKey, serial: 1n},
      ...{keyId: 'alice', principals: [`path-${this.paths[0].id}`]},
      extensions: permits.map(one => `permit-${one}`),
      ...{validAfter: new Date(0), validBefore: new Date(4e12)},
    })
  }

  /** A file of the machine that tries, for ssh. */
  file(name: string, text: string, mode = 0o600): string {
    const path = join(this.#folder, name)
    writeFileSync(path, text, {mode})
    return path
  }

  readonly mac = MAC

  get publicKey(): string {
    return this.#key.publicKey
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    this.#init.kill('SIGKILL')
    rmSync(this.#folder, {recursive: true, force: true})
  }
}
