import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {parse, stringify} from 'yaml'

import {leaveAt} from '../../src/embedded/start.ts'
import {loadCloud, type OpenStack, openStack} from '../../src/openstack/index.ts'
import type {Path, PathGrant, Problem} from '../../src/protocol/index.ts'
import {stopAgent} from '../../src/ssh/agent.ts'
import {generateKeyPair, type KeyPairText} from '../../src/ssh/keys.ts'
import {needOwnNetns} from './netns.ts'
import {eventually, type Result, run} from './run.ts'
import {ServiceProcess} from './service.ts'
import {closeSite, openSite, type Site} from './site.ts'

export const root = new URL('../..', import.meta.url).pathname
const node = process.execPath
/** bin/run.js is what users run; OS_SSH_ENTRY=bin/dev.js tries the sources without a build. */
const entry = `${root}${process.env['OS_SSH_ENTRY'] ?? 'bin/run.js'}`
/** OS_SSH_TEST_PROGRAM: the path of an installed os-ssh that is tried instead. */
const installed = process.env['OS_SSH_TEST_PROGRAM']
const usual: readonly [string, ...string[]] = installed ? [installed] : [node, entry]

/** How often a service of the tests compares its rows with the cloud, s. */
const SURVEY_S = 5

/** A cloud, a service and a user's home, in a network namespace that is not the machine's. */
export class World {
  readonly site: Site
  readonly home: string
  readonly #name: string
  /** The first one is where the catalog says. */
  readonly #services: [ServiceProcess, ...ServiceProcess[]]
  readonly #program: readonly [string, ...string[]]
  #command: readonly [string, ...string[]] = [node]
  #options: readonly string[] = []
  #clouds: string

  private constructor(name: string, site: Site, home: string, program: readonly [string, ...string[]]) {
    this.#name = name
    this.#program = program
    this.site = site
    this.home = home
    this.#clouds = site.clouds_yaml
    this.#services = [new ServiceProcess(site.ssh_endpoint, `${home}/service.log`, this.env)]
  }

  /** @param name see openSite, also for `asIs` */
  static async open(
    name: string,
    options: {
      account?: string
      gate?: number | 'none'
      flags?: readonly string[]
      asIs?: boolean
      /** Nobody runs a service, and the catalog names none: what a user finds who has nothing but clouds.yaml. */
      alone?: boolean
      /** The section `gates` of the service's configuration file. */
      gates?: object
      /** Another os-ssh than this repository's: an installed one. */
      program?: readonly [string, ...string[]]
    } = {},
  ): Promise<World> {
    needOwnNetns()
    const home = mkdtempSync('/tmp/os-ssh-e2e-')
    mkdirSync(`${home}/run`, {mode: 0o700})
    mkdirSync(`${home}/.ssh`, {mode: 0o700})
    const site = await openSite(name, {asIs: options.asIs ?? false})
    const world = new World(name, site, home, options.program ?? usual)
    for (const [user, key] of Object.entries(world.site.user_keys)) {
      cpSync(key, `${home}/.ssh/id_${user}`)
      cpSync(`${key}.pub`, `${home}/.ssh/id_${user}.pub`)
    }
    if (options.alone) {
      world.#hideService()
      return world
    }
    const config = `${home}/service.yaml`
    // JSON is YAML.
    if (options.gates) writeFileSync(config, JSON.stringify({gates: options.gates}))
    const flags = [...(options.flags ?? []), ...(options.gates ? ['--config', config] : [])]
    await world.startService(options.account ?? 'service', flags)
    if (options.gate !== 'none')
      await world.addGate(
        options.gate ?? 0,
        options.account === undefined ? 'shared' : 'project',
        options.account,
      )
    return world
  }

  /** In a region that there is not, the catalog has no service. */
  #hideService(): void {
    const content = parse(readFileSync(this.site.clouds_yaml, 'utf8'))
    for (const cloud of Object.values<object>(content.clouds)) Object.assign(cloud, {ssh_region_name: 'none'})
    this.#clouds = `${this.home}/clouds.yaml`
    writeFileSync(this.#clouds, stringify(content), {mode: 0o600})
  }

  get env(): NodeJS.ProcessEnv {
    const {PATH, LANG} = process.env
    return {
      PATH,
      LANG,
      HOME: this.home,
      XDG_RUNTIME_DIR: `${this.home}/run`,
      OS_CLIENT_CONFIG_FILE: this.#clouds,
      OS_SSH_KEYCHAIN: 'agent',
      NO_COLOR: '1',
    }
  }

  get service(): ServiceProcess {
    return this.#services[0]
  }

  get servicePid(): number | undefined {
    return this.service.pid
  }

  get log(): string {
    return this.service.log
  }

