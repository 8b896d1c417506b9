import {describe, expect, test} from '@jest/globals'

import type {Token} from '../../../src/openstack/index.ts'
import {member as client, fake} from './clients.ts'
import {issue, recorded} from './fake.ts'

describe('tokens', () => {
  test('a password with names becomes a project-scoped request in the default domain', async () => {
    const token = await client().identity.token()
    expect(token).toMatchObject({
      id: 'token-1',
      user: {name: 'alice', domain: {id: 'default'}},
      project: {name: 'tenant1'},
      roles: ['member'],
    })
    expect(fake.asked[0]?.body).toEqual({
      auth: {
        identity: {
          methods: ['password'],
          password: {user: {name: 'alice', domain: {id: 'default'}, password: 'secret'}},
        },
        scope: {project: {name: 'tenant1', domain: {id: 'default'}}},
      },
    })
  })

  test.each([
    ['auth_url without a version', {auth_url: ''}, '/v3/auth/tokens'],
    ['auth_url of v2.0', {auth_url: '/v2.0/'}, '/v3/auth/tokens'],
    ['auth_url below a path', {auth_url: '/identity/v3'}, '/identity/v3/auth/tokens'],
  ])('%s leads to v3', async (_, {auth_url}, path) => {
    fake.on('POST', path, issue(fake.url, 't'))
    await client({auth: {auth_url: fake.url + auth_url, username: 'a', password: 'b'}}).identity.token()
    expect(fake.to(path)).toHaveLength(1)
  })

  test('an application credential brings its own scope', async () => {
    const auth = {
      auth_url: fake.url,
      application_credential_id: 'ac',
      application_credential_secret: 's',
      project_name: 'ignored',
    }
    await client({auth_type: 'application_credential', auth}).identity.token()
    expect(fake.asked[0]?.body).toEqual({
      auth: {
        identity: {methods: ['application_credential'], application_credential: {id: 'ac', secret: 's'}},
      },
    })
  })

  test('a named application credential names its user; token, domain and system scope', async () => {
    const {auth_url} = {auth_url: fake.url}
    const named = {
      application_credential_name: 'ac',
      application_credential_secret: 's',
      username: 'alice',
      default_domain_name: 'Users',
    }
    await client({auth_type: 'application_credential', auth: {auth_url, ...named}}).identity.token()
    await client({auth_type: 'token', auth: {auth_url, token: 'old', project_id: 'p1'}}).identity.token()
    await client({auth: {auth_url, user_id: 'u1', password: 'x', domain_name: 'D'}}).identity.token()
    await client({auth: {auth_url, user_id: 'u1', password: 'x', system_scope: 'all'}}).identity.token()
    const bodies = fake.asked.map(({body}) => body.auth)
    expect(bodies[0].identity.application_credential).toEqual({
      name: 'ac',
      secret: 's',
      user: {name: 'alice', domain: {name: 'Users'}},
    })
    expect(bodies[1]).toEqual({
      identity: {methods: ['token'], token: {id: 'old'}},
      scope: {project: {id: 'p1'}},
    })
    expect(bodies[2].scope).toEqual({domain: {name: 'D'}})
    expect(bodies[3].scope).toEqual({system: {all: true}})
  })

  test('a second factor is asked for only when Keystone gives a receipt', async () => {
    fake.on('POST', '/v3/auth/tokens', asked =>
      asked.headers['openstack-auth-receipt'] === 'receipt-1'
        ? issue(fake.url, 'both')
        : {
            status: 401,
            headers: {'openstack-auth-receipt': 'receipt-1'},
            body: {receipt: {}, required_auth_methods: [['password', 'totp']]},
          },
    )
    const token = await client({}, {passcode: async () => '123456'}).identity.token()
    expect(token.id).toBe('both')
    expect(fake.asked[1]?.body.auth.identity).toEqual({
      methods: ['totp'],
      totp: {user: {name: 'alice', domain: {id: 'default'}, passcode: '123456'}},
    })
    await expect(client().identity.token()).rejects.toMatchObject({
      fault: 'no-secret',
      message: expect.stringContaining('one-time password'),
    })
  })

  test('v3multifactor sends both factors at once', async () => {
    const auth = {auth_url: fake.url, username: 'a', password: 'p', auth_methods: ['v3password', 'v3totp']}
    await client({auth_type: 'multifactor', auth}, {passcode: async () => '654321'}).identity.token()
    expect(fake.asked[0]?.body.auth.identity.methods).toEqual(['password', 'totp'])
    expect(fake.asked[0]?.body.auth.identity.totp.user.passcode).toBe('654321')
  })

  test('a missing password is asked for, or is said before anything is sent', async () => {
    const auth = {auth_url: fake.url, username: 'a'}
    await expect(client({auth}).identity.token()).rejects.toMatchObject({
      fault: 'no-secret',
      message: 'cloud "fake": there is no password, and nobody can be asked for one here',
    })
    expect(fake.asked).toEqual([])
    await client({auth}, {password: async () => 'typed'}).identity.token()
    expect(fake.asked[0]?.body.auth.identity.password.user.password).toBe('typed')
  })

  test('a wrong password of the configuration is refused and is tried once', async () => {
    fake.on('POST', '/v3/auth/tokens', recorded('keystone-401-bad-password'))
    await expect(client().identity.token()).rejects.toMatchObject({
      fault: 'refused',
      service: 'identity',
      status: 401,
      requestId: 'req-ecc560d1-ee2b-4e95-9166-bd5526111e71',
      apiMessage: 'The request you have made requires authentication.',
    })
    expect(fake.asked).toHaveLength(1)
  })

  test('a password that was typed wrongly is asked for three times', async () => {
    fake.on('POST', '/v3/auth/tokens', recorded('keystone-401-bad-password'))
    const auth = {auth_url: fake.url, username: 'a'}
    const again: boolean[] = []
    const password = async (second: boolean) => `guess ${again.push(second)}`
    await expect(client({auth}, {password}).identity.token()).rejects.toMatchObject({fault: 'refused'})
    expect(again).toEqual([false, true, true])
    expect(fake.asked.map(one => one.body.auth.identity.password.user.password)).toEqual([
      'guess 1',
      'guess 2',
      'guess 3',
    ])
  })

  test('callers at once share one authentication, and a kept token is used without any', async () => {
    const kept: Token[] = []
    const cloud = client({}, {onToken: token => kept.push(token)})
    await Promise.all([cloud.identity.token(), cloud.identity.token(), cloud.endpoint('image')])
    expect(fake.asked).toHaveLength(1)
    expect(kept.map(({id}) => id)).toEqual(['token-1'])
    const again = client({}, {token: JSON.parse(JSON.stringify(kept[0]))})
    expect((await again.identity.token()).id).toBe('token-1')
    expect(again.calls).toBe(0)
  })

  test('a token about to expire is replaced', async () => {
    fake.on('POST', '/v3/auth/tokens', issue(fake.url, 'short', 20), issue(fake.url, 'long'))
    const cloud = client()
    expect([
      (await cloud.identity.token()).id,
      (await cloud.identity.token()).id,
      (await cloud.identity.token()).id,
    ]).toEqual(['short', 'long', 'long'])
  })

  test('a clock that runs ahead does not make fresh tokens look expired', async () => {
    const answer = issue(fake.url, 'past') as {body: {token: Record<string, string>}}
    answer.body.token['issued_at'] = '2020-01-01T00:00:00.000000Z'
    answer.body.token['expires_at'] = '2020-01-01T01:00:00.000000Z'
    fake.on('POST', '/v3/auth/tokens', answer as never)
    const cloud = client()
    await cloud.identity.token()
    await cloud.identity.token()
    expect(fake.asked).toHaveLength(1)
  })

  describe('without a secret', () => {
    const nobody = {auth: {auth_url: '', username: 'alice', project_name: 'tenant1'}}
    const without = () => client({auth: {...nobody.auth, auth_url: `${fake.url}/v3`}})
    const token = (id: string, life: number) => ({
      ...{id, user: {id: 'u', name: 'alice', domain: {id: 'd', name: 'd'}}, roles: ['member']},
      ...{catalog: [], expires_at: new Date(Date.now() + life * 1000)},
    })

    test('the token that lives longest is taken, and none that is shorter', async () => {
      const {identity} = without()
      expect(identity.until).toBe(undefined)
      await expect(identity.token()).rejects.toMatchObject({fault: 'no-secret'})
      for (const [id, life] of [
        ['first', 100],
        ['longer', 200],
        ['shorter', 150],
      ] as const)
        identity.adopt(token(id, life))
      expect((await identity.token()).id).toBe('longer')
      expect(fake.asked).toEqual([])
    })

    test('one that seems to be over is tried: the clock may be wrong; when the cloud refuses it, nobody has one', async () => {
      fake.on('GET', '/v2.0/ports', recorded('neutron-ports-of-vm-member'))
      const catalog = (await client().identity.token()).catalog
      const cloud = without()
      cloud.identity.adopt({...token('old', -3600), catalog})
      expect(await cloud.network.ports()).toHaveLength(1)
      expect(fake.to('/v2.0/ports')[0]?.headers['x-auth-token']).toBe('old')
      fake.on('GET', '/v2.0/ports', recorded('neutron-401-garbage-token'))
      await expect(cloud.network.ports()).rejects.toMatchObject({fault: 'no-secret'})
    })
  })

  test('401 of a service: once more with a new token, then no more', async () => {
    const refusal = recorded('neutron-401-garbage-token')
    fake.on('GET', '/v2.0/ports', refusal, recorded('neutron-ports-of-vm-member'))
    expect(await client().network.ports()).toHaveLength(1)
    expect(fake.to('/v2.0/ports').map(({headers}) => headers['x-auth-token'])).toEqual(['token-1', 'token-2'])
    fake.on('GET', '/v2.0/ports', refusal)
    await expect(client().network.ports()).rejects.toMatchObject({fault: 'unauthorized', service: 'network'})
    expect(fake.to('/v2.0/ports')).toHaveLength(4)
  })

  test("as() uses somebody else's token and never its own", async () => {
    fake.on('GET', '/v2.0/ports', asked =>
      asked.headers['x-auth-token'] === 'theirs'
        ? recorded('neutron-ports-of-vm-member')
        : recorded('neutron-401-garbage-token'),
    )
    const own = client()
    const token = await own.identity.token()
    const theirs = own.as({...token, id: 'theirs', catalog: []})
    expect(await theirs.network.ports()).toHaveLength(1)
    await expect(own.as({...token, id: 'dead'}).network.ports()).rejects.toMatchObject({
      fault: 'unauthorized',
    })
    expect(fake.to('/v3/auth/tokens')).toHaveLength(1)
    expect(theirs.calls).toBe(1)
  })

  test('validate sends the token as subject and caller; what is none is not sent', async () => {
    const {identity} = client()
    fake.on('GET', '/v3/auth/tokens', {...issue(fake.url, 'ignored'), status: 200})
    expect(await identity.validate('gAAAA-x_y=')).toMatchObject({
      id: 'gAAAA-x_y=',
      project: {name: 'tenant1'},
    })
    expect(fake.asked[0]?.headers).toMatchObject({
      'x-auth-token': 'gAAAA-x_y=',
      'x-subject-token': 'gAAAA-x_y=',
    })
    fake.on('GET', '/v3/auth/tokens', recorded('keystone-validate-garbage-404'))
    await expect(identity.validate('gone')).rejects.toMatchObject({fault: 'unauthorized'})
    await expect(identity.validate('a\r\nX-Roles: admin')).rejects.toMatchObject({fault: 'unauthorized'})
    expect(fake.asked).toHaveLength(2)
  })

  test('revoke deletes the token there is, and needs none', async () => {
    const cloud = client()
    await cloud.identity.revoke()
    expect(fake.asked).toEqual([])
    await cloud.identity.token()
    fake.on('DELETE', '/v3/auth/tokens', {status: 204})
    await cloud.identity.revoke()
    expect(fake.asked[1]).toMatchObject({
      method: 'DELETE',
      headers: {'x-auth-token': 'token-1', 'x-subject-token': 'token-1'},
    })
    expect((await cloud.identity.token()).id).toBe('token-2')
  })

  test('projects', async () => {
    fake.on('GET', '/v3/auth/projects', recorded('keystone-auth-projects'))
    expect((await client().identity.projects()).map(({name}) => name)).toEqual(['tenant2', 'tenant1'])
  })

  test('an answer without X-Subject-Token is nonsense', async () => {
    fake.on('POST', '/v3/auth/tokens', {...recorded('keystone-auth-token-unscoped'), headers: {}})
    await expect(client().identity.token()).rejects.toMatchObject({fault: 'server'})
  })
})

