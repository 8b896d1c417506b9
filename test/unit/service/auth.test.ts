import {beforeEach, describe, expect, it} from '@jest/globals'
import type {FastifyRequest} from 'fastify'

import {
  type CloudConfig,
  type OpenStack,
  OpenStackError,
  type OpenStackFault,
  openStack,
  type Token,
} from '../../../src/openstack/index.ts'
import {authenticator, isOperator} from '../../../src/service/api/auth.ts'

/* Who calls, and who is an operator: the words of the token count, not the name of the role alone. */

const project = (id: string, name = id) => ({project: {id, name}}) as unknown as Partial<Token>
const service = {identity: {token: async () => project('infra')}} as unknown as OpenStack

async function ask(token: Partial<Token>): Promise<{operator: boolean; admin: boolean}> {
  const expires_at = new Date(Date.now() + 3_600_000)
  const whole = {id: 'x'.repeat(20), user: {id: 'u', name: 'u'}, catalog: [], expires_at, ...token}
  const cloud = openStack({name: 'c', auth: {auth_url: 'http://127.0.0.1:1'}} as unknown as CloudConfig)
  Object.assign(cloud, {identity: {validate: async () => whole}})
  const headers = {'x-auth-token': 'x'.repeat(20)}
  const caller = await authenticator(cloud, Date.now, ['ops'])({
    headers,
    ip: '::1',
  } as unknown as FastifyRequest)
  return {operator: await isOperator(caller, service), admin: caller.admin}
}

it.each([
  ['an admin of the whole system', {roles: ['admin'], system: true}, true, true],
  ['an admin of a project that the operator named', {roles: ['admin'], ...project('ops')}, true, true],
  ['an admin of a domain', {roles: ['admin']}, false, false],
  ['an admin of any other project', {roles: ['admin', 'member'], ...project('theirs')}, false, false],
  ['a member of the service’s project', {roles: ['member'], ...project('infra')}, true, false],
  ['a reader of the service’s project', {roles: ['reader'], ...project('infra')}, false, false],
  ['a member of a project that the operator named', {roles: ['member'], ...project('ops')}, false, false],
  ['a member of any other project', {roles: ['member'], ...project('theirs')}, false, false],
  ['a member of a domain', {roles: ['member']}, false, false],
  ['a member of a project of the same name', {roles: ['member'], ...project('other', 'infra')}, false, false],
] as [string, Partial<Token>, boolean, boolean][])('%s', async (_, token, operator, admin) => {
  expect(await ask(token)).toEqual({operator, admin})
})

describe('a token', () => {
  const secret = 'gAAAA-token-of-alice-0123456789'
  let now = 1_000_000
  let asked: string[]
  let heard: string[]
  let authenticate: ReturnType<typeof authenticator>
  /** What Keystone says to this token. */
  let validate: (given: string) => Promise<Token>
  const token = (given: string, life = 3_600_000) =>
    ({
      ...{id: given, user: {id: given, name: given}, roles: ['member'], catalog: []},
      ...{...project('t1'), expires_at: new Date(now + life)},
    }) as unknown as Token
  const cloud = {
    identity: {
      async validate(given: string) {
        asked.push(given)
        return validate(given)
      },
    },
    as: ({id}: Token) => ({as: id}),
  } as unknown as OpenStack
  const request = (given: unknown, more: object = {}) =>
    authenticate({headers: {'x-auth-token': given, ...more}, ip: '192.0.2.7'} as unknown as FastifyRequest)
  const fault = (kind: OpenStackFault) => async () => {
    throw new OpenStackError(kind, 'said by Keystone')
  }

  beforeEach(() => {
    now = 1_000_000
    asked = []
    heard = []
    validate = async given => token(given)
    authenticate = authenticator(
      cloud,
      () => now,
      [],
      ({id}) => heard.push(id),
    )
  })

  it('makes a caller, who sees the cloud by it and comes from where the connection does', async () => {
    expect(await request(secret, {'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.1'})).toEqual(
      {
        ...{token: token(secret), cloud: {as: secret}, source: '192.0.2.7', admin: false},
      },
    )
  })

  it('is believed for 30 s, and whoever holds it is told of as often as Keystone was asked', async () => {
    const counts = []
    for (const pass of [0, 29_999, 1, 29_999, 1]) {
      now += pass
      await request(secret)
      counts.push(asked.length)
    }
    expect(counts).toEqual([1, 1, 2, 2, 3])
    expect(heard).toEqual(asked)
  })

  it('that was revoked is refused 30 s later at most, and from then on', async () => {
    await request(secret)
    validate = fault('unauthorized')
    now += 29_999
    expect((await request(secret)).token.id).toBe(secret)
    now += 1
    for (const _ of [1, 2])
      await expect(request(secret)).rejects.toMatchObject({
        ...{code: 'NOT_LOGGED_IN', message: 'the token is not valid any more'},
      })
    expect([asked.length, heard.length]).toEqual([3, 1])
  })

  it('that ends sooner is believed until then and no longer', async () => {
    validate = async given => token(given, 10_000)
    await request(secret)
    now += 9999
    await request(secret)
    expect(asked).toHaveLength(1)
    validate = fault('unauthorized')
    now += 1
    await expect(request(secret)).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })

  it('is told from one that differs in a letter', async () => {
    const others = [
      secret,
      `${secret}0`,
      secret.slice(0, -1),
      secret.toLowerCase(),
      `${secret.slice(0, -1)}8`,
    ]
    const seen = async () => Promise.all(others.map(async one => (await request(one)).token.id))
    expect([await seen(), await seen()]).toEqual([others, others])
  })

  it.each([
    ['not there', undefined],
    ['empty', ''],
    ['shorter than any', 'x'.repeat(15)],
    ['longer than any', 'x'.repeat(8193)],
    ['with a blank', `${secret} `],
    ['with an end of line', `${secret}\n`],
    ['with an accent', `${secret}é`],
    ['two', [secret, secret]],
  ])('is none, and not asked for: %s', async (_, given) => {
    await expect(request(given)).rejects.toMatchObject({
      ...{code: 'NOT_LOGGED_IN', message: 'this needs a Keystone token in X-Auth-Token'},
    })
    expect(asked).toEqual([])
  })

  it.each([16, 8192])('of %d characters is one', async length => {
    expect((await request('x'.repeat(length))).token.id).toHaveLength(length)
  })

  it.each([
    ['unauthorized', 'NOT_LOGGED_IN'],
    ['unreachable', 'CLOUD_DOWN'],
    ['server', 'CLOUD_DOWN'],
    ['forbidden', 'DENIED'],
  ] as const)('of which Keystone says %s is refused with %s, and asked for again', async (kind, code) => {
    validate = fault(kind)
    for (const _ of [1, 2]) await expect(request(secret)).rejects.toMatchObject({code})
    expect([asked.length, heard]).toEqual([2, []])
    validate = async given => token(given)
    expect((await request(secret)).token.id).toBe(secret)
  })

  it('is forgotten for 10,000 newer ones, the one that was asked for longest ago first', async () => {
    const last = `${secret}-again`
    await request(secret)
    now += 30_000
    await request(last)
    await request(secret)
    for (let n = 0; n < 9_999; n++) await request(`${secret}-${n}`)
    asked = []
    await request(secret)
    await request(last)
    expect(asked).toEqual([last])
  })
})
