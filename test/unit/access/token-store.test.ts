import {mkdtempSync, readdirSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {tokenStore} from '../../../src/access/token-store.ts'
import type {Keychain} from '../../../src/keychain/keychain.ts'
import type {CloudConfig, Token} from '../../../src/openstack/index.ts'

/* Whose token a command may find: nobody's but one's own, for this project of this region of this cloud. */

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-token-'))
afterAll(() => rmSync(dir, {recursive: true}))

const kept = new Map<string, string>()
const keychain: Keychain = {
  kind: 'system',
  get: async account => kept.get(account),
  set: async (account, secret) => void kept.set(account, secret),
  delete: async account => void kept.delete(account),
}
const agent: Keychain = {...keychain, kind: 'agent'}
beforeEach(() => {
  kept.clear()
  for (const name of readdirSync(dir)) rmSync(join(dir, name))
})

const auth = {
  ...{auth_url: 'https://one.example/v3', username: 'alice', user_domain_name: 'Users', password: 'secret'},
  ...{project_name: 'shop', project_domain_name: 'Default'},
}
const config: CloudConfig = {name: 'mine', region: 'north', auth}
const token: Token = {
  ...{id: 'gAAAA', user: {id: 'u', name: 'alice', domain: {id: 'd', name: 'Users'}}, roles: ['member']},
  ...{catalog: [], expires_at: new Date('2026-11-24T12:00:00Z')},
}
const as = (change: Partial<CloudConfig['auth']>) => ({...config, auth: {...auth, ...change}})

it.each<[string, CloudConfig]>([
  ['user', as({username: 'bob'})],
  ['user id', as({user_id: 'u2'})],
  ['domain of the user', as({user_domain_name: 'Others'})],
  ['project', as({project_name: 'bank'})],
  ['project id', as({project_id: 'p2'})],
  ['domain of the project', as({project_domain_name: 'Others'})],
  ['application credential', as({application_credential_id: 'ac'})],
  ['scope', as({system_scope: 'all'})],
  ['address of Keystone', as({auth_url: 'https://two.example/v3'})],
  ['region', {...config, region: 'south'}],
  ['cloud', {...config, name: 'other'}],
])('another %s is another token, and leaves the first one alone', async (_, other) => {
  for (const where of [keychain, agent]) {
    const [mine, theirs] = [tokenStore(where, dir, config), tokenStore(where, dir, other)]
    await mine.set(token)
    expect(await theirs.get()).toBeUndefined()
    await theirs.set({...token, id: 'other'})
    await theirs.delete()
    expect(await mine.get()).toEqual(token)
    expect(await theirs.get()).toBeUndefined()
  }
})

it('a secret that changes changes nothing, and is in no name', async () => {
  await tokenStore(keychain, dir, config).set(token)
  const changed = as({password: 'new', passcode: '123456', token: 't', application_credential_secret: 's'})
  expect(await tokenStore(keychain, dir, changed).get()).toEqual(token)
  expect([...kept.keys()]).toEqual([expect.stringMatching(/^token:mine:[0-9a-f]{16}$/)])
})

it('lies in the keychain and in no file; with the agent in a file of one’s own', async () => {
  await tokenStore(keychain, dir, config).set(token)
  expect(readdirSync(dir)).toEqual([])
  kept.clear()
  const store = tokenStore(agent, dir, config)
  await store.set(token)
  const [name = '', ...more] = readdirSync(dir)
  expect([kept.size, more]).toEqual([0, []])
  // The name by which logout finds it.
  expect(name).toMatch(/^token-[0-9a-f]{16}$/)
  expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
  await store.delete()
  await store.delete()
  expect(readdirSync(dir)).toEqual([])
})

it('a file that others could read is its user’s alone when it is written again', async () => {
  const store = tokenStore(agent, dir, config)
  await store.set(token)
  const [file] = readdirSync(dir).map(name => join(dir, name)) as [string]
  rmSync(file)
  writeFileSync(file, '{}', {mode: 0o644})
  await store.set(token)
  expect(statSync(file).mode & 0o777).toBe(0o600)
})