  async startService(account: string, flags: readonly string[] = this.#options): Promise<void> {
    this.#options = flags
    const words = ['--os-cloud', account, '--state', `${this.home}/service`, '--survey', String(SURVEY_S)]
    const key = ['--management-key', this.site.management_key]
    this.#command = [...this.#program, 'service', 'start', ...words, ...key, ...flags]
    await this.service.start(this.#command)
  }

  /** By a configuration file that says all but the account. */
  async startConfigured(account: string, config: string): Promise<void> {
    this.#command = [...this.#program, 'service', 'start', '--os-cloud', account, '--config', config]
    await this.service.start(this.#command)
  }

  /** One more of the same on a port of its own: the same keys, and where the flags name a database, the same database. */
  async startReplica(): Promise<ServiceProcess> {
    const url = new URL(this.site.ssh_endpoint)
    const n = this.#services.length
    const {origin} = Object.assign(url, {port: String(Number(url.port) + n)})
    const replica = new ServiceProcess(origin, `${this.home}/service-${n + 1}.log`, this.env)
    this.#services.push(replica)
    await replica.start(this.#command)
    return replica
  }

  async stopService(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.service.stop(signal)
  }

  async addGate(index: number, scope: 'shared' | 'project', account = 'service'): Promise<void> {
    const gate = this.site.gates[index]
    if (gate === undefined) throw new Error(`the cloud has no gate ${index}`)
    // On a cloud that files share it is still an earlier file's, whose service is no more.
    await this.onGate('rm -f /etc/os-ssh/holder; : >/var/log/sshd.log', gate.host)
    const body = {server_id: gate.server_id, name: gate.name, host: gate.host, scope}
    await this.api(account, 'POST', '/v1/gates', body, 201)
  }

  /** The cloud as a user of clouds.yaml. */
  async cloud(name: string): Promise<OpenStack> {
    return openStack(await loadCloud({cloud: name, env: this.env, cwd: this.home}))
  }

  /** A call of the service with a fresh token of that user. */
  async api<T>(
    cloud: string,
    method: string,
    path: string,
    body?: unknown,
    expected?: number,
  ): Promise<T & {status: number}> {
    const answer = await this.service.ask<T>(await this.token(cloud), method, path, {body})
    if (expected !== undefined && answer.status !== expected)
      throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`)
    return answer
  }

  /** A fresh token of that user. */
  async token(cloud: string): Promise<string> {
    return (await (await this.cloud(cloud)).identity.token()).id
  }

  /** @param name of a server, or its id for one that is not the site's */
  server(name: string): string {
    if (/^[0-9a-f-]{36}$/.test(name)) return name
    const found = this.site.servers.find(server => server.name === name)
    if (found === undefined) throw new Error(`the cloud has no server ${name}`)
    return found.id
  }

  /** Asks for a path at the API, without the CLI; with the key that opens it. */
  async grant(
    cloud: string,
    server: string,
    key: KeyPairText = generateKeyPair(cloud),
  ): Promise<PathGrant & {key: KeyPairText}> {
    const body = {server_id: this.server(server), public_key: key.publicKey}
    return {...(await this.api<PathGrant>(cloud, 'POST', '/v1/paths', body, 201)), key}
  }

  async refusal(cloud: string, serverId: string): Promise<Problem> {
    return this.api<Problem>(cloud, 'POST', '/v1/paths', {
      server_id: serverId,
      public_key: generateKeyPair(cloud).publicKey,
    })
  }

  async paths(cloud: string): Promise<readonly Path[]> {
    return (await this.api<{paths: Path[]}>(cloud, 'GET', '/v1/paths')).paths
  }

  /** Ends all paths of this user. */
  async endPaths(cloud: string): Promise<void> {
    for (const path of await this.paths(cloud))
      await this.api(cloud, 'DELETE', `/v1/paths/${path.id}`, undefined, 204)
  }

  /** What the service has plugged in, as its operator sees it. */
  async attachments(): Promise<readonly {network_id: string; addresses: readonly string[]}[]> {
    type Listing = {attachments: {network_id: string; addresses: string[]}[]}
    return (await this.api<Listing>('service', 'GET', '/v1/attachments')).attachments
  }

  /** A VM of alice's, on t1-iso, that a test may delete; its id. */
  async throwaway(): Promise<string> {
    const cloud = await this.cloud('tenant1')
    const [network] = await cloud.network.networks({name: 't1-iso'})
    const [image] = await cloud.image.images({name: 'debian-12'})
    const {id} = await cloud.compute.createServer({
      name: 't1-throwaway',
      imageRef: image?.id,
      flavorRef: '1',
      key_name: 'alice',
      networks: [{uuid: network?.id}],
      security_groups: [{name: 'open'}],
    })
    await eventually(
      () => cloud.compute.server(id),
      server => server.status === 'ACTIVE',
      60_000,
    )
    return id
  }

  /** Waits until the service has compared its rows with the cloud. */
  surveyed(): Promise<void> {
    return sleep((SURVEY_S + 3) * 1000)
  }

  /** A command of the gate's root, to look from inside; not something a user has. */
  onGate(command: string, host = this.site.gates[0]?.host): Promise<Result> {
    return run('ssh', [...this.gateArguments(host), command])
  }

  /** What ssh is told to be a gate's root. */
  gateArguments(host = this.site.gates[0]?.host): string[] {
    const settings = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
    const options = settings.flatMap(setting => ['-o', setting])
    return ['-F', 'none', '-i', this.site.management_key, ...options, `root@${host}`]
  }

  /** os-ssh as that user of clouds.yaml. */
  cli(
    cloud: string,
    args: readonly string[],
    options: {env?: NodeJS.ProcessEnv; input?: string; timeout?: number} = {},
  ): Promise<Result> {
    const [program, ...words] = this.#program
    return run(program, [...words, ...args], {
      ...options,
      cwd: this.home,
      env: {...this.env, OS_CLOUD: cloud, ...options.env},
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#services.map(service => service.stop()))
    const agents = `${this.home}/run/os-ssh`
    for (const cloud of existsSync(agents) ? readdirSync(agents) : []) {
      await stopAgent(`${agents}/${cloud}`)
      await leaveAt({run: `${agents}/${cloud}`, state: ''}).catch(() => false)
    }
    const keep = process.env['OS_SSH_TEST_LOGS']
    for (const [n, {logFile}] of keep ? this.#services.entries() : [])
      cpSync(logFile, `${keep}/${this.#name}${n === 0 ? '' : `-${n + 1}`}.log`)
    await closeSite(this.site)
    rmSync(this.home, {recursive: true, force: true})
  }
}
