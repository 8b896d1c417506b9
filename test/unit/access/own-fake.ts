import {rmSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import {text} from 'node:stream/consumers'

import {jest} from '@jest/globals'

import type {Session} from '../../../src/access/session.ts'
import type {Handover} from '../../../src/embedded/handover.ts'
import type {Place} from '../../../src/embedded/place.ts'
import type {KeychainKind} from '../../../src/keychain/keychain.ts'
import type {Gate} from '../../../src/protocol/index.ts'
import {fakeApi} from '../../support/fake-api.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {clockOf} from '../../support/virtual-time.ts'

/*
 * One's own service, in this process: a few answers at its socket, which are there when it has been started. All that starts it is the
 * real thing but the process. What uses it must be imported after this, by `await import`.
 */

let started: OwnFake | undefined
const daemon = await import('../../../src/system/daemon.ts')
jest.unstable_mockModule('../../../src/system/daemon.ts', () => ({
  ...daemon,
  startDaemon: (argv: string[], log: string, env: NodeJS.ProcessEnv, input: string) =>
    started?.begin(argv, log, env, input),
}))
const {ownService} = await import('../../../src/access/own-service.ts')
const {placeOf, socketOf} = await import('../../../src/embedded/place.ts')
const {packageVersion} = await import('../../../src/system/directories.ts')

export const SERVICE = '00000000-0000-4000-8000-00000000000a'
export const THEIRS = '00000000-0000-4000-8000-00000000000b'
export const PROJECT = {id: 'infra', name: 'shop'}

type Reply = {readonly status?: number; readonly body?: unknown} | 'reset' | undefined

export class OwnFake {
  readonly cloud = new FakeCloud()
  readonly requests: string[] = []
  readonly said: string[] = []
  readonly told: string[] = []
  /** What it was started with, each time. */
  readonly starts: {argv: readonly string[]; env: NodeJS.ProcessEnv; handover: Handover}[] = []
  readonly secrets = new Map<string, string>()
  readonly place: Place
  readonly session: Session
  version = packageVersion()
  project: {id: string; name: string} | undefined = PROJECT
  endpoint: string | undefined
  gates: Gate[] = []
  /** What is looked at, or answered, before anything else. */
  before: (method: string, path: string, body: unknown) => Reply | Promise<Reply> = () => undefined
  #server: Server | undefined

  /** @param home a short path: sockets lie below it */
  constructor(home: string, kind: KeychainKind = 'system') {
    started = this
    clockOf(this.cloud)
    const env = {HOME: home, XDG_STATE_HOME: `${home}/state`}
    this.place = placeOf('mine', `${home}/run`, env)
    const token = async () => ({
      ...{id: 'gAAAA', user: {id: 'u', name: 'alice'}, project: this.project, roles: ['member']},
      ...{catalog: [], expires_at: new Date('2030-01-01T00:00:00Z')},
    })
    const keychain = {
      kind,
      get: async (account: string) => this.secrets.get(account),
      set: async (account: string, secret: string) => void this.secrets.set(account, secret),
      delete: async (account: string) => void this.secrets.delete(account),
    }
    const config = {name: 'mine', auth: {auth_url: 'http://k', username: 'alice', password: 'typed'}}
    const session = {
      ...{name: 'mine', config, env, directory: `${home}/run`, keychain, token},
      cloud: {...fakeApi(this.cloud), identity: {token}},
      say: (line: string) => this.said.push(line),
      progress: (line: string) => this.told.push(line),
      during: <T>(_: string, work: Promise<T>) => work,
      endpoint: async () => this.endpoint,
      service: async () => ownService(session as unknown as Session),
    }
    this.session = session as unknown as Session
  }

  get runs(): boolean {
    return this.#server !== undefined
  }

  begin(argv: readonly string[], _: string, env: NodeJS.ProcessEnv, input: string): number {
    this.starts.push({argv, env, handover: JSON.parse(input)})
    this.listen()
    return process.pid
  }

  listen(): void {
    this.#server = createServer(async (request, response) => {
      const {method = '', url = ''} = request
      const content = await text(request)
      const body = content && JSON.parse(content)
      if (url !== '/healthz') this.requests.push(`${method} ${url}${content && ` ${content}`}`)
      const reply = (await this.before(method, url, body)) ?? this.#answer(method, url, body)
      if (reply === 'reset') return void request.socket.destroy()
      response
        .writeHead(reply?.status ?? 200)
        .end(reply?.body === undefined ? '' : JSON.stringify(reply.body))
      if (url === '/v1/service/leave') this.stop()
    }).listen(socketOf(this.place))
  }

  stop(): void {
    this.#server?.close()
    this.#server = undefined
    rmSync(socketOf(this.place), {force: true})
  }

  #answer(method: string, url: string, body: {count?: number; dry_run?: boolean}): Reply {
    if (url === '/healthz') return {body: {version: this.version}}
    if (url.startsWith('/v1/service'))
      return {body: {id: SERVICE, project_id: PROJECT.id, project_name: PROJECT.name}}
    if (method === 'POST' && url === '/v1/gates/deploy') {
      if (body.dry_run) return {body: {plan: {count: body.count}}}
      const made = Array.from({length: body.count ?? 0}, (_, n) => gate(`made-${n}`, {state: 'booting'}))
      this.gates.push(...made.map(one => ({...one, state: 'ready' as const})))
      return {body: {gates: made}}
    }
    if (method === 'GET') return {body: {gates: this.gates}}
    return {status: 200, body: {}}
  }
}

export const gate = (name: string, change: Partial<Gate> = {}) =>
  ({id: `id-${name}`, name, state: 'ready', deployed: true, paths: 0, attachments: 0, ...change}) as Gate
