import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtempSync, writeFileSync} from 'node:fs'
import {isIPv6} from 'node:net'
import {createInterface} from 'node:readline'

import type {PathGrant} from '../../src/protocol/index.ts'
import type {KeyPairText} from '../../src/ssh/keys.ts'
import {type Result, run} from './run.ts'
import type {World} from './world.ts'

interface Session {
  /** The VM says the word again. */
  say(word: string): Promise<string>
  /** The exit status of ssh. */
  readonly ended: Promise<number | null>
  end(): void
}

/** An OpenSSH client with one path's certificate, for tests that do on purpose what os-ssh never would. */
export class GateClient {
  readonly grant: PathGrant
  readonly directory: string
  readonly #world: World

  constructor(world: World, grant: PathGrant & {key: KeyPairText}, certificate = grant.certificate) {
    this.#world = world
    this.grant = grant
    this.directory = mkdtempSync(`${world.home}/client-`)
    const write = (name: string, text: string) =>
      writeFileSync(`${this.directory}/${name}`, text, {mode: 0o600})
    write('id', grant.key.privateKey)
    write('id.pub', `${grant.key.publicKey}\n`)
    write('id-cert.pub', `${certificate}\n`)
    const authorities = grant.host_cas ?? [grant.host_ca]
    write('gate_known_hosts', authorities.map(ca => `@cert-authority ${grant.gate.id} ${ca}\n`).join(''))
    write('vm_known_hosts', grant.host_keys.map(key => `${grant.server_id} ${key}\n`).join(''))
  }

  /** Options of the gate's hop. */
  options(login = this.grant.login): string[] {
    const {gate} = this.grant
    const settings = {
      BatchMode: 'yes',
      IdentitiesOnly: 'yes',
      IdentityFile: `${this.directory}/id`,
      CertificateFile: `${this.directory}/id-cert.pub`,
      UserKnownHostsFile: `${this.directory}/gate_known_hosts`,
      StrictHostKeyChecking: 'yes',
      HostKeyAlias: gate.id,
      ConnectTimeout: '10',
      ExitOnForwardFailure: 'yes',
      User: login,
      Port: String(gate.port),
    }
    return ['-F', 'none', ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])]
  }

  /** ssh to the gate itself with these arguments around its address. */
  gate(
    before: readonly string[],
    after: readonly string[] = [],
    login?: string,
    timeout = 15_000,
  ): Promise<Result> {
    const args = [...this.options(login), ...before, this.grant.gate.host, ...after]
    return run('ssh', args, {env: this.#world.env, timeout})
  }

  /** What a TCP service behind the gate says first: an SSH banner when the forward works. */
  async banner(target: string): Promise<string> {
    const {stdout, stderr} = await this.gate(['-W', target])
    return stdout.startsWith('SSH-') ? (stdout.split('\r\n')[0] ?? '') : stderr.trim()
  }

  get alias(): string {
    const {alias, port} = this.grant
    return isIPv6(alias) ? `[${alias}]:${port}` : `${alias}:${port}`
  }

  /** Arguments of ssh to the VM through the gate, as one user of the VM. */
  vmArguments(identity: string, user = 'debian'): string[] {
    const proxy = ['ssh', ...this.options(), '-W', this.alias, this.grant.gate.host].join(' ')
    const settings = {
      BatchMode: 'yes',
      ProxyCommand: proxy,
      HostKeyAlias: this.grant.server_id,
      UserKnownHostsFile: `${this.directory}/vm_known_hosts`,
      StrictHostKeyChecking: 'yes',
      IdentitiesOnly: 'yes',
      IdentityFile: identity,
      User: user,
    }
    return [
      '-F',
      'none',
      ...Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]),
      'vm',
    ]
  }

  /** @param timeout ms */
  vm(identity: string, command: readonly string[], timeout = 30_000): Promise<Result> {
    return run('ssh', [...this.vmArguments(identity), ...command], {env: this.#world.env, timeout})
  }

  /** A session in the VM that stays, once it is there. @param more options of ssh. @throws Error when it ends before */
  async session(identity: string, more: readonly string[] = []): Promise<Session> {
    const child = spawn('ssh', [...more, ...this.vmArguments(identity), 'echo up; cat'], {
      env: this.#world.env,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    child.stdin.on('error', () => undefined)
    const ended = once(child, 'exit').then(([status]) => status as number | null)
    const lines = createInterface({input: child.stdout})[Symbol.asyncIterator]()
    const heard = async () => String((await lines.next()).value)
    if ((await heard()) !== 'up') throw new Error('no session')
    const say = (word: string) => {
      child.stdin.write(`${word}\n`)
      return heard()
    }
    return {say, ended, end: () => child.kill()}
  }
}
