import {chmod, rm} from 'node:fs/promises'
import {hostname} from 'node:os'

import type {Logger} from 'pino'

import {OsSshError} from '../errors.ts'
import {plain, shortened} from '../names/plain.ts'
import type {OpenStack, Token} from '../openstack/index.ts'
import {Account} from './account.ts'
import {Activity} from './activity.ts'
import {authenticator} from './api/auth.ts'
import type {Authenticate} from './api/deps.ts'
import {createApi} from './api/server.ts'
import type {CertificateAuthority} from './ca/ca.ts'
import {LISTEN, NUMBERS} from './config/settings.ts'
import type {ServiceContext} from './context.ts'
import {Copy} from './copy.ts'
import {type GatesConfig, gatesConfig} from './deploy/config.ts'
import {Fleet} from './deploy/fleet.ts'
import {publicKeyOf} from './deploy/user-data.ts'
import {PathEvents} from './events.ts'
import {GateConnection} from './gates/connection.ts'
import {Gates} from './gates/gates.ts'
import {Jobs} from './jobs.ts'
import {Leases} from './leases.ts'
import type {Fairness, GrantLimits} from './limits.ts'
import {Reconciler} from './reconciler.ts'
import {instanceOf} from './store/instance.ts'
import {serviceId} from './store/leases.ts'
import {isPostgres, openStore} from './store/open.ts'
import {isAtRest} from './store/rest.ts'
import {type News, openWire} from './store/wire.ts'
import {Turns} from './turns.ts'

export interface ServiceConfig {
  /** The service's own account: a member of its gates' project, for shared ones with a role more (docs/service-account.md). */
  readonly cloud: OpenStack
  /** SQLite file or `postgres://…`. */
  readonly database: string
  /** OpenSSH private key that the gates accept for management: its text. */
  readonly managementKey: string
  readonly ca: CertificateAuthority
  /** `HOST:PORT` or `unix:PATH`. */
  readonly listen: string
  /** Whether it may listen on an address off loopback, where members' tokens pass without TLS. */
  readonly plainHttp?: boolean
  /** Longest and default life of a path, s. */
  readonly maxLife?: number
  readonly defaultLife?: number
  /** How long a network without live paths stays plugged in, s. */
  readonly grace?: number
  /** How often a gate is looked at whole, and the cloud for what it has taken away, s. */
  readonly resync?: number
  readonly survey?: number
  /** How long ended paths and the audit are kept, days. */
  readonly retention?: number
  /** Life of a certificate, s: how long a right that was withdrawn may still log in. */
  readonly certLife?: number
  /** Ids of the projects whose admins are operators here. */
  readonly adminProjects?: readonly string[]
  /** What one user or project may take; by default all, for a service that has one user. */
  readonly fairness?: Omit<Fairness, 'waiting'>
  readonly maxPathsPerGate?: number
  readonly maxNetworksPerGate?: number
  /** The gates that the service deploys; undefined: only when an operator says so. */
  readonly gates?: GatesConfig
  readonly version: string
  /** Who runs it, and where, for people who find its gates in their project. */
  readonly by: string
  readonly log: Logger
  /** Whether the account gets a new token by itself when one ends; by default it does. */
  readonly renews?: boolean
  /** Is told who calls, with a token that is valid. */
  readonly onCaller?: (token: Token) => void
  /** Whoever reaches the service may have it leave, by this. */
  readonly leave?: () => void
}

export interface RunningService {
  /** Where it listens: `http://…` or `unix:…`. */
  readonly url: string
  readonly activity: Pick<Activity, 'underWay' | 'quiet'>
  /** Could it go, and nothing would be missed: is nothing kept or under way that it would move on? */
  isAtRest(): Promise<boolean>
  /** Time has passed unseen, as when a laptop slept. */
  resume(): void
  /** Answers what is under way and stops; everything else is found again at the next start. */
  close(): Promise<void>
}

const DAY_MS = 24 * 3600 * 1000

/**
 * Starts the SSH service: cloud, project and embedded use differ in their configuration only.
 *
 * @throws OsSshError USAGE for a configuration that cannot work, Error of the file system or the database
 */
