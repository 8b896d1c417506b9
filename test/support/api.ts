import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeAll, beforeEach, expect} from '@jest/globals'
import {pino} from 'pino'

import {type CloudConfig, type OpenStack, OpenStackError, openStack} from '../../src/openstack/index.ts'
import {Activity} from '../../src/service/activity.ts'
import {authenticator} from '../../src/service/api/auth.ts'
import type {Api, Deps} from '../../src/service/api/deps.ts'
import {createApi} from '../../src/service/api/server.ts'
import {type CertificateAuthority, openCa} from '../../src/service/ca/ca.ts'
import type {ServiceContext} from '../../src/service/context.ts'
import {Copy} from '../../src/service/copy.ts'
import {gatesConfig} from '../../src/service/deploy/config.ts'
import {Fleet} from '../../src/service/deploy/fleet.ts'
import type {Gates} from '../../src/service/gates/gates.ts'
import {openStore, type Store} from '../../src/service/store/open.ts'
import {activatePaths, cutPaths} from '../../src/service/store/path-steps.ts'
import {path as pathById, pathsOfGate} from '../../src/service/store/paths.ts'
import type {AuditRow} from '../../src/service/store/schema.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {matches} from './fake-rows.ts'
import {gateRow} from './rows.ts'
import {seen} from './seen.ts'

/*
 * The service's API in this process, for tests of its routes: the store is real; cloud, gates and time are the test's. Whoever
 * imports this has a new one for each test.
 */

export const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
export const [VM, NETWORK, GATE, GATE_SERVER] = [1, 2, 3, 4].map(id) as [string, string, string, string]
/** A server whose console shows no key that could be pinned. */
export const KEYLESS = id(5)
export const NOW = Date.UTC(2026, 10, 25)
export const key = generateKeyPair('alice').publicKey
const keyLine = (type: string, ...fields: Uint8Array[]) => {
  const lengths = [Buffer.from(type), ...fields].flatMap(field => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(field.length)
    return [length, field]
  })
  return `${type} ${Buffer.concat(lengths).toString('base64')}`
}
/** Keys that are whole; only the first is of a type that is granted by. */
export const otherKeys = {
  ed25519: keyLine('ssh-ed25519', Buffer.alloc(32, 7)),
  rsa: keyLine('ssh-rsa', Buffer.from([1, 0, 1]), Buffer.alloc(257, 0x7f)),
  ecdsa: keyLine('ecdsa-sha2-nistp256', Buffer.from('nistp256'), Buffer.alloc(65, 4)),
  sk: keyLine('sk-ssh-ed25519@openssh.com', Buffer.alloc(32, 1), Buffer.from('ssh:')),
}
export const hostKey = generateKeyPair('web').publicKey.split(' ').slice(0, 2).join(' ')

const people = {
  alice: {user: {id: 'alice', name: 'alice'}, project: {id: 't1', name: 'tenant1'}, roles: ['member']},
  /** She herself, by a token for another project, and when she has lost her role. */
  elsewhere: {user: {id: 'alice', name: 'alice'}, project: {id: 't2', name: 'tenant2'}, roles: ['member']},
  demoted: {user: {id: 'alice', name: 'alice'}, project: {id: 't1', name: 'tenant1'}, roles: ['reader']},
  /** Of the same project as alice. */
  carol: {user: {id: 'carol', name: 'Carol'}, project: {id: 't1', name: 'tenant1'}, roles: ['member']},
  /** Who is admin of a domain has that role in its projects, too. */
  boss: {user: {id: 'boss', name: 'boss'}, project: {id: 't1', name: 'tenant1'}, roles: ['admin', 'reader']},
  reader: {user: {id: 'rita', name: 'rita'}, project: {id: 't1', name: 'tenant1'}, roles: ['reader']},
  bob: {user: {id: 'bob', name: 'bob'}, project: {id: 't2', name: 'tenant2'}, roles: ['member']},
  unscoped: {user: {id: 'una', name: 'una'}, roles: []},
  operator: {user: {id: 'op', name: 'op'}, project: {id: 'infra', name: 'infra'}, roles: ['member']},
}
export type Who = keyof typeof people
const tokenOf = (who: Who) => `token-of-${who}-0123456789`

