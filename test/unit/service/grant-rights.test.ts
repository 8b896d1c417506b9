import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import {
  type OpenStack,
  OpenStackError,
  type Port,
  type Server,
  type Token,
} from '../../../src/openstack/index.ts'
import type {Caller} from '../../../src/service/caller.ts'
import {GateIsComing} from '../../../src/service/deploy/coming.ts'
import {PathEvents} from '../../../src/service/events.ts'
import {grantPath} from '../../../src/service/grant.ts'
import {placeWaiting} from '../../../src/service/placement.ts'
import {auditPage} from '../../../src/service/store/audit.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path as pathById} from '../../../src/service/store/paths.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {string} from '../../../src/ssh/wire.ts'
import {matches} from '../../support/fake-rows.ts'
import {attachmentRow, gateRow} from '../../support/rows.ts'

/* Who may have a path, by which key, to which address, by whose gate and for how long. */

const limits = {maxLife: 3600, defaultLife: 1800, certLife: 600, attachments: 2, paths: 9}
const key = generateKeyPair('alice').publicKey
const server = {id: 's1', name: 'web', status: 'ACTIVE', tenant_id: 't1'} as Server
const port = (network_id: string, ip_address: string) =>
  ({
    ...{id: `p ${network_id}`, network_id, project_id: 't1', device_id: 's1', device_owner: 'compute:nova'},
    ...{security_groups: [], fixed_ips: [{subnet_id: network_id, ip_address}]},
  }) as unknown as Port
const networks = ['n1', 'n2'].map(id => ({id, project_id: 't1', mtu: 1450, 'router:external': false}))
const subnets = networks.map(({id}) => ({id, network_id: id, cidr: '10.0.0.0/24', ip_version: 4}))
const listed = (rows: readonly object[]) => async (filter: object) => rows.filter(row => matches(row, filter))

let db: Store
let now: number
let ports: Port[]
beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000_000
  ports = [port('n1', '10.0.0.10')]
  await gateRow(db, {id: 'g1', server_id: 'gs'})
})
afterEach(() => db.destroy())

const cloud = (vm: Server = server) =>
  ({
    compute: {
      async server(id: string) {
        if (id === vm.id) return vm
        throw new OpenStackError('not-found', 'Instance could not be found', {status: 404})
      },
    },
    network: {
      ports: async (filter: object) => listed(ports)(filter),
      ...{networks: listed(networks), routers: async () => [], subnets: listed(subnets)},
    },
  }) as unknown as OpenStack
const in_ = (project: string) => ({project: {id: project, name: project} as NonNullable<Token['project']>})
const caller = (token: Partial<Token> = {}, more: Partial<Caller> = {}): Caller => ({
  token: {user: {id: 'u1', name: 'alice'}, ...in_('t1'), roles: ['member', 'reader'], ...token} as Token,
  ...{cloud: cloud(), source: '192.0.2.7', admin: false, ...more},
})
const context = (more: object = {}) => ({
  ...{cloud: cloud(), db, clock: () => now, log: pino({level: 'silent'}), events: new PathEvents()},
  fleet: {ask: async () => undefined, zoneFor: (zone?: string) => zone ?? null},
  gates: {sessions: async () => new Set<string>(), wakeFor: () => undefined, check: async () => undefined},
  ...more,
})
const ask = async (request: object = {}, who = caller(), more: object = {}) =>
  (await grantPath(context(more), who, {server_id: 's1', public_key: key, ...request}, limits)).path
const active = () => db.updateTable('paths').set({state: 'active'}).where('state', '=', 'pending').execute()

