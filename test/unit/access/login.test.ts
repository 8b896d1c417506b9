import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, it} from '@jest/globals'

import {login, logout} from '../../../src/access/login.ts'
import {pathFiles} from '../../../src/access/path-files.ts'
import {type SessionOptions, withSession} from '../../../src/access/session.ts'
import {agentSocket, ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {type Fake, startFake} from '../openstack/fake.ts'

/* What a login leaves on this machine, and that a logout leaves nothing of it; Keystone and the service are one fake. */

const [VM, OTHER] = ['1', '2'].map(n => `3f2a7c1e-0000-4000-8000-00000000000${n}`) as [string, string]
const home = mkdtempSync(join(tmpdir(), 'os-ssh-login-'))
const run = join(home, 'run')
const directory = join(run, 'os-ssh/mine')
const bin = join(home, 'bin')
const before = {...process.env}
let cloud: Fake
let options: SessionOptions
let said: string[]

beforeEach(async () => {
  cloud = await startFake()
  for (const made of [run, bin]) mkdirSync(made, {mode: 0o700, recursive: true})
  writeFileSync(
    `${home}/clouds.yaml`,
    `clouds: {mine: {auth: {auth_url: "${cloud.url}", username: alice, password: secret, project_name: p}}}\n`,
  )
  const env = {
    ...{HOME: home, XDG_RUNTIME_DIR: run, OS_CLIENT_CONFIG_FILE: `${home}/clouds.yaml`},
    ...{PATH: process.env['PATH'], OS_SSH_ENDPOINT: cloud.url},
  }
  said = []
  options = {cloud: 'mine', keychain: 'agent', env, say: line => said.push(line)}
  process.env['HOME'] = home
})
afterEach(async () => {
  await stopAgent(directory)
  process.env = {...before}
  await cloud.close()
  rmSync(run, {recursive: true})
})
afterAll(() => rmSync(home, {recursive: true}))

const words = (prefix: string) => readdirSync(directory).filter(name => name.startsWith(prefix))
const loggedIn = () => withSession(options, login)
const loggedOut = () => withSession(options, logout)
/** Paths that earlier commands left. */
function keep(...vms: string[]): void {
  for (const vm of vms) {
    const files = pathFiles(directory, vm)
    writeFileSync(files.state, `9999999999 100.64.0.16 22 gate-${vm} 9999999999 path-${vm} 1\n`)
    writeFileSync(files.config, `Host gate-${vm}\n  ControlPath ${home}/none\n`)
  }
}

it('a login says who and until when, keeps the token, and puts a key into the agent', async () => {
  const who = await loggedIn()
  expect(who).toEqual({
    ...{cloud: 'mine', user: 'alice', project: 'tenant1', until: expect.any(String)},
  })
  expect(Math.abs(Date.parse(who.until) - Date.now() - 3_600_000)).toBeLessThan(60_000)
  expect(
    [words('token-'), words('id-')].map(files => files.filter(name => !name.endsWith('.lock')).length),
  ).toEqual([1, 1])
  expect(await (await ensureAgent(directory)).keys()).toHaveLength(1)
  expect(said).toEqual(['the private key lives in the ssh-agent of os-ssh only (--keychain agent)'])
})

it('a login whose token cannot be kept fails, before a key is made', async () => {
  await loggedIn()
  const token = join(directory, words('token-')[0] ?? '')
  await loggedOut()
  mkdirSync(token)
  await expect(loggedIn()).rejects.toMatchObject({code: 'LOCAL_FILE'})
  expect(words('id-')).toEqual([])
})

it('a login that no keychain could keep is not begun: nobody is asked for anything', async () => {
  const env = {...options.env, DBUS_SESSION_BUS_ADDRESS: `unix:path=${home}/none`}
  await expect(withSession({...options, env, keychain: 'system'}, login)).rejects.toMatchObject({
    ...{code: 'NO_KEYCHAIN', exit: 69},
  })
  expect(cloud.asked).toEqual([])
})

it('tokens of other projects of this cloud go, too, and what is not ours stays', async () => {
  await loggedIn()
  for (const name of ['token-0123456789abcdef', 'id-0123456789ab', 'token-mine', 'notes'])
    writeFileSync(join(directory, name), '')
  await loggedOut()
  expect(
    readdirSync(directory)
      .filter(name => !name.endsWith('.lock'))
      .sort(),
  ).toEqual(['notes', 'token-mine'])
})

it('a logout leaves neither token nor agent nor path, here and where they are known', async () => {
  await loggedIn()
  keep(VM, OTHER)
  cloud.on('DELETE', `/v1/paths/path-${VM}`, {status: 204})
  // It has ended by itself: that is as good.
  cloud.on('DELETE', `/v1/paths/path-${OTHER}`, {status: 404, body: {code: 'NOT_FOUND', detail: 'no path'}})
  cloud.on('DELETE', '/v3/auth/tokens', {status: 204})
  expect(await loggedOut()).toEqual({cloud: 'mine', left: 0})
  const asked = cloud.asked.filter(({method}) => method === 'DELETE')
  expect(asked.map(({path}) => path).sort()).toEqual([
    ...[VM, OTHER].map(vm => `/v1/paths/path-${vm}`),
    '/v3/auth/tokens',
  ])
  // The token goes last: the service takes no word of one that is revoked.
  expect(asked.at(-1)).toMatchObject({
    path: '/v3/auth/tokens',
    headers: {'x-auth-token': 'token-1', 'x-subject-token': 'token-1'},
  })
  expect(readdirSync(directory).filter(name => !name.endsWith('.lock'))).toEqual([])
  // And the next one is asked for a password again.
  await loggedIn()
  expect(cloud.to('/v3/auth/tokens').filter(({method}) => method === 'POST')).toHaveLength(2)
})

it('a connection to a gate that was kept open is closed', async () => {
  await loggedIn()
  keep(VM)
  cloud.on('DELETE', `/v1/paths/path-${VM}`, {status: 204})
  writeFileSync(join(bin, 'ssh'), `#!/bin/sh\necho "$@" >>'${home}/closed'\n`)
  chmodSync(join(bin, 'ssh'), 0o700)
  process.env['PATH'] = `${bin}:${before['PATH']}`
  await loggedOut()
  expect(readFileSync(`${home}/closed`, 'utf8')).toBe(
    `-F ${pathFiles(directory, VM).config} -O exit gate-${VM}\n`,
  )
})

it('paths that the service does not end are counted, and forgotten here all the same', async () => {
  await loggedIn()
  keep(VM, OTHER)
  cloud.on('DELETE', `/v1/paths/path-${VM}`, {status: 503, body: {code: 'GATE_DOWN', detail: 'away'}})
  cloud.on('DELETE', `/v1/paths/path-${OTHER}`, {status: 204})
  expect(await loggedOut()).toEqual({cloud: 'mine', left: 1})
  expect(words('3f2a')).toEqual([])
  expect(existsSync(agentSocket(directory))).toBe(false)
})

it('a cloud that refuses to revoke keeps nothing here', async () => {
  await loggedIn()
  cloud.on('DELETE', '/v3/auth/tokens', {status: 403, body: {error: {message: 'no'}}})
  expect(await loggedOut()).toEqual({cloud: 'mine', left: 0})
  expect(words('token-')).toEqual([])
})

it('the key in a keychain stays, the token does not', async () => {
  const env = {...options.env, OS_SSH_PASSPHRASE: 'correct horse', XDG_STATE_HOME: `${home}/state`}
  options = {...options, keychain: 'file', env}
  const accounts = () =>
    Object.keys(JSON.parse(readFileSync(`${home}/state/os-ssh/keychain.json`, 'utf8')).secrets).map(
      name => name.split(':')[0],
    )
  await loggedIn()
  expect(accounts().sort()).toEqual(['key', 'token'])
  await loggedOut()
  expect(accounts()).toEqual(['key'])
  expect(said).toEqual([])
})