export let db: Store
export let ca: CertificateAuthority
let api: Api
/** What the gate and its worker do with a path that is to be made, and whether they say that one was cut. */
export const gate = {
  provision: async (_: string): Promise<void> => undefined,
  answers: true,
  /** Is it another replica's? That one does what it is asked for while somebody waits. */
  elsewhere: false,
}
/** What was asked of the gates, by name; and the paths that somebody waited for, each with the time that is left, ms. */
export const asked = {gates: [] as string[], waits: [] as [string, number][]}
/** What the routes work with; a test may have it changed before it asks. */
export let deps: {-readonly [K in keyof Deps]: Deps[K]}
/** What the cloud says instead of its images and security groups, if anything. */
export const refusal: {fault?: OpenStackError | undefined} = {}
/** Prefixes that the gates' group was told to admit. */
export const admitted: string[] = []
const home = mkdtempSync(join(tmpdir(), 'os-ssh-api-'))
const cloud = openStack({name: 'c', auth: {auth_url: 'http://127.0.0.1:1'}} as unknown as CloudConfig)

function fakes() {
  const facts = seen()
  const port = {
    ...{id: id(9), network_id: NETWORK, project_id: 't1', device_id: VM, device_owner: 'compute:nova'},
    ...{security_groups: ['sg'], fixed_ips: [{subnet_id: id(8), ip_address: '10.0.0.10'}]},
  }
  const servers = [
    {id: VM, name: 'web', status: 'ACTIVE', tenant_id: 't1', 'OS-EXT-AZ:availability_zone': 'az1'},
    {id: GATE_SERVER, name: 'gate', status: 'ACTIVE', tenant_id: 'infra'},
    {id: KEYLESS, name: 'bare', status: 'ACTIVE', tenant_id: 'infra', 'OS-EXT-AZ:availability_zone': ''},
  ]
  return {
    identity: {
      async validate(secret: string) {
        const [, who] = /^token-of-(\w+)-/.exec(secret) ?? []
        if (who === undefined || !(who in people)) throw new OpenStackError('unauthorized', 'no such token')
        return {...people[who as Who], id: secret, catalog: [], expires_at: new Date(NOW + 3_600_000)}
      },
      token: async () => ({project: {id: 'infra', name: 'the infrastructure'}, catalog: []}),
    },
    compute: {
      async server(wanted: string) {
        const found = servers.find(server => server.id === wanted)
        if (found === undefined)
          throw new OpenStackError('not-found', 'Instance could not be found', {status: 404})
        return found
      },
      consoleLog: async (server: string) =>
        ['-----BEGIN SSH HOST KEY KEYS-----', server === KEYLESS ? otherKeys.rsa : `${hostKey} root@web`]
          .concat('-----END SSH HOST KEY KEYS-----', '')
          .join('\n'),
      instanceActions: async () => [],
      flavors: async () => facts.flavors,
      limits: async () => facts.limits,
      availabilityZones: async () => facts.zones,
    },
    image: {
      async images() {
        if (refusal.fault !== undefined) throw refusal.fault
        return facts.images
      },
    },
    network: {
      ports: async (filter: {device_owner?: unknown; project_id?: string}) => {
        if (filter.device_owner === undefined) return [port]
        return filter.project_id === 'infra' ? facts.legs : []
      },
      networks: async (filter: Record<string, unknown>) =>
        // The service's own account looks where its gates may stand.
        ['project_id', 'shared', 'router:external'].some(key => key in filter)
          ? facts.networks.filter(one => matches(one, filter))
          : [{id: NETWORK, project_id: 't1', mtu: 1450, 'router:external': false}],
      routers: async (filter?: {project_id?: string}) =>
        filter?.project_id === 'infra' ? facts.routers : [],
      subnets: async (filter?: {network_id?: unknown}) =>
        Array.isArray(filter?.network_id) && filter.network_id.includes('net')
          ? facts.subnets
          : [{id: id(8), network_id: NETWORK, cidr: '10.0.0.0/24', ip_version: 4}],
      quotas: async () => facts.quotas,
      async securityGroups() {
        if (refusal.fault !== undefined) throw refusal.fault
        return [{id: id(20), name: 'gates', security_group_rules: []}]
      },
      async createSecurityGroupRule({remote_ip_prefix}: {remote_ip_prefix: string}) {
        admitted.push(remote_ip_prefix)
      },
    },
  }
}