describe('a key', () => {
  const line = (type: string, ...fields: (string | Buffer)[]) =>
    `${type} ${Buffer.concat([type, ...fields].map(string)).toString('base64')} alice`
  const curve = (name: string, length: number) =>
    [name, Buffer.concat([Buffer.of(4), Buffer.alloc(length, 7)])] as const
  const body = Buffer.alloc(32, 7)
  const only = 'the public key must be of type ssh-ed25519'
  const refused = (type: string) => `this SSH key cannot be used: keys of type ${type} are not accepted`

  it.each([
    ['RSA', line('ssh-rsa', Buffer.of(1, 0, 1), Buffer.alloc(384, 7)), only],
    ['ECDSA, P-256', line('ecdsa-sha2-nistp256', ...curve('nistp256', 64)), only],
    ['ECDSA, P-384', line('ecdsa-sha2-nistp384', ...curve('nistp384', 96)), only],
    ['ECDSA, P-521', line('ecdsa-sha2-nistp521', ...curve('nistp521', 132)), only],
    ['Ed25519 in a token', line('sk-ssh-ed25519@openssh.com', body, 'ssh:'), only],
    ['ECDSA in a token', line('sk-ecdsa-sha2-nistp256@openssh.com', ...curve('nistp256', 64), 'ssh:'), only],
    ['DSA', line('ssh-dss', body, body, body, body), refused('ssh-dss')],
    [
      'a certificate',
      line('ssh-ed25519-cert-v01@openssh.com', body, body),
      refused('ssh-ed25519-cert-v01@openssh.com'),
    ],
    ['two lines', `${key}\n${key}`, 'this SSH key cannot be used: not one line of type, base64 and comment'],
    [
      'options before it',
      `command="id" ${key}`,
      'this SSH key cannot be used: not one line of type, base64 and comment',
    ],
    [
      'Ed25519 of a byte more',
      line('ssh-ed25519', Buffer.alloc(33, 7)),
      'this SSH key cannot be used: its body is not a key of type ssh-ed25519',
    ],
  ])('of no other kind: %s', async (_, public_key, message) => {
    await expect(ask({public_key})).rejects.toMatchObject({code: 'USAGE', message})
    expect(await db.selectFrom('paths').select('id').execute()).toEqual([])
  })

  it('is kept as it was given, and another one is another path', async () => {
    const other = generateKeyPair('other').publicKey
    const [one, two] = [await ask(), await ask({public_key: `  ${other}\n`})]
    expect([one.public_key, two.public_key]).toEqual([key, other])
    expect(one.id === two.id).toBe(false)
  })
})

describe('a right', () => {
  const denied = {code: 'DENIED', message: 'your roles let you see this VM, but not log in to it'}

  it.each<[string, Partial<Token>]>([
    ['who may only read', {roles: ['reader']}],
    ['an admin by role alone', {roles: ['admin', 'reader']}],
    ['who has no role', {roles: []}],
    ['a member of another project', in_('t2')],
    ['an admin and member of another project', {...in_('x'), roles: ['admin', 'member']}],
    ['a token without a project', {project: undefined} as unknown as Partial<Token>],
  ])('is not of %s, though Nova shows the VM', async (_, token) => {
    await expect(ask({}, caller(token))).rejects.toMatchObject(denied)
    expect(await db.selectFrom('paths').select('id').execute()).toEqual([])
  })

  it.each<[string, Caller, object]>([
    [
      'no VM',
      caller({}, {cloud: cloud({...server, id: 'other'})}),
      {code: 'NOT_FOUND', message: 'there is no VM s1 that you may see'},
    ],
    [
      'a VM that is off',
      caller({}, {cloud: cloud({...server, status: 'SHUTOFF'})}),
      {code: 'VM_OFF', message: 'the VM is SHUTOFF, not ACTIVE'},
    ],
  ])('to %s is none', async (_, who, fault) => {
    await expect(ask({}, who)).rejects.toMatchObject(fault)
  })

  it('is of the VM’s project, whoever asks: so are gate, share and path', async () => {
    await db.deleteFrom('gates').execute()
    await gateRow(db, {id: 'ga', name: 'ga', server_id: 'ga', scope: 'project', project_id: 'x'})
    await gateRow(db, {
      id: 'gb',
      name: 'gb',
      server_id: 'gb',
      scope: 'project',
      project_id: 'infra',
      serves: 't1',
    })
    const admin = caller({...in_('x'), user: {id: 'root', name: 'root'} as Token['user']}, {admin: true})
    expect(await ask({}, admin)).toMatchObject({gate_id: 'gb', project_id: 't1', user_id: 'root'})
    expect(
      await db.selectFrom('holdings').select(['project_id', 'n']).where('project_id', '<>', '').execute(),
    ).toEqual([{project_id: 't1', n: 1}])
    await db.deleteFrom('attachments').execute()
    await db.deleteFrom('gates').where('id', '=', 'gb').execute()
    await db.deleteFrom('paths').execute()
    await expect(ask({}, admin)).rejects.toMatchObject({
      code: 'NO_GATE',
      message: 'no gate serves the project of this VM',
    })
  })
})

