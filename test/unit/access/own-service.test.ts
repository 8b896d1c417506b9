import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {OwnFake, PROJECT, SERVICE} from './own-fake.ts'

const {keyStore, keysOf, ownService} = await import('../../../src/access/own-service.ts')
const {stopService} = await import('../../../src/access/own-process.ts')
const {newKeys} = await import('../../../src/embedded/keys.ts')
const {renews} = await import('../../../src/embedded/handover.ts')
const {writeMark} = await import('../../../src/embedded/mark.ts')

/* Who may use one's own service, what it is started with, and what is asked of it twice. */

let home: string
let own: OwnFake
const keys = JSON.stringify(newKeys())
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'os-ssh-o-'))
  mkdirSync(`${home}/run`, {mode: 0o700})
  own = new OwnFake(home)
  await writeMark(own.place, {service: SERVICE, project: PROJECT})
  own.secrets.set('service:mine', keys)
})
afterEach(() => {
  own.stop()
  rmSync(home, {recursive: true})
})

it('there is none where init was not done, and none is begun', async () => {
  rmSync(own.place.state, {recursive: true})
  expect(await ownService(own.session)).toBeUndefined()
  expect([own.starts, existsSync(own.place.state)]).toEqual([[], false])
})

it('it is started with the keys that are kept, the token that there is, and the user’s own patience', async () => {
  const {env} = own.session
  const idles = [undefined, '5', '0', '-1', 'long', '']
  for (const idle of idles) {
    env['OS_SSH_SERVICE_IDLE'] = idle
    await ownService(own.session)
    own.stop()
  }
  expect(own.starts.map(({handover}) => handover.idle)).toEqual([60, 5, 60, 60, 60, 60])
  expect(own.starts[0]?.handover).toMatchObject({
    ...{keys: JSON.parse(keys), token: {id: 'gAAAA'}, version: own.version},
  })
})

it('one that runs is used as it is, an older one hands over, a newer one stays', async () => {
  const {version} = own
  own.listen()
  await ownService(own.session)
  expect([own.starts.length, own.requests]).toEqual([0, []])
  own.version = '0.0.1'
  own.before = (_, path) => {
    // What is started in its place is of this version.
    if (path === '/v1/service/leave') own.version = version
    return undefined
  }
  await ownService(own.session)
  expect([own.starts.length, own.requests]).toEqual([1, ['POST /v1/service/leave']])
  own.version = '99.0.0'
  await ownService(own.session)
  expect(own.starts).toHaveLength(1)
})

it.each([{id: 'p2', name: 'bank'}, undefined])(
  'whoever is in another project may not use it: %j',
  async project => {
    own.project = project
    await expect(ownService(own.session)).rejects.toMatchObject({
      ...{code: 'CONFIG', exit: 64},
      message: `the gates of cloud mine are in project shop, and you are in ${project?.name ?? 'none'}`,
      suggestions: ['another entry of clouds.yaml has gates of its own: os-ssh init --os-cloud NAME'],
    })
    expect(own.starts).toEqual([])
  },
)

it('keys that are lost are said to be: new ones would be of no use to the gates', async () => {
  own.secrets.delete('service:mine')
  for (const begin of [false, true])
    await expect(ownService(own.session, {begin})).rejects.toMatchObject({
      ...{code: 'CONFIG', message: 'the keys of the gates are not in the keychain (system)'},
    })
  expect([own.secrets.size, own.starts.length]).toEqual([0, 0])
  own.secrets.set('service:mine', '{"management": "x"}')
  await expect(keysOf(own.session, true)).rejects.toMatchObject({
    ...{code: 'CONFIG', message: 'the keys of the gates in the keychain are damaged'},
  })
  expect(own.secrets.get('service:mine')).toBe('{"management": "x"}')
})

it('keys are made once, and kept before they are used; with the agent in a file of their user’s alone', async () => {
  own.secrets.clear()
  const made = await keysOf(own.session, true)
  expect(await keysOf(own.session, true)).toEqual(made)
  const agent = {...own.session, keychain: {...own.session.keychain, kind: 'agent' as const}}
  const other = await keysOf(agent, true)
  expect(other.host_ca).not.toBe(made.host_ca)
  const file = `${home}/run/service.keys`
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(other)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(own.secrets.size).toBe(1)
  await keyStore(agent).delete()
  expect([existsSync(file), own.secrets.size]).toEqual([false, 1])
})

it.each([
  ['GET', '/v1/gates', 3],
  ['DELETE', '/v1/paths/x', 3],
  ['PUT', '/v1/gates/access', 3],
  ['POST', '/v1/paths?wait=1', 3],
  ['POST', '/v1/gates/deploy', 1],
  ['POST', '/v1/gates', 1],
] as const)('%s %s whose connection is cut is asked %i times', async (method, path, times) => {
  const service = await ownService(own.session)
  own.before = (_, url) => (url === '/healthz' ? undefined : 'reset')
  await expect(service?.request(method, path, method === 'GET' ? undefined : {})).rejects.toMatchObject({
    code: 'SERVICE_DOWN',
  })
  expect(own.requests).toHaveLength(times)
})

it('one that has left before it was asked is started again, whatever is asked', async () => {
  const service = await ownService(own.session)
  own.stop()
  expect(await service?.request('POST', '/v1/gates/deploy', {count: 1})).toMatchObject({gates: [{}]})
  expect([own.starts.length, own.requests.length]).toEqual([2, 1])
})

it('what it says itself is not asked again', async () => {
  const service = await ownService(own.session)
  own.before = () => ({status: 503, body: {code: 'BUSY', detail: 'later'}})
  await expect(service?.request('GET', '/v1/gates')).rejects.toMatchObject({code: 'BUSY', message: 'later'})
  expect(own.requests).toHaveLength(1)
})

it('it leaves when it is told to, and says whether it was there', async () => {
  expect(await stopService(own.session)).toBe(false)
  await ownService(own.session)
  expect(await stopService(own.session)).toBe(true)
  expect(own.runs).toBe(false)
})

it.each([
  [{auth: {auth_url: 'u', password: 'p'}}, true],
  [{auth: {auth_url: 'u', password: ''}}, true],
  [{auth: {auth_url: 'u'}}, false],
  [{auth: {auth_url: 'u', token: 't'}, auth_type: 'token'}, false],
  [{auth: {auth_url: 'u', password: 'p'}, auth_type: 'totp'}, false],
  [{auth: {auth_url: 'u', password: 'p', passcode: '1'}, auth_type: 'multifactor'}, false],
  [{auth: {auth_url: 'u', application_credential_secret: 's'}, auth_type: 'application_credential'}, true],
  [{auth: {auth_url: 'u', password: 'p'}, auth_type: 'application_credential'}, false],
] as const)('whether it gets a new token without anybody, by %j: %s', (config, is) => {
  expect(renews({name: 'mine', ...config})).toBe(is)
})