/** A round of the gate: what is over is cut, or it is down. */
async function round(gateId: string): Promise<void> {
  const over = (await pathsOfGate(db, gateId)).filter(path => path.state === 'ended')
  if (!gate.answers) await db.updateTable('gates').set({state: 'down'}).execute()
  else
    await cutPaths(
      db,
      over.map(path => path.id),
      NOW,
    )
}

beforeAll(async () => {
  ca = await openCa(join(home, 'ca'))
  Object.assign(cloud, fakes(), {as: () => cloud})
})
afterAll(() => rmSync(home, {recursive: true}))

beforeEach(async () => {
  db = await openStore(':memory:')
  await gateRow(db, {id: GATE, server_id: GATE_SERVER, host: '192.0.2.1'})
  Object.assign(gate, {answers: true, elsewhere: false})
  Object.assign(asked, {gates: [], waits: []})
  refusal.fault = undefined
  admitted.length = 0
  gate.provision = path => activatePaths(db, [path])
  const context = {
    ...{db, ca, cloud: cloud as OpenStack, clock: () => NOW, log: pino({level: 'silent'})},
    events: {
      emit: () => undefined,
      async wait(_: unknown, path: string, deadline: number, is?: unknown) {
        asked.waits.push([path, deadline - NOW])
        if (is === undefined) await gate.provision(path)
        else if (gate.elsewhere) await round(GATE)
        return pathById(db, path)
      },
    },
    jobs: {once: () => undefined},
    leases: {hold: async () => undefined},
    ...{serviceId: 'service', by: 'ops on here', copy: new Copy(db, {id: 'copy'})},
  } as unknown as ServiceContext
  const gates: Partial<Gates> = {
    async wake(gateId) {
      asked.gates.push(`wake ${gateId}`)
      if (!gate.elsewhere) await round(gateId)
      return !gate.elsewhere
    },
    wakeFor: paths => void asked.gates.push(...paths.map(path => `soon ${path.gate_id}`)),
    leave: async ({id}) => void asked.gates.push(`leave ${id}`),
    seenFrom: async () => '198.51.100.9',
    forget: gateId => void asked.gates.push(`forget ${gateId}`),
  }
  const fleet = new Fleet({
    ...{context, gates: gates as Gates, config: gatesConfig({}), managementKey: 'ssh-ed25519 AAAA'},
    self: {id: 'service', name: 'the SSH service', project_id: ''},
  })
  deps = {
    ...{context, gates, fleet, version: '1.2.3', authenticate: authenticator(cloud, () => NOW, [])},
    ...{since: NOW, activity: new Activity(() => NOW)},
    limits: {maxLife: 7200, defaultLife: 3600, certLife: 600, paths: 9, attachments: 9},
  } as unknown as Deps
  api = await createApi(deps)
})
afterEach(async () => {
  await api.close()
  await db.destroy()
})

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export async function ask(who: Who | undefined, method: Method, url: string, payload?: object) {
  const headers: Record<string, string> = who === undefined ? {} : {'x-auth-token': tokenOf(who)}
  return inject(method, url, headers, payload)
}

/** With these headers and no others. */
export async function inject(
  method: Method,
  url: string,
  headers: Record<string, string>,
  payload?: object | string,
) {
  const reply = await api.inject({method, url, headers, ...(payload !== undefined && {payload})})
  return {
    status: reply.statusCode,
    headers: reply.headers,
    type: String(reply.headers['content-type']),
    body: bodyOf(reply),
  }
}
function bodyOf({payload, headers}: {payload: string; headers: Readonly<Record<string, unknown>>}) {
  if (payload === '') return undefined
  return String(headers['content-type']).includes('json') ? JSON.parse(payload) : payload
}

/** Who did this, in which project, to what, and from where; the newest first. */
export async function audited(...actions: AuditRow['action'][]) {
  const rows = await db
    .selectFrom('audit')
    .select(['user_name', 'project_id', 'detail', 'server_id', 'source'])
    .where('action', 'in', actions)
    .orderBy('id', 'desc')
    .execute()
  return rows.map(row => Object.values(row))
}
export const grant = (who: Who, change: object = {}) =>
  ask(who, 'POST', '/v1/paths', {server_id: VM, public_key: key, ...change})
export const problemOf = (status: number, code: string, detail?: string) => ({
  status,
  type: 'application/problem+json; charset=utf-8',
  body: expect.objectContaining({code, title: code, status, ...(detail === undefined ? {} : {detail})}),
})
