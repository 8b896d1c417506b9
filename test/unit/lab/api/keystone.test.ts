import {beforeAll, describe, expect, test} from '@jest/globals'

import {paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
beforeAll(async () => {
  lab = await paperLab()
})
const tokens = '/identity/v3/auth/tokens'

describe('issuing', () => {
  const body = (password: string, project?: string, user = 'alice') => ({
    auth: {
      identity: {methods: ['password'], password: {user: {name: user, domain: {name: 'Default'}, password}}},
      ...(project === undefined ? {} : {scope: {project: {name: project, domain: {id: 'default'}}}}),
    },
  })

  test('gives user, project, roles and catalog', async () => {
    const good = lab.topology.users['alice']?.password ?? ''
    const {status, body: answer, headers} = await lab.ask('POST', tokens, body(good, 'tenant1'))
    expect(status).toBe(201)
    expect(headers['x-subject-token']).toMatch(/^gAAAAA/)
    expect(headers['x-openstack-request-id']).toMatch(/^req-[0-9a-f-]{36}$/)
    expect(answer.token.project.name).toBe('tenant1')
    expect(answer.token.roles.map((role: {name: string}) => role.name)).toEqual(['reader', 'member'])
    const ssh = answer.token.catalog.find((service: {type: string}) => service.type === 'ssh')
    expect(ssh.endpoints[0].url).toBe('http://127.0.0.1:5101')
    expect(answer.token.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000000Z$/)
  })

  test.each([
    ['a wrong password', 'wrong', 'tenant1', 'alice'],
    ['an unknown project', undefined, 'nosuch', 'alice'],
    ["another tenant's project", undefined, 'tenant2', 'alice'],
    ['an unknown user', 'x', 'tenant1', 'nobody'],
  ])('answers 401, always the same, for %s', async (_, password, project, user) => {
    const {
      status,
      body: answer,
      headers,
    } = await lab.ask(
      'POST',
      tokens,
      body(password ?? lab.topology.users['alice']?.password ?? '', project, user),
    )
    expect(status).toBe(401)
    expect(answer).toEqual({
      error: {
        code: 401,
        message: 'The request you have made requires authentication.',
        title: 'Unauthorized',
      },
    })
    expect(headers['www-authenticate']).toMatch(/^Keystone uri=/)
  })

  test('by application credential, with its roles only, until it is deleted', async () => {
    const ask = await lab.as('tenant1')
    const path = `/identity/v3/users/${lab.topology.users['alice']?.id}/application_credentials`
    const made = await ask('POST', path, {application_credential: {name: 'ci', roles: [{name: 'reader'}]}})
    expect(made.status).toBe(201)
    const {id, secret} = made.body.application_credential
    const auth = {
      auth: {identity: {methods: ['application_credential'], application_credential: {id, secret}}},
    }
    const {status, body: answer, headers} = await lab.ask('POST', tokens, auth)
    expect(status).toBe(201)
    expect(answer.token.roles.map((role: {name: string}) => role.name)).toEqual(['reader'])
    expect((await ask('GET', `${path}/${id}`)).body.application_credential.secret).toBeUndefined()
    expect((await ask('DELETE', `${path}/${id}`)).status).toBe(204)
    expect((await lab.ask('POST', tokens, auth)).status).toBe(401)
    const old = String(headers['x-subject-token'])
    expect(
      (await lab.ask('GET', tokens, undefined, {'x-auth-token': old, 'x-subject-token': old})).status,
    ).toBe(401)
  })

  test('the secret of another credential does not do', async () => {
    const auth = {
      auth: {identity: {methods: ['application_credential'], application_credential: {id: 'x', secret: ''}}},
    }
    expect((await lab.ask('POST', tokens, auth)).status).toBe(401)
  })
})

describe('validation', () => {
  const look = (caller: string, subject: string) =>
    lab.ask('GET', tokens, undefined, {'x-auth-token': caller, 'x-subject-token': subject})

  test('of a token by itself is for everybody, also a reader', async () => {
    const token = await lab.login('reader')
    const {status, body} = await look(token, token)
    expect([status, body.token.user.name]).toEqual([200, 'carol'])
  })

  test("of others' tokens is for admins", async () => {
    const [alice, carol, admin] = [
      await lab.login('tenant1'),
      await lab.login('reader'),
      await lab.login('admin'),
    ]
    expect((await look(carol, alice)).status).toBe(403)
    expect((await look(admin, alice)).body.token.user.name).toBe('alice')
    expect((await look(admin, 'gAAAAAnonsense')).status).toBe(404)
    expect((await look('garbage', alice)).status).toBe(401)
  })

  test('a revoked token is 401 as caller and 404 as subject', async () => {
    const [alice, admin] = [await lab.login('tenant1'), await lab.login('admin')]
    const revoke = await lab.ask('DELETE', tokens, undefined, {
      'x-auth-token': alice,
      'x-subject-token': alice,
    })
    expect(revoke.status).toBe(204)
    expect((await look(alice, alice)).status).toBe(401)
    expect((await look(admin, alice)).status).toBe(404)
    expect((await lab.ask('GET', '/compute/v2.1/servers', undefined, {'x-auth-token': alice})).status).toBe(
      401,
    )
  })
})

test('a member may not list users, nor look at other projects', async () => {
  const ask = await lab.as('tenant1')
  expect((await ask('GET', '/identity/v3/users')).body.error.message).toBe(
    'You are not authorized to perform the requested action: identity:list_users.',
  )
  expect((await ask('GET', `/identity/v3/projects/${lab.id('tenant2')}`)).status).toBe(403)
  const own = await ask('GET', '/identity/v3/auth/projects')
  expect(own.body.projects.map((project: {name: string}) => project.name)).toEqual(['tenant1'])
})
