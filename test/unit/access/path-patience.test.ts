import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, it, jest} from '@jest/globals'

import type {Session} from '../../../src/access/session.ts'
import {clockOf} from '../../support/virtual-time.ts'

const {ensurePath} = await import('../../../src/access/ensure-path.ts')
const {pathFiles} = await import('../../../src/access/path-files.ts')
const {startTime} = await import('../../../src/system/process.ts')
const {ensureAgent, stopAgent} = await import('../../../src/ssh/agent.ts')

/* How long a path is waited for: a gate that boots may take its time, and what comes after it has its own. */

const VM = '3f2a7c1e-0000-4000-8000-000000000001'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-patience-'))
const directory = join(home, 'run')
const was = process.env['HOME']
const EPOCH = Date.now()
const clock = {now: EPOCH}
/** Seconds after which the gate is there, and the path has failed. */
let [booted, over]: [number, number] = [0, 0]
let told: string[]
let waits: number[]

const seconds = () => (clock.now - EPOCH) / 1000
const session = {
  name: 'mine',
  directory,
  keychain: {kind: 'agent'},
  say: () => undefined,
  progress: (line: string) => told.push(line),
  token: async () => ({user: {id: 'u', name: 'alice'}}),
  service: async () => ({
    async request(_: string, url: string) {
      const wait = Number(/wait=(\d+)$/.exec(url)?.[1])
      waits.push(wait)
      clock.now += wait * 1000
      const path = {state: 'pending', server_name: 'web', route: 'routed'}
      if (seconds() >= over) return {...path, state: 'failed', error: {code: 'NIC_MISSING', detail: 'over'}}
      return seconds() < booted ? {...path, progress: 'a gate is being booted'} : path
    },
  }),
} as unknown as Session

beforeAll(async () => {
  process.env['HOME'] = home
  mkdirSync(directory, {mode: 0o700})
  mkdirSync(`${home}/.ssh/os-ssh`, {recursive: true, mode: 0o700})
  await ensureAgent(directory)
  jest.spyOn(Date, 'now').mockImplementation(() => clock.now)
})
afterAll(async () => {
  jest.restoreAllMocks()
  process.env['HOME'] = was
  await stopAgent(directory)
  rmSync(home, {recursive: true})
})
beforeEach(() => {
  clock.now = EPOCH
  clockOf(clock)
  told = []
  waits = []
})

/** @returns after how many seconds it has ended, and how */
async function ended(gate: number, path: number, patience?: number): Promise<[number, string, string]> {
  ;[booted, over] = [gate, path]
  const {code, message} = await ensurePath(session, VM, {}, {patience}).then(
    () => ({code: 'MADE', message: ''}),
    error => error,
  )
  return [seconds(), code, message]
}

it('a path has two minutes', async () => {
  expect((await ended(0, 110)).slice(1)).toEqual(['NIC_MISSING', 'over'])
  clock.now = EPOCH
  const [after, code, message] = await ended(0, 9999)
  expect([code, message]).toEqual([
    'BUSY',
    `the path to VM ${VM} is still being made, after ${Math.round(after)} s`,
  ])
  expect(after).toBeGreaterThanOrEqual(120)
  expect(after).toBeLessThan(123)
})

it('a gate that boots has eight, and the path then its two', async () => {
  expect((await ended(470, 470 + 110)).slice(1)).toEqual(['NIC_MISSING', 'over'])
  clock.now = EPOCH
  const [after, code] = await ended(300, 9999)
  expect(code).toBe('BUSY')
  expect(after).toBeGreaterThan(410)
  expect(after).toBeLessThan(425)
  clock.now = EPOCH
  const [never, busy] = await ended(9999, 9999)
  expect(busy).toBe('BUSY')
  expect(never).toBeGreaterThanOrEqual(480)
  expect(never).toBeLessThan(485)
})

it.each([0, 9999])('nobody waits longer than they have said, the gate being there after %i s', async gate => {
  const [after, code, message] = await ended(gate, 9999, 40_000)
  expect([code, message]).toEqual(['BUSY', expect.stringMatching(/after 4[0-2] s$/)])
  expect(after).toBeLessThan(42)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
})

it('who finds another os-ssh at it is told so, and waits as long as that one may', async () => {
  const {lock} = pathFiles(directory, VM)
  writeFileSync(lock, `${process.ppid} ${startTime(process.ppid)}`)
  const [after, code, message] = await ended(0, 9999)
  rmSync(lock)
  expect(told).toEqual([`another os-ssh makes the path to VM ${VM} …`])
  expect([code, message]).toEqual(['BUSY', expect.stringMatching(/^another os-ssh holds .*, after 600 s$/)])
  expect(after).toBeLessThan(601)
  expect(waits).toEqual([])
}, 60_000)

it('and no longer than they have said', async () => {
  const {lock} = pathFiles(directory, VM)
  writeFileSync(lock, `${process.ppid} ${startTime(process.ppid)}`)
  const [after] = await ended(0, 9999, 40_000)
  rmSync(lock)
  expect(Math.round(after)).toBe(40)
})
