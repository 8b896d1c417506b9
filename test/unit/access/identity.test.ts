import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, it, jest} from '@jest/globals'

import {ensureIdentity, knownIdentity} from '../../../src/access/identity.ts'
import type {Session} from '../../../src/access/session.ts'
import {OsSshError} from '../../../src/errors.ts'
import type {KeychainKind} from '../../../src/keychain/keychain.ts'
import {ensureAgent, stopAgent} from '../../../src/ssh/agent.ts'

/* Whose key a user's paths are made with, where it is kept, and how long the agent has it. */

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-identity-'))
const run = join(dir, 'run')
const path = process.env['PATH']
/** What ssh-add was started with. */
const log = join(dir, 'log')
const real = ['/usr/bin', '/bin', '/usr/local/bin'].map(place => `${place}/ssh-add`).join(' ')
const HOUR = 3600
const [MORNING, DAY_S] = [1_800_000_000, 24 * HOUR]

const kept = new Map<string, string>()
let said: string[]
let locked: boolean
let now: number

beforeEach(() => {
  mkdirSync(run, {mode: 0o700})
  mkdirSync(join(dir, 'bin'), {recursive: true})
  writeFileSync(
    join(dir, 'bin/ssh-add'),
    `#!/bin/sh\necho "$@" >>'${log}'\nfor one in ${real}; do [ -x $one ] && exec $one "$@"; done\n`,
    {mode: 0o700},
  )
  process.env['PATH'] = `${join(dir, 'bin')}:${path}`
  writeFileSync(log, '')
  kept.clear()
  ;[said, locked, now] = [[], false, MORNING]
  const clock = Date.now
  const began = clock()
  jest.spyOn(Date, 'now').mockImplementation(() => now * 1000 + clock() - began)
})
afterEach(async () => {
  jest.restoreAllMocks()
  await stopAgent(run)
  process.env['PATH'] = path
  rmSync(run, {recursive: true})
})
afterAll(() => rmSync(dir, {recursive: true}))

function session(id = 'u1', {kind = 'file' as KeychainKind, name = 'mine'} = {}): Session {
  const get = async (account: string) => {
    if (locked) throw new OsSshError('NO_KEYCHAIN', 'locked')
    return kind === 'agent' ? undefined : kept.get(account)
  }
  const set = async (account: string, secret: string) => void (kind === 'agent' || kept.set(account, secret))
  return {
    ...{name, directory: run, keychain: {kind, get, set}, say: (line: string) => said.push(line)},
    token: async () => ({user: {id, name: 'alice'}}),
  } as unknown as Session
}

/** By the name that logout finds. */
const written = () =>
  readdirSync(run)
    .filter(name => /^id-[0-9a-f]{12}$/.test(name))
    .map(name => join(run, name))

const added = () =>
  readFileSync(log, 'utf8')
    .split('\n')
    .filter(line => line.startsWith('-q'))

it('a key is made once, kept in the keychain of its user, and given to the agent for a day', async () => {
  const one = await ensureIdentity(session())
  expect(one).toEqual({publicKey: expect.stringMatching(/^ssh-ed25519 /), until: expect.any(Number)})
  expect(Math.abs(one.until - MORNING - DAY_S)).toBeLessThan(30)
  expect(await ensureIdentity(session())).toEqual(one)
  expect(added()).toEqual([`-q -t ${DAY_S} -`])
  expect([...kept.keys()]).toEqual(['key:mine:u1'])
  expect(await knownIdentity(run, 'u1')).toEqual(one)
  expect(said).toEqual([])
})

it('another user, or another cloud, is another key, and each finds their own again', async () => {
  const [alice, bob] = [await ensureIdentity(session('u1')), await ensureIdentity(session('u2'))]
  expect(bob.publicKey).not.toBe(alice.publicKey)
  expect((await ensureIdentity(session('u1'))).publicKey).toBe(alice.publicKey)
  expect([...kept.keys()]).toEqual(['key:mine:u1', 'key:mine:u2'])
  expect(await knownIdentity(run, 'u3')).toBeUndefined()
  await stopAgent(run)
  rmSync(run, {recursive: true})
  mkdirSync(run, {mode: 0o700})
  expect((await ensureIdentity(session('u1', {name: 'other'}))).publicKey).not.toBe(alice.publicKey)
})

it('what is written down of it is public, and its user’s alone', async () => {
  const {publicKey} = await ensureIdentity(session('u1', {kind: 'agent'}))
  const [file = ''] = written()
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({publicKey, until: expect.any(Number)})
  expect(kept.size).toBe(0)
  expect(said).toEqual(['the private key lives in the ssh-agent of os-ssh only (--keychain agent)'])
})

it.each([
  [14 * HOUR, 1],
  [16 * HOUR, 2],
])(
  'a path shall outlive its user’s day: after %i s the agent has been given it %i times',
  async (later, times) => {
    const one = await ensureIdentity(session())
    now += later
    const other = await ensureIdentity(session())
    expect(other.publicKey).toBe(one.publicKey)
    expect(added()).toHaveLength(times)
    expect(other.until - one.until).toBe(times > 1 ? later : 0)
  },
)

it('a keychain that is locked in the evening stops nobody whose key the agent still has', async () => {
  const one = await ensureIdentity(session())
  locked = true
  now += 20 * HOUR
  expect(await ensureIdentity(session())).toEqual(one)
  now += 4 * HOUR - 30
  await expect(ensureIdentity(session())).rejects.toMatchObject({code: 'NO_KEYCHAIN', message: 'locked'})
})

it('an agent that has died gets the same key again; with the keychain agent it is a new one', async () => {
  const one = await ensureIdentity(session())
  await stopAgent(run)
  expect((await ensureIdentity(session())).publicKey).toBe(one.publicKey)
  expect(await (await ensureAgent(run)).keys()).toHaveLength(1)
  await stopAgent(run)
  expect((await ensureIdentity(session('u1', {kind: 'agent'}))).publicKey).not.toBe(one.publicKey)
})

it('what was written down and is damaged is made anew', async () => {
  const one = await ensureIdentity(session())
  for (const file of written()) writeFileSync(file, '{"publicKey":')
  expect(await ensureIdentity(session())).toMatchObject({publicKey: one.publicKey})
})