describe('catalog', () => {
  test('interface, region and overrides choose the address', async () => {
    expect(await client().endpoint('compute')).toBe(`${fake.url}/v2.1`)
    expect(await client({interface: ['internal']}).endpoint('compute')).toBe('http://10.66.0.1:8774/v2.1')
    expect(await client({region: 'Elsewhere'}).endpoint('compute')).toBeUndefined()
    const services = {
      compute: {interface: ['admin' as const]},
      ssh: {endpoint: 'https://ssh.example/%(project_id)s'},
    }
    expect(await client({services}).endpoint('compute')).toBe('http://10.66.0.1:8774/v2.1')
    expect(await client({services}).endpoint('ssh')).toBe(
      'https://ssh.example/95448637f1bc4bb5a29fc6578f1f7b02',
    )
    expect(await client().endpoint('ssh')).toBeUndefined()
  })

  test('a service that is missing says what there is', async () => {
    await expect(client({region: 'Elsewhere'}).compute.servers()).rejects.toMatchObject({
      fault: 'config',
      message:
        'the catalog has no public endpoint in region Elsewhere of the compute service; it has compute: internal in RegionOne, admin in RegionOne, public in RegionOne',
    })
  })

  test('a token without scope has no catalog', async () => {
    fake.on('POST', '/v3/auth/tokens', {
      ...recorded('keystone-auth-token-unscoped'),
      headers: {'x-subject-token': 't'},
    })
    await expect(client().compute.servers()).rejects.toMatchObject({
      fault: 'config',
      message: expect.stringContaining('name a project'),
    })
  })
})
