import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {Contract} from '../support/contract.ts'

/* Keystone as src/openstack uses it, on the lab and on the real one. */

jest.setTimeout(180_000)

let contract: Contract
beforeAll(async () => {
  contract = await Contract.open('contract-identity')
})
afterAll(() => contract?.close())

const scoped = async (auth: object) =>
  (await contract.as('tenant1', c => ({auth: {...c.auth, ...auth}}))).identity

describe('tokens', () => {
  it('by password, scoped to a project', async () => {
    const {identity} = await contract.as('tenant1', () => ({}))
    const token = await contract.holds('token-by-password', () => identity.token())
    expect(token).toMatchObject({user: {name: 'alice'}, project: {name: 'tenant1'}})
    expect([...token.roles].sort()).toEqual(['member', 'reader'])
    expect(token.catalog.map(entry => entry.type).sort()).toEqual(
      expect.arrayContaining(['compute', 'identity', 'image', 'network', 'ssh']),
    )
  })

  it('without a project have no catalog', async () => {
    const {identity} = await contract.as('tenant1', ({auth}) => {
      const {project_name: _, ...rest} = auth
      return {auth: rest}
    })
    const token = await contract.holds('token-unscoped', () => identity.token())
    expect(token).toMatchObject({catalog: [], roles: []})
    expect(token.project).toBeUndefined()
  })

  it('by a token, to another scope', async () => {
    const {id} = await (await contract.as('tenant1')).identity.token()
    const {identity} = await contract.as('tenant1', ({auth}) => ({
      auth_type: 'token',
      auth: {auth_url: auth.auth_url, token: id, project_name: 'tenant1', project_domain_id: 'default'},
    }))
    await contract.holds('token-by-token', () => identity.token())
  })

  it('by an application credential, scoped by itself', async () => {
    const {user} = await (await contract.as('tenant1')).identity.token()
    const path = `users/${user.id}/application_credentials`
    const wanted = {application_credential: {name: `contract-${Date.now()}`}}
    const {application_credential: made} = await contract.raw<{
      application_credential: {id: string; secret: string}
    }>('tenant1', 'identity', 'POST', path, wanted)
    const {identity} = await contract.as('tenant1', ({auth}) => ({
      auth_type: 'application_credential',
      auth: {
        auth_url: auth.auth_url,
        application_credential_id: made.id,
        application_credential_secret: made.secret,
      },
    }))
    const got = await contract.holds('token-by-application-credential', () => identity.token())
    expect(got.project?.name).toBe('tenant1')
  })

  it.each([
    ['a wrong password', 'token-wrong-password', {password: 'wrong'}],
    ['an unknown user', 'token-unknown-user', {username: 'nobody-of-this-name'}],
    ['a project that there is not', 'token-unknown-project', {project_name: 'no-such-project'}],
    ['a project of others', 'token-foreign-project', {project_name: 'tenant2'}],
  ])('are refused for %s', async (_, name, auth) => {
    const identity = await scoped(auth)
    await contract.holds(name, () => identity.token(), 'refused')
  })
})

describe('validation', () => {
  it('of a token with itself, which any user may', async () => {
    const {identity} = await contract.as('reader')
    const {id} = await identity.token()
    const token = await contract.holds('validate-self', () => identity.validate(id))
    expect(token).toMatchObject({user: {name: 'carol'}, roles: ['reader']})
  })

  it('refuses what is no token', async () => {
    const {identity} = await contract.as('tenant1')
    await identity.token()
    const garbage = 'gAAAAABnonsense-nonsense-nonsense'
    await contract.holds('validate-garbage', () => identity.validate(garbage), 'unauthorized')
  })

  it('refuses a token that was revoked', async () => {
    const {identity} = await contract.as('tenant1', () => ({}))
    const {id} = await identity.token()
    await contract.holds('revoke', () => identity.revoke())
    const other = (await contract.as('tenant1')).identity
    await contract.holds('validate-revoked', () => other.validate(id), 'unauthorized')
  })
})

it('lists the projects of a user', async () => {
  const {identity} = await contract.as('tenant1')
  await identity.token()
  const projects = await contract.holds('projects', () => identity.projects())
  expect(projects.map(project => project.name)).toEqual(['tenant1'])
})
