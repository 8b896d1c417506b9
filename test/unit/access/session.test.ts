import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {createServer as createHttps} from 'node:https'
import type {AddressInfo} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, test} from '@jest/globals'

import {login} from '../../../src/access/login.ts'
import {type Session, type SessionOptions, withSession} from '../../../src/access/session.ts'
import {eventually} from '../../support/run.ts'
import {selfSigned} from '../../support/tls.ts'
import {type Fake, issue, startFake} from '../openstack/fake.ts'

let cloud: Fake
const home = mkdtempSync(join(tmpdir(), 'os-ssh-session-'))
mkdirSync(`${home}/run`, {mode: 0o700})
let options: SessionOptions & {env: NodeJS.ProcessEnv}
beforeEach(async () => {
  cloud = await startFake()
  writeFileSync(
    `${home}/clouds.yaml`,
    `clouds: {mine: {auth: {auth_url: "${cloud.url}", username: alice, project_name: p}}}\n`,
  )
  const env = {
    HOME: home,
    XDG_RUNTIME_DIR: `${home}/run`,
    OS_CLIENT_CONFIG_FILE: `${home}/clouds.yaml`,
    PATH: process.env['PATH'],
  }
  options = {cloud: 'mine', keychain: 'agent', env}
})
afterEach(async () => {
  await cloud.close()
  rmSync(`${home}/run/os-ssh`, {recursive: true, force: true})
})
afterAll(() => rmSync(home, {recursive: true}))

const list = (more: Partial<SessionOptions> = {}) =>
  withSession({...options, ...more}, session => session.cloud.compute.servers())
test('who never logged in is told to, and not to mend a file', async () => {
  await expect(list()).rejects.toMatchObject({
    code: 'NOT_LOGGED_IN',
    message: 'you are not logged in to mine',
    suggestions: ['log in: os-ssh login'],
  })
})

test('a session that is over is said to be over', async () => {
  cloud.on('POST', '/v3/auth/tokens', issue(cloud.url, 'old', 29))
  const password = async () => 'typed'
  await withSession({...options, ask: {password}}, session => session.keep())
  // Half a minute before its end a token is as good as none.
  await expect(list()).rejects.toMatchObject({
    code: 'NOT_LOGGED_IN',
    message: 'your session for mine has ended',
    suggestions: ['log in: os-ssh login'],
  })
})

test('a wrong password has three tries, names user and cloud, and no hint to log in', async () => {
  cloud.on('POST', '/v3/auth/tokens', {status: 401, body: {error: {message: 'no'}}})
  const asked: unknown[] = []
  const password = async (whose: unknown) => `guess ${asked.push(whose)}`
  await expect(withSession({...options, ask: {password}, needsKey: true}, login)).rejects.toMatchObject({
    code: 'NOT_LOGGED_IN',
    message: 'mine does not take this user and password: Keystone answered 401: no',
    suggestions: [`are user, password and project of mine right in ${home}/clouds.yaml?`],
  })
  const whose = {user: 'alice', cloud: 'mine'}
  expect(asked).toEqual([false, true, true].map(again => ({...whose, again})))
})

