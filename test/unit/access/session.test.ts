import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, test} from '@jest/globals'

import {login} from '../../../src/access/login.ts'
import {type SessionOptions, withSession} from '../../../src/access/session.ts'
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
afterEach(() => cloud.close())
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
  cloud.on('POST', '/v3/auth/tokens', issue(cloud.url, 'old', 31))
  const password = async () => 'typed'
  await withSession({...options, ask: {password}}, session => session.keep())
  // Half a minute before its end a token is as good as none.
  await new Promise(resolve => setTimeout(resolve, 1500))
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
  await expect(
    withSession({...options, ask, env, keychain: 'system', needsKey: true}, login),
  ).rejects.toMatchObject({
    code: 'NO_KEYCHAIN',
    message: 'this machine has no keychain that could keep your key',
    suggestions: [expect.stringMatching(/^choose: --keychain file .* or --keychain agent/)],
  })
})

test('what takes longer than a second is said, where somebody waits', async () => {
  cloud.on('POST', '/v3/auth/tokens', async () => {
    await new Promise(resolve => setTimeout(resolve, 1300))
    return issue(cloud.url, 'slow')
  })
  const told: string[] = []
  const progress = (line: string) => told.push(line)
  const ask = {password: async () => 'typed'}
  await withSession({...options, ask, progress}, session => session.token())
  expect(told).toEqual([`waiting for Keystone at ${new URL(cloud.url).host} …`])
})
