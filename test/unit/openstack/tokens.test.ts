import {expect, it} from '@jest/globals'

import type {Token} from '../../../src/openstack/index.ts'
import {member as client, fake} from './clients.ts'
import {type Answer, issue, recorded, startFake} from './fake.ts'

/* Whose token is sent where, and when another one is got; beside cloud.test.ts, which has the requests for one. */

const ports = recorded('neutron-ports-of-vm-member')
const refusal = recorded('neutron-401-garbage-token')
const sent = (path = '/v2.0/ports') => fake.to(path).map(({headers}) => headers['x-auth-token'])
const logins = () => fake.to('/v3/auth/tokens').filter(({method}) => method === 'POST')
/** What it needs to log in is not there, and nobody is asked. */
const nobody = () => ({auth: {auth_url: `${fake.url}/v3`, username: 'alice', project_name: 'tenant1'}})

it.each([
  ['about to end', 10_000],
  ['over by our clock', -3_600_000],
])('somebody else’s token that is %s stays theirs: ours is never sent for it', async (_, left) => {
  fake.on('GET', '/v2.0/ports', ports)
  const own = client()
  const token = await own.identity.token()
  const theirs = {...token, id: 'theirs', expires_at: new Date(Date.now() + left)}
  await own.as(theirs).network.ports()
  expect(sent()).toEqual(['theirs'])
  expect(logins()).toHaveLength(1)
  fake.on('GET', '/v2.0/ports', refusal)
  await expect(own.as(theirs).network.ports()).rejects.toMatchObject({fault: 'unauthorized', status: 401})
  expect(sent()).toEqual(['theirs', 'theirs'])
  expect(logins()).toHaveLength(1)
})

it('a kept token whose end has come is none, without a secret too', async () => {
  const token: Token = {...(await client().identity.token()), expires_at: new Date(Date.now() + 29_000)}
  await expect(client(nobody(), {token}).identity.token()).rejects.toMatchObject({fault: 'no-secret'})
  const good = {...token, expires_at: new Date(Date.now() + 60_000)}
  expect((await client(nobody(), {token: good}).identity.token()).id).toBe('token-1')
})

it('a kept token that was garbled is not sent: it may hold another header', async () => {
  const token = {...(await client().identity.token()), id: 'token-1\r\nx-roles: admin'}
  const cloud = client({}, {token})
  fake.on('GET', '/v2.0/ports', ports)
  await cloud.network.ports()
  expect(sent()).toEqual(['token-2'])
})

it('two that are refused at once get one new token between them', async () => {
  const [first, second] = [Promise.withResolvers<Answer>(), Promise.withResolvers<Answer>()]
  fake.on('GET', '/v2.0/ports', () => first.promise, ports)
  fake.on('GET', '/v2.0/networks', () => second.promise, recorded('neutron-networks-admin'))
  const {network, identity} = client()
  await identity.token()
  const late = network.networks()
  const soon = network.ports()
  first.resolve(refusal)
  await soon
  // The other one hears of its refusal when the new token is there already.
  second.resolve(refusal)
  await late
  expect([sent(), sent('/v2.0/networks')]).toEqual([
    ['token-1', 'token-2'],
    ['token-1', 'token-2'],
  ])
  expect(logins()).toHaveLength(2)
})

it.each([301, 302, 303, 307, 308])(
  'a redirection by %i takes neither token nor password anywhere',
  async status => {
    const other = await startFake()
    try {
      const headers = {location: `${other.url}/v2.0/ports`}
      fake.on('GET', '/v2.0/ports', {status, headers})
      await expect(client().network.ports()).rejects.toMatchObject({
        ...{fault: 'server', status},
        message: `Neutron answered ${status}, a redirection to ${other.url}/v2.0/ports`,
      })
      fake.on('POST', '/v3/auth/tokens', {status, headers: {location: `${other.url}/v3/auth/tokens`}})
      await expect(client().identity.token()).rejects.toMatchObject({fault: 'server', status})
      expect(other.asked).toEqual([])
    } finally {
      await other.close()
    }
  },
)

it('Keystone is asked again after a fault that passes, and never after a refusal', async () => {
  fake.on('POST', '/v3/auth/tokens', {status: 503}, 'drop', issue(fake.url, 'third'))
  expect((await client().identity.token()).id).toBe('third')
  expect(logins()).toHaveLength(3)
})

it('user and project may be of different domains', async () => {
  const domains = {user_domain_name: 'People', project_domain_id: 'd2'}
  await client({auth: {...nobody().auth, password: 'x', ...domains}}).identity.token()
  const {identity, scope} = logins().map(({body}) => body.auth)[0]
  expect(identity.password.user.domain).toEqual({name: 'People'})
  expect(scope.project).toEqual({name: 'tenant1', domain: {id: 'd2'}})
})

it('a query behind auth_url goes nowhere', async () => {
  await client({auth: {...nobody().auth, auth_url: `${fake.url}/v3?x=1`, password: 'x'}}).identity.token()
  expect(fake.asked.map(({path}) => path)).toEqual(['/v3/auth/tokens'])
})

it('one-time passwords that were sent and refused are not sent a second time', async () => {
  const auth = {...nobody().auth, password: 'p', auth_methods: ['v3password', 'v3totp']}
  fake.on('POST', '/v3/auth/tokens', {
    ...{status: 401, headers: {'openstack-auth-receipt': 'r'}},
    body: {receipt: {}, required_auth_methods: [['password', 'totp']]},
  })
  const asked: boolean[] = []
  const passcode = async (again: boolean) => `${asked.push(again)}`
  await expect(client({auth_type: 'multifactor', auth}, {passcode}).identity.token()).rejects.toMatchObject({
    fault: 'refused',
  })
  expect(asked).toEqual([false, true, true])
  expect(logins().map(({body}) => body.auth.identity.methods)).toEqual(Array(3).fill(['password', 'totp']))
})

it.each([401, 404])('a token that was not valid any more is revoked: %i', async status => {
  const cloud = client()
  await cloud.identity.token()
  fake.on('DELETE', '/v3/auth/tokens', {status})
  await cloud.identity.revoke()
  fake.on('DELETE', '/v3/auth/tokens', {status: 403})
  await cloud.identity.token()
  await expect(cloud.identity.revoke()).rejects.toMatchObject({fault: 'forbidden'})
})

it('a token is of the system only when Keystone says so, and its catalog is addresses only', async () => {
  const answer = issue(fake.url, 't')
  const {token} = answer.body as {token: Record<string, unknown>}
  fake.on('POST', '/v3/auth/tokens', answer)
  for (const [system, is] of [
    [{all: true}, true],
    [{all: false}, undefined],
    [{}, undefined],
    ['all', undefined],
  ] as const) {
    token['system'] = system
    expect((await client().identity.token()).system).toBe(is)
  }
  token['catalog'] = [{type: 'compute', endpoints: [{interface: 'public', url: 'not a URL'}, null]}, 7]
  expect((await client().identity.token()).catalog).toEqual([{type: 'compute', name: '', endpoints: []}])
})
