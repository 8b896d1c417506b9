import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {createInterface} from 'node:readline'

import {expect} from '@jest/globals'

import {renderAccounts, renderGate} from '../../src/service/gates/render.ts'
import type {PathRow} from '../../src/service/store/schema.ts'
import {signHostCertificate, signUserCertificate} from '../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {attachment, GATE, INIT, MAC, NIC, NIC6, OUTSIDE, PATH, paths, SSHD, uuid} from './bare-gate-plan.ts'
import {ADVERTISE, HEAR, KNOCK, LINK, SERVER} from './knock.ts'
import {needOwnNetns} from './netns.ts'
import {eventually, type Result, run} from './run.ts'
import {without} from './script-lines.ts'

/*
 * A gate without a cloud: this machine's sshd and kernel with an /etc, a /run, processes and network of their own, a tenant's VM,
 * one on a network that the gate's own way out leads to, and the world, where somebody has an alias' address.
 * It becomes what the service's own script makes of it, or what is left of that when lines of it are taken away.
 */

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
  readonly paths = paths()
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

  /** Every namespace new, and its links such that nothing is lost on them. */
  async renew(push: Push = {}): Promise<void> {
    await this.push({slots: []})
    await this.push(push)
    const up = 'cat /sys/class/net/osv0/operstate; ip netns exec os-ssh-0 cat /sys/class/net/nic/operstate'
    const states = await eventually(
      () => this.sh(up),
      text => text === 'up\nup\n',
    )
    expect(states).toBe('up\nup\n')
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
