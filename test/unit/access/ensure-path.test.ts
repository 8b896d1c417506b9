import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from '@jest/globals'

import {ensurePath} from '../../../src/access/ensure-path.ts'
import {pathFiles} from '../../../src/access/path-files.ts'
import {proxyArguments} from '../../../src/access/proxy.ts'
import type {Session} from '../../../src/access/session.ts'
import {OsSshError} from '../../../src/errors.ts'
import {ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

/* Which path is taken when the one that there is has just failed. */

const VM = '3f2a7c1e-0000-4000-8000-000000000001'
const PATH = '00000000-0000-4000-8000-00000000000a'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-ensure-'))
const directory = join(home, 'run')
const later = Math.floor(Date.now() / 1000) + 3600
const was = process.env['HOME']
let asked: number

const session = {
  name: 'mine',
  directory,
  keychain: {kind: 'agent'},
  say: () => undefined,
  progress: () => undefined,
  token: async () => ({user: {id: 'u', name: 'alice'}}),
  service: async () => ({
    async request() {
      asked++
      throw new OsSshError('SERVICE_DOWN', 'the service was asked')
    },
  }),
} as unknown as Session

const write = (written: number) =>
  writeFileSync(pathFiles(directory, VM).state, `${later} 100.64.0.16 22 gate ${later} ${PATH} ${written}\n`)

beforeAll(async () => {
  process.env['HOME'] = home
  mkdirSync(directory, {mode: 0o700})
  mkdirSync(`${home}/.ssh/os-ssh`, {recursive: true, mode: 0o700})
  writeFileSync(`${home}/.ssh/os-ssh/known_hosts`, `${VM} ssh-ed25519 AAAA\n`)
  await (await ensureAgent(directory)).add(generateKeyPair('k').privateKey, 600)
})
afterAll(async () => {
  process.env['HOME'] = was
  await stopAgent(directory)
  rmSync(home, {recursive: true})
})
beforeEach(() => {
  asked = 0
})

test('one that is fresh is taken without a word to anybody', async () => {
  write(1)
  expect(await ensurePath(session, VM)).toMatchObject({id: PATH, written: 1})
  expect(asked).toBe(0)
})

test('one that has failed is not, however young its file is', async () => {
  // Its user may have got it, and lost it, within the same second.
  write(Date.now())
  const {written} = await ensurePath(session, VM)
  await expect(ensurePath(session, VM, {}, {failed: written})).rejects.toMatchObject({code: 'SERVICE_DOWN'})
  expect(asked).toBe(1)
})

test('unless another process has asked for it meanwhile, who may have got the same one', async () => {
  write(2)
  expect(await ensurePath(session, VM, {}, {failed: 1})).toMatchObject({id: PATH})
  expect(asked).toBe(0)
})

test('an older os-ssh did not say when: then the service is asked', async () => {
  writeFileSync(pathFiles(directory, VM).state, `${later} 100.64.0.16 22 gate ${later} ${PATH}\n`)
  const {again} = proxyArguments(['mine', VM, '--again=7:'])
  await expect(ensurePath(session, VM, {}, {failed: again?.written})).rejects.toMatchObject({
    code: 'SERVICE_DOWN',
  })
})

test('bin/proxy says which one has failed, and after how long', () => {
  const again = {seconds: 7, written: 4711}
  expect(proxyArguments(['mine', VM, '--again=7:4711'])).toEqual({cloud: 'mine', serverId: VM, again})
  for (const words of [['--again=7'], ['--again=7:1;reboot']])
    expect(() => proxyArguments(['mine', VM, 'agent', ...words])).toThrow(OsSshError)
})
