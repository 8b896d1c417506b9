import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it, jest} from '@jest/globals'

import {clockOf} from '../../support/virtual-time.ts'

const {withLock} = await import('../../../src/system/lock.ts')
const {startTime} = await import('../../../src/system/process.ts')

/* How long another process's lock is waited for, and what its user is told meanwhile. */

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-lock-patience-'))
const lock = join(dir, 'lock')
const owner = `${process.ppid} ${startTime(process.ppid)}`
const clock = {now: 0}
/** When its holder gives it back, by that clock, ms. */
let free: number
let told: number

beforeEach(() => {
  ;[clock.now, free, told] = [0, Number.POSITIVE_INFINITY, 0]
  clockOf(clock)
  writeFileSync(lock, owner)
  jest.spyOn(Date, 'now').mockImplementation(() => {
    if (clock.now >= free && existsSync(lock) && readFileSync(lock, 'utf8') === owner) rmSync(lock)
    return clock.now
  })
})
afterAll(() => {
  jest.restoreAllMocks()
  rmSync(dir, {recursive: true})
})

const taken = (patience?: number) =>
  withLock(
    lock,
    async () => 'in',
    patience,
    () => told++,
  )

it.each([
  [900, 0],
  [1600, 1],
  [60_000, 1],
])('who waits for %i ms is told %i times', async (ms, times) => {
  free = ms
  expect(await taken()).toBe('in')
  expect(told).toBe(times)
  // What comes next need not wait, and is told nothing.
  expect(await taken()).toBe('in')
  expect(told).toBe(times)
})

it.each([
  [undefined, 90],
  [10_000, 10],
])(
  'with a patience of %s ms it ends after %i s, and leaves the lock to its holder',
  async (patience, seconds) => {
    await expect(taken(patience)).rejects.toMatchObject({
      ...{code: 'BUSY', exit: 75, message: `another os-ssh holds ${lock}, after ${seconds} s`},
    })
    expect(readFileSync(lock, 'utf8')).toBe(owner)
  },
)
