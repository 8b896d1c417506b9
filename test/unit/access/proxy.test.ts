import {mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, it} from '@jest/globals'

import {proxy, proxyArguments, rememberNode} from '../../../src/access/proxy.ts'
import {type Fake, startFake} from '../openstack/fake.ts'

/* ssh's ProxyCommand when there is no fresh path: what it takes as a call, and when it asks for a password. */

const VM = '3f2a7c1e-0000-4000-8000-000000000001'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-pr-'))
const before = {...process.env}
let cloud: Fake
let asked: unknown[]
beforeEach(async () => {
  cloud = await startFake()
  asked = []
  mkdirSync(`${home}/run`, {mode: 0o700})
  const names = {HOME: home, XDG_RUNTIME_DIR: `${home}/run`, OS_CLIENT_CONFIG_FILE: `${home}/clouds.yaml`}
  Object.assign(process.env, names, {OS_SSH_ENDPOINT: 'http://127.0.0.1:1', OS_SSH_KEYCHAIN: 'agent'})
})
afterEach(async () => {
  await cloud.close()
  const {stopAgent} = await import('../../../src/ssh/agent.ts')
  await stopAgent(`${home}/run/os-ssh/mine`)
  rmSync(`${home}/run`, {recursive: true})
  process.env = {...before}
})
afterAll(() => rmSync(home, {recursive: true}))

const ask = {
  password: async (whose: unknown) => {
    asked.push(whose)
    return 'typed'
  },
}
function goes(settings = '', questions: object = {ask}) {
  const auth = `auth_url: "${cloud.url}", username: alice, project_name: p${settings}`
  writeFileSync(`${home}/clouds.yaml`, `clouds: {mine: {auth: {${auth}}}}\n`)
  return proxy({cloud: 'mine', serverId: VM}, questions)
}
const refusal = {status: 401, body: {error: {message: 'no'}}}

it('who is not logged in is asked, once, and then the service is', async () => {
  await expect(goes()).rejects.toMatchObject({
    ...{code: 'SERVICE_DOWN', message: expect.stringContaining('http://127.0.0.1:1')},
  })
  expect(asked).toEqual([{user: 'alice', cloud: 'mine', again: false}])
})

it('where nobody can be asked it says what to do', async () => {
  await expect(goes('', {})).rejects.toMatchObject({
    ...{
      code: 'NOT_LOGGED_IN',
      message: 'you are not logged in to mine',
      suggestions: ['log in: os-ssh login'],
    },
  })
})

it('a password of the configuration that is refused is no question: another one would be refused, too', async () => {
  cloud.on('POST', '/v3/auth/tokens', refusal)
  await expect(goes(', password: wrong')).rejects.toMatchObject({
    ...{code: 'NOT_LOGGED_IN', message: expect.stringMatching(/^mine does not take this user and password/)},
  })
  expect([asked, cloud.asked.length]).toEqual([[], 1])
})

it.each([
  [['mine']],
  [['', VM]],
  [['mine', 'web']],
  [['mine', `${VM}/../x`]],
  [['mine', VM.toUpperCase()]],
  [['mine', VM, 'agent', 'more']],
  [['mine', VM, 'agent', '--again=7']],
])('%j is no call', words => {
  expect(() => proxyArguments(words)).toThrow(
    expect.objectContaining({
      ...{code: 'USAGE', exit: 64},
      message: 'proxy CLOUD VM_UUID [KEYCHAIN] is for ssh: see os-ssh config',
    }),
  )
})

it('the Node that is remembered is this one, and only its user may change that', async () => {
  const umask = process.umask(0)
  const directory = `${home}/state/os-ssh`
  await rememberNode(directory)
  process.umask(umask)
  expect(readFileSync(`${directory}/node`, 'utf8')).toBe(`${process.execPath}\n`)
  expect([directory, `${directory}/node`].map(file => statSync(file).mode & 0o777)).toEqual([0o700, 0o600])
})
