import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import type {OpenStack, ServerCreate} from '../../src/openstack/index.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {eventually, type Result, run} from './run.ts'

/** A boot may take that long on a busy machine, ms. */
const BOOT_MS = 120_000

/** A server with user data, through the eyes of who boots it: booted, looked into by ssh with a key of its own, deleted. */
export class Guest {
  readonly id: string
  readonly host: string
  readonly #cloud: OpenStack
  readonly #folder: string
  /** More options of ssh, for a way there. */
  readonly #way: readonly string[]

  private constructor(cloud: OpenStack, id: string, host: string, folder: string, way: readonly string[]) {
    this.#cloud = cloud
    this.id = id
    this.host = host
    this.#folder = folder
    this.#way = way
  }

  /**
   * @param server body of the request without its user data
   * @param userData of a public key that the guest is to admit
   */
  static async boot(
    cloud: OpenStack,
    server: ServerCreate,
    host: string,
    userData: (publicKey: string) => string,
    way: readonly string[] = [],
  ): Promise<Guest> {
    const folder = mkdtempSync(join(tmpdir(), 'os-ssh-guest-'))
    const key = generateKeyPair('test')
    writeFileSync(join(folder, 'key'), key.privateKey, {mode: 0o600})
    const user_data = Buffer.from(userData(key.publicKey)).toString('base64')
    const {id} = await cloud.compute.createServer({...server, user_data, config_drive: true})
    return new Guest(cloud, id, host, folder, way)
  }

  /** The console, once that many boots have come to their end. @param times since the disk was made */
  async booted(times = 1): Promise<string> {
    const log = await eventually(
      () => this.console(),
      text => (text.match(/ login: $/gm)?.length ?? 0) >= times,
      BOOT_MS,
    )
    if ((log.match(/ login: $/gm)?.length ?? 0) < times) throw new Error(`no boot ${times} in: ${log}`)
    await this.is('ACTIVE')
    return log
  }

  /** Empty while there is no host yet, for which Nova answers 409. */
  async console(): Promise<string> {
    return this.#cloud.compute.consoleLog(this.id).catch(error => {
      if (error.status === 409) return ''
      throw error
    })
  }

  /** Waits for a status of Nova's. */
  async is(wanted: string): Promise<void> {
    const {status} = await eventually(
      () => this.#cloud.compute.server(this.id),
      server => server.status === wanted,
      BOOT_MS,
    )
    if (status !== wanted) throw new Error(`${this.id} is ${status}, not ${wanted}`)
  }

  async act(action: object): Promise<void> {
    const answer = await this.#request('POST', '/action', action)
    if (answer.status !== 202)
      throw new Error(`${JSON.stringify(action)}: ${answer.status} ${await answer.text()}`)
  }

  /** What the owner is told of a server in ERROR. */
  async fault(): Promise<string | undefined> {
    const {server} = (await (await this.#request('GET', '')).json()) as {
      server: {fault?: {message: string}}
    }
    return server.fault?.message
  }

  /** A command in the guest, by the key that its user data names; whatever its host key is. */
  ssh(user: string, command: string, key = join(this.#folder, 'key')): Promise<Result> {
    const settings = [
      'StrictHostKeyChecking=no',
      'UserKnownHostsFile=/dev/null',
      'LogLevel=ERROR',
      'BatchMode=yes',
    ]
    const options = [...settings, 'ConnectTimeout=10'].flatMap(setting => ['-o', setting])
    return run('ssh', ['-F', 'none', '-i', key, ...options, ...this.#way, `${user}@${this.host}`, command])
  }

  /** `type base64` of the host key, as the console tells it. */
  async hostKey(): Promise<string | undefined> {
    return /BEGIN SSH HOST KEY KEYS-----\n(ssh-ed25519 \S+)/.exec(await this.console())?.[1]
  }

  /** Deletes the server and waits until Nova knows it no more. */
  async delete(): Promise<void> {
    rmSync(this.#folder, {recursive: true, force: true})
    await this.#cloud.compute.deleteServer(this.id)
    const gone = () =>
      this.#cloud.compute.server(this.id).then(
        () => false,
        error => error.status === 404,
      )
    if (!(await eventually(gone, Boolean, BOOT_MS))) throw new Error(`${this.id} is still there`)
  }

  async #request(method: string, path: string, body?: object): Promise<Response> {
    return fetch(`${await this.#cloud.endpoint('compute')}/servers/${this.id}${path}`, {
      method,
      headers: {
        'x-auth-token': (await this.#cloud.identity.token()).id,
        'content-type': 'application/json',
      },
      ...(body && {body: JSON.stringify(body)}),
    })
  }
}

/** JSON is YAML. */
export const cloudConfig = (config: object) => `#cloud-config\n${JSON.stringify(config)}\n`
