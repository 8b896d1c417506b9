import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import {
  type OpenStack,
  OpenStackError,
  type Port,
  type Server,
  type Token,
} from '../../../src/openstack/index.ts'
import {type Caller, hostKeys, wish} from '../../../src/service/grant.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {endPaths, markKilled, releasePaths} from '../../../src/service/store/paths.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

/* The decisions of a grant against a real database; the cloud is a few answers. The real cloud's part is in e2e. */

const limits = {maxLife: 3600, defaultLife: 1800, attachments: 2, paths: 3}
const key = generateKeyPair('alice').publicKey
const server = {id: 's1', name: 'web', status: 'ACTIVE', tenant_id: 't1'} as Server
const port = {
  id: 'p1',
  network_id: 'n1',
  project_id: 't1',
  device_id: 's1',
  device_owner: 'compute:nova',
  security_groups: ['sg1'],
  fixed_ips: [{subnet_id: 'sub1', ip_address: '10.0.0.10'}],
} as unknown as Port

interface Answers {
  server?: Server
  ports?: Port[]
  console?: string
}

function cloud({server: vm = server, ports = [port], console = ''}: Answers = {}): OpenStack {
  return {
    compute: {
      server: async (id: string) => {
        if (id !== vm.id) throw new OpenStackError('not-found', 'Instance could not be found', {status: 404})
        return vm
      },
      consoleLog: async () => console,
    },
    network: {
      ports: async (filter: {device_owner?: unknown}) => (filter.device_owner === undefined ? ports : []),
      networks: async () => [{id: 'n1', project_id: 't1', mtu: 1450, 'router:external': false}],
      subnets: async () => [{id: 'sub1', network_id: 'n1', cidr: '10.0.0.0/24', ip_version: 4}],
    },
  } as unknown as OpenStack
}

const token = (change: Partial<Token> = {}): Token =>
  ({
    user: {id: 'u1', name: 'alice'},
    project: {id: 't1', name: 'tenant1'},
    roles: ['member', 'reader'],
    ...change,
  }) as Token
const caller = (answers: Answers = {}, change: Partial<Token> = {}): Caller => ({
  token: token(change),
  cloud: cloud(answers),
  source: '127.0.0.1',
})

let db: Store
let now = 1_000_000_000
const context = () => ({db, clock: () => now, log: pino({level: 'silent'})})
const ask = (who: Caller, change: object = {}) =>
  wish(context(), who, {server_id: 's1', public_key: key, ...change}, limits)

beforeEach(async () => {
  db = await openStore(':memory:')
  const gate = {
    id: 'g1',
    name: 'gate1',
    server_id: 'gs',
    project_id: 'infra',
    scope: 'shared',
    host: '192.0.2.1',
  } as const
  const rest = {
    port: 22,
    login: 'root',
    host_key: 'ssh-ed25519 AAAA',
    state: 'ready',
    reason: null,
    created_at: now,
  } as const
  await db
    .insertInto('gates')
    .values({...gate, ...rest})
    .execute()
})
afterEach(() => db.destroy())