export async function createService(config: ServiceConfig): Promise<RunningService> {
  const {log, ca, database, managementKey} = config
  const management = publicKey(managementKey)
  const db = await openStore(database)
  const clock = Date.now
  const jobs = new Jobs(log)
  const limits = limitsOf(config)
  const copy = new Copy(db, await instanceOf(db))
  // The same after a restart, so that nobody waits for the lease of an earlier life.
  const replica = `${hostname()} ${config.listen}`
  const events = new PathEvents()
  const leases = new Leases(db, replica, clock)
  const context: ServiceContext = {
    db,
    leases,
    serviceId: await serviceId(db),
    ...{copy, by: config.by},
    ca,
    cloud: config.cloud,
    connect: (gate, lost) => new GateConnection(gate, managementKey, lost),
    log,
    clock,
    jobs,
    events,
    account: new Account(config.cloud, clock, config.renews),
  }
  const gates = new Gates(context)
  const hear = (news: News | undefined) => {
    events.hear(news)
    for (const id of news?.gates ?? []) jobs.run(() => gates.tend(id))
    for (const doubt of news?.doubts ?? []) jobs.run(() => gates.settle(doubt))
  }
  const wire = isPostgres(database) ? await openWire(database, db, log, hear) : undefined
  if (wire !== undefined) events.connect(wire)
  const fleet = new Fleet({
    ...{context, gates, config: config.gates ?? gatesConfig({})},
    managementKey: management,
    self: {id: context.serviceId, name: 'the SSH service', project_id: ''},
  })
  const reconciler = new Reconciler(context, gates, fleet, limits, {
    tick: 1000,
    grace: (config.grace ?? NUMBERS.grace.usual) * 1000,
    resync: (config.resync ?? NUMBERS.resync.usual) * 1000,
    survey: (config.survey ?? NUMBERS.survey.usual) * 1000,
    retention: (config.retention ?? NUMBERS.retention.usual) * DAY_MS,
  })
  const known = authenticator(config.cloud, clock, config.adminProjects ?? [], config.onCaller)
  const authenticate: Authenticate = async request => {
    copy.mustRun()
    return known(request)
  }
  const activity = new Activity(clock)
  const api = await createApi({
    context,
    gates,
    fleet,
    authenticate,
    limits,
    turns: config.fairness && new Turns(),
    ...{version: config.version, since: clock(), activity, leave: config.leave},
  })
  const url = await listen(api, config.listen, config.plainHttp ?? false)
  reconciler.start()
  return {
    url,
    activity,
    // What needs the cloud waits for whoever brings a token, and that is the next start.
    isAtRest: async () => copy.takenBy !== undefined || context.account.hasEnded || isAtRest(db),
    resume: () => reconciler.resume(),
    async close() {
      await api.close()
      // First, so that what is under way on a gate ends.
      gates.close()
      await jobs.stop()
      await leases.release().catch(err => log.warn({err}, 'leases are not given back'))
      await wire?.close()
      await db.destroy()
    },
  }
}

/** Who runs a service with this token, on this machine. */
export const byOf = ({user}: Token) => shortened(plain(`${user.name} on ${hostname()}`), 200)

function limitsOf(config: ServiceConfig): GrantLimits {
  const maxLife = config.maxLife ?? NUMBERS.max_life.usual
  return {
    maxLife,
    defaultLife: Math.min(config.defaultLife ?? NUMBERS.default_life.usual, maxLife),
    certLife: config.certLife ?? NUMBERS.cert_life.usual,
    fairness: config.fairness && {...config.fairness, waiting: new Map()},
    paths: config.maxPathsPerGate ?? NUMBERS.max_paths.usual,
    attachments: config.maxNetworksPerGate ?? NUMBERS.max_networks.usual,
  }
}

function publicKey(privateKey: string): string {
  try {
    return publicKeyOf(privateKey)
  } catch (cause) {
    throw new OsSshError('CONFIG', `the management key is none: ${(cause as Error).message}`, {
      cause,
      hint: 'a private key of OpenSSH without a passphrase: ssh-keygen -t ed25519 -N ""',
    })
  }
}

async function listen(
  api: Awaited<ReturnType<typeof createApi>>,
  where: string,
  plainHttp: boolean,
): Promise<string> {
  if (where.startsWith('unix:')) {
    const path = where.slice('unix:'.length)
    await rm(path, {force: true})
    await api.listen({path})
    await chmod(path, 0o600)
    return where
  }
  const match = LISTEN.exec(where)
  if (!match?.groups)
    throw new OsSshError('USAGE', `--listen ${JSON.stringify(where)} is not HOST:PORT or unix:PATH`)
  const {six, host, port} = match.groups
  const address = six ?? host ?? ''
  if (!plainHttp && !/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(address))
    throw new OsSshError('USAGE', `tokens would pass ${address} without TLS`, {
      hint: 'listen on loopback with a TLS proxy in front of it, or say --plain-http',
    })
  return api.listen({host: six ?? host ?? '127.0.0.1', port: Number(port)})
}