test('no keychain is known before the password is asked for', async () => {
  const ask = {password: () => Promise.reject(new Error('asked'))}
  const env = {...options.env, DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none`}
  const works: ((session: Session) => Promise<unknown>)[] = [login, session => session.token()]
  for (const work of works)
    await expect(
      withSession({...options, ask, env, keychain: 'system', needsKey: true}, work),
    ).rejects.toMatchObject({
      code: 'NO_KEYCHAIN',
      message: 'this machine has no keychain that could keep your key',
      suggestions: [expect.stringMatching(/^choose: --keychain file .* or --keychain agent/)],
    })
})

test('a token that was got by the way is kept when its command ends, however slow the keychain is', async () => {
  const env = {...options.env, OS_SSH_PASSPHRASE: 'correct horse', XDG_STATE_HOME: `${home}/state`}
  const ask = {password: async () => 'typed'}
  await withSession({...options, ask, env, keychain: 'file'}, session => session.token())
  const {secrets} = JSON.parse(readFileSync(`${home}/state/os-ssh/keychain.json`, 'utf8'))
  expect(Object.keys(secrets)).toEqual([expect.stringMatching(/^token:mine:/)])
})

test('what takes longer than a second is said, where somebody waits, and nothing else is', async () => {
  const told: string[] = []
  const progress = (line: string) => told.push(line)
  const ask = {password: async () => 'typed'}
  await withSession({...options, ask, progress}, session => session.token())
  expect(told).toEqual([])
  rmSync(`${home}/run/os-ssh`, {recursive: true})
  cloud.on('POST', '/v3/auth/tokens', async () => {
    await eventually(
      async () => told.length,
      lines => lines > 0,
    )
    return issue(cloud.url, 'slow')
  })
  await withSession({...options, ask, progress}, session => session.token())
  expect(told).toEqual([`waiting for Keystone at ${new URL(cloud.url).host} …`])
})

test('the service that the user names comes before the one of the catalog', async () => {
  const [named, listed] = ['http://127.0.0.1:7', `${cloud.url}/ssh`]
  const answer = issue(cloud.url, 't')
  const {token} = answer.body as {token: {catalog: object[]}}
  token.catalog.push({type: 'ssh', name: 'ssh', endpoints: [{interface: 'public', url: listed}]})
  cloud.on('POST', '/v3/auth/tokens', answer)
  const ask = {password: async () => 'typed'}
  const endpoint = (env: NodeJS.ProcessEnv) =>
    withSession({...options, ask, env: {...options.env, ...env}}, session => session.endpoint())
  expect(await endpoint({})).toBe(listed)
  expect(await endpoint({OS_SSH_ENDPOINT: ''})).toBe(listed)
  expect(await endpoint({OS_SSH_ENDPOINT: named})).toBe(named)
})

test('a token that cannot be kept is no fault, unless it is to be kept', async () => {
  const ask = {password: async () => 'typed'}
  const env = {...options.env, DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none`}
  const open = {...options, ask, env, keychain: 'system'}
  expect(await withSession(open, async session => (await session.token()).id)).toBe('token-1')
  await expect(withSession(open, session => session.keep())).rejects.toMatchObject({code: 'NO_KEYCHAIN'})
})

test('what is kept is there for the next command, of the same user and project only', async () => {
  const password = async () => 'typed'
  await withSession({...options, ask: {password}}, session => session.token())
  const cached = (more: NodeJS.ProcessEnv = {}) =>
    withSession({...options, env: {...options.env, ...more}}, async session => (await session.token()).id)
  expect(await cached()).toBe('token-1')
  for (const [was, is] of [
    ['alice', 'bob'],
    ['project_name: p', 'project_name: q'],
  ] as const) {
    const other = `${home}/other.yaml`
    writeFileSync(other, readFileSync(`${home}/clouds.yaml`, 'utf8').replace(was, is))
    await expect(cached({OS_CLIENT_CONFIG_FILE: other})).rejects.toMatchObject({
      code: 'NOT_LOGGED_IN',
      message: 'you are not logged in to mine',
    })
  }
  expect(cloud.to('/v3/auth/tokens')).toHaveLength(1)
})

test('the service is believed by the authorities of clouds.yaml, and by no other', async () => {
  const {tls, cert} = selfSigned(home, 'IP:127.0.0.1')
  const service = createHttps(tls, (_, response) => response.end('{"id": "s"}'))
  await new Promise<void>(done => service.listen(0, '127.0.0.1', done))
  const endpoint = `https://127.0.0.1:${(service.address() as AddressInfo).port}`
  const clouds = readFileSync(`${home}/clouds.yaml`, 'utf8')
  const asked = (settings: string) => {
    writeFileSync(`${home}/clouds.yaml`, clouds.replace('{mine: {', `{mine: {${settings}`))
    const env = {...options.env, OS_SSH_ENDPOINT: endpoint}
    const ask = {password: async () => 'typed'}
    return withSession({...options, env, ask}, async session =>
      (await session.service()).request('GET', '/v1/service'),
    )
  }
  await expect(asked('')).rejects.toMatchObject({code: 'SERVICE_DOWN'})
  await expect(asked('verify: true, ')).rejects.toMatchObject({code: 'SERVICE_DOWN'})
  expect(await asked(`cacert: "${cert}", `)).toEqual({id: 's'})
  expect(await asked('verify: false, ')).toEqual({id: 's'})
  service.closeAllConnections()
  service.close()
})

test('a token that is kept and cannot be read is said to be: its user has logged in', async () => {
  const env = {...options.env, XDG_STATE_HOME: `${home}/damaged`}
  mkdirSync(`${home}/damaged/os-ssh`, {recursive: true})
  writeFileSync(`${home}/damaged/os-ssh/keychain.json`, 'nonsense')
  await expect(list({env, keychain: 'file'})).rejects.toMatchObject({
    ...{code: 'NO_KEYCHAIN', message: `${home}/damaged/os-ssh/keychain.json is damaged`},
  })
})