describe('wish', () => {
  it('writes an attachment and a path at once', async () => {
    const path = await ask(caller())
    expect(path).toMatchObject({
      state: 'pending',
      route: 'attached',
      alias: '100.64.0.16',
      login: 'osp0000',
      address: '10.0.0.10',
    })
    expect(await db.selectFrom('attachments').selectAll().execute()).toMatchObject([
      {network_id: 'n1', state: 'wanted', slot: 0},
    ])
    expect(await db.selectFrom('audit').select('action').execute()).toEqual([{action: 'grant'}])
  })

  it('answers the same path again, and another user with another one on the same attachment', async () => {
    const [first, again] = [await ask(caller()), await ask(caller())]
    const other = await ask(caller({}, {user: {id: 'u2', name: 'eve'} as Token['user']}))
    expect(again.id).toBe(first.id)
    expect(other).toMatchObject({attachment_id: first.attachment_id, alias: '100.64.0.17', login: 'osp0001'})
  })

  it('gives ten simultaneous requests one path', async () => {
    const paths = await Promise.all(Array.from({length: 10}, () => ask(caller())))
    expect(new Set(paths.map(path => path.id)).size).toBe(1)
  })

  it('waits for a gate that is letting go of the very network', async () => {
    const first = await ask(caller())
    await endPaths(db, {ids: [first.id]}, now)
    await db.updateTable('attachments').set({state: 'removing'}).execute()
    const again = ask(caller())
    await new Promise(resolve => setTimeout(resolve, 400))
    await db.deleteFrom('attachments').execute()
    expect(await again).toMatchObject({state: 'pending', network_id: 'n1'})
  })

  it('renews when a third of the life is gone, not before', async () => {
    const first = await ask(caller())
    await db.updateTable('paths').set({state: 'active'}).execute()
    now += 500_000
    expect((await ask(caller())).expires_at).toBe(first.expires_at)
    now += 200_000
    expect((await ask(caller())).expires_at).toBe(now + 1_800_000)
  })

  it('shortens a life that is too long', async () => {
    expect((await ask(caller(), {life: 999_999})).expires_at).toBe(now + 3_600_000)
  })

  it('makes a new path when the VM has got another address', async () => {
    const first = await ask(caller())
    const moved = {...port, fixed_ips: [{subnet_id: 'sub1', ip_address: '10.0.0.99'}]}
    const second = await ask(caller({ports: [moved]}))
    expect(second.id).not.toBe(first.id)
    expect(second.alias).not.toBe(first.alias)
    expect(await db.selectFrom('paths').select(['id', 'state']).where('id', '=', first.id).execute()).toEqual(
      [{id: first.id, state: 'ended'}],
    )
  })

  it('gives alias and account to nobody else before the quarantine is over', async () => {
    const first = await ask(caller())
    await endPaths(db, {ids: [first.id]}, now)
    expect(await ask(caller())).toMatchObject({alias: '100.64.0.17', login: 'osp0001'})
    await markKilled(db, [first.id], now)
    await releasePaths(db, now - 1, now, 'g1')
    expect(await ask(caller({}, {user: {id: 'u2', name: 'b'} as Token['user']}))).toMatchObject({
      login: 'osp0002',
    })
    await releasePaths(db, now, now, 'g1')
    expect(await ask(caller({}, {user: {id: 'u3', name: 'c'} as Token['user']}))).toMatchObject({
      login: 'osp0000',
    })
  })

  it('gives a new network no alias that still rests, though it takes the same slot', async () => {
    const first = await ask(caller())
    await endPaths(db, {ids: [first.id]}, now)
    await db.deleteFrom('attachments').execute()
    expect((await ask(caller())).alias).toBe('100.64.0.17')
  })

  it.each([
    ['NOT_FOUND', 'unknown VM', caller({server: {...server, id: 'other'}})],
    ['DENIED', 'reader', caller({}, {roles: ['reader']})],
    [
      'DENIED',
      'member of another project',
      caller({}, {project: {id: 't2', name: 't2'} as NonNullable<Token['project']>}),
    ],
    ['VM_OFF', 'shut off', caller({server: {...server, status: 'SHUTOFF'}})],
    ['VM_NO_ADDRESS', 'no interface', caller({ports: []})],
  ])('says %s for %s', async (code, _, who) => {
    await expect(ask(who)).rejects.toMatchObject({code})
    expect(await db.selectFrom('paths').selectAll().execute()).toEqual([])
    expect(await db.selectFrom('attachments').selectAll().execute()).toEqual([])
  })

  it('takes no key but Ed25519', async () => {
    await expect(ask(caller(), {public_key: 'ssh-ed25519 AAAA x\nreboot'})).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('lets an admin in everywhere', async () => {
    await expect(
      ask(caller({}, {roles: ['admin'], project: {id: 'x', name: 'x'} as NonNullable<Token['project']>})),
    ).resolves.toBeTruthy()
  })
})

describe('hostKeys', () => {
  const log = (name: string) =>
    `-----BEGIN SSH HOST KEY KEYS-----\r\n${generateKeyPair(name).publicKey}\r\n-----END SSH HOST KEY KEYS-----\r\n`

  it('pins what it saw first', async () => {
    const first = await hostKeys(context(), cloud({console: log('a')}), 's1')
    expect(first).toHaveLength(1)
    expect(await hostKeys(context(), cloud({console: log('b')}), 's1')).toEqual(first)
  })

  it('pins nothing when the console shows nothing', async () => {
    expect(await hostKeys(context(), cloud(), 's1')).toEqual([])
    expect(await hostKeys(context(), cloud({console: log('a')}), 's1')).toHaveLength(1)
  })
})