describe('the address', () => {
  it('is on the network that was asked for, or nowhere', async () => {
    ports = [port('n1', '10.0.0.10'), port('n2', '10.0.0.20')]
    expect(await ask({network_id: 'n2'})).toMatchObject({network_id: 'n2', address: '10.0.0.20'})
    await expect(ask({network_id: 'n3', public_key: generateKeyPair('x').publicKey})).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'the VM has no address on that network',
    })
  })

  it.each([
    ['the same on another network', port('n2', '10.0.0.10')],
    ['another one on the same network', port('n1', '10.0.0.11')],
  ])('has become %s: the old path ends, and that is written down', async (_, moved) => {
    const first = await ask()
    await active()
    ports = [moved]
    const second = await ask()
    const [{ip_address = ''} = {}] = moved.fixed_ips
    expect(second).toMatchObject({state: 'pending', network_id: moved.network_id, address: ip_address})
    expect(await pathById(db, first.id)).toMatchObject({state: 'ended', ended_at: now})
    const [, ended] = await auditPage(db, {limit: 2, denials: false})
    expect(ended).toMatchObject({
      ...{action: 'revoke', path_id: first.id, user_id: 'u1', source: '192.0.2.7', at: now},
      detail: 'the VM has another address now',
    })
  })
})

it('who collides with others again and again is told so after twelve times', async () => {
  await attachmentRow(db, {gate_id: 'g1', project_id: 't1'})
  const who = caller()
  const {subnets: seen} = who.cloud.network
  let asked = 0
  who.cloud.network.subnets = async filter => {
    // Between the plan and its transaction somebody else has always widened it.
    const reach = [{network_id: 'n1', cidr: `192.0.2.${asked++}/32`, via: null}]
    await db
      .updateTable('attachments')
      .set({reach: JSON.stringify(reach)})
      .execute()
    return seen(filter)
  }
  await expect(ask({}, who)).rejects.toMatchObject({
    ...{code: 'BUSY', message: 'too many ask for the same at this moment', retryAfter: 2},
  })
  expect(asked).toBe(12)
  expect(await db.selectFrom('paths').select('id').execute()).toEqual([])
  expect(await auditPage(db, {limit: 9, denials: false})).toEqual([])
})

describe('the life', () => {
  it.each([
    [undefined, 1800, 600],
    [60, 60, 60],
    [601, 601, 600],
    [3600, 3600, 600],
    [3601, 3600, 600],
    [999_999, 3600, 600],
  ])('of %p s asked for is %p s, of the certificate %p s', async (life, path, certificate) => {
    expect(await ask({life})).toMatchObject({
      ...{created_at: now, expires_at: now + path * 1000, certificate_until: now + certificate * 1000},
    })
  })

  it('is never shortened by who asks again, nor prolonged beyond the longest one', async () => {
    const {expires_at} = await ask({life: 3600})
    await active()
    now += 500_000
    // The certificate is renewed; the end stays.
    expect(await ask({life: 60})).toMatchObject({expires_at, certificate_until: now + 600_000})
    now = expires_at - 60_000
    expect(await ask({life: 3600})).toMatchObject({expires_at, certificate_until: expires_at})
  })

  it('of what was seen is that of a certificate: who waits longer for a gate is told so', async () => {
    await db.deleteFrom('gates').execute()
    const fleet = {
      ...context().fleet,
      ask: async () => {
        throw new GateIsComing('a gate is being booted, 3 s', true)
      },
    }
    const {id} = await ask({}, caller(), {fleet})
    now += 600_000
    await placeWaiting(context({fleet}), limits)
    expect(await pathById(db, id)).toMatchObject({state: 'requested'})
    now += 1
    await placeWaiting(context({fleet}), limits)
    const error = {code: 'BUSY', message: 'the path has waited too long for a place', hint: 'ask again'}
    expect(await pathById(db, id)).toMatchObject({state: 'released', error, ended_at: now})
  })
})
