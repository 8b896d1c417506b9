import {cpSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {openCa} from '../../../src/service/ca/ca.ts'
import {bare, readKeys, trusted} from '../../../src/service/ca/files.ts'
import {type Phase, rotateCa, stepsOf, take} from '../../../src/service/ca/rotate.ts'

/* A rotation that is killed between any two of its steps. */

let state: string
let directory: string

const type = 'user'
const rotate = (phase?: Phase, kind: 'user' | undefined = type) =>
  rotateCa({state, type: kind, phase, force: true})
const phases = async () => (await rotate()).rows.map(row => row.phase)
const seen = () => {
  const keys = readKeys(directory, type)
  return {signs: bare(keys.signs.publicKey), trusts: trusted(keys).map(bare)}
}

beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'os-ssh-ca-killed-'))
  directory = join(state, 'ca')
  await openCa(directory)
})
afterEach(() => rmSync(state, {recursive: true}))

/** A phase and those before it; how many are trusted after it. */
const cases: [Phase, Phase[], number][] = [
  ['begin', [], 2],
  ['switch', ['begin'], 2],
  ['finish', ['begin', 'switch'], 1],
  ['rollback', ['begin'], 1],
  ['rollback', ['begin', 'switch'], 2],
  ['finish', ['begin', 'switch', 'rollback'], 1],
]

/** Every number of steps that were taken, with what is done next. */
async function killed(phase: Phase, before: readonly Phase[], then: () => Promise<void>): Promise<void> {
  for (const one of before) await rotate(one)
  const whole = join(state, 'whole')
  cpSync(directory, whole, {recursive: true, preserveTimestamps: true})
  const steps = stepsOf(directory, type, phase)
  for (let taken = 0; taken <= steps.length; taken++) {
    rmSync(directory, {recursive: true})
    cpSync(whole, directory, {recursive: true, preserveTimestamps: true})
    for (const step of stepsOf(directory, type, phase).slice(0, taken)) await take(directory, step)
    await then()
  }
}

/** Takes it to its end, from wherever it is, and makes another one: nothing that was left behind comes back. */
async function carriedOn(): Promise<void> {
  if ((await phases())[0] === 'begin') await rotate('switch')
  await rotate('finish')
  const {signs, trusts} = seen()
  expect(trusts).toEqual([signs])
  for (const [phase, count] of [
    ['begin', 2],
    ['switch', 2],
    ['finish', 1],
  ] as const) {
    await rotate(phase)
    expect(seen().trusts).toHaveLength(count)
  }
  expect(seen().signs).not.toBe(signs)
  const files = readdirSync(directory).filter(file => file.startsWith('user_ca'))
  expect(files.sort()).toEqual(['user_ca', 'user_ca.pub'])
}

it.each(cases)(
  'in %s, after %j, trusts all that may have signed, and can be gone on with',
  async (phase, before) => {
    let was: ReturnType<typeof seen> | undefined
    await killed(phase, before, async () => {
      was ??= seen()
      const now = seen()
      expect(now.trusts).toContain(now.signs)
      // What signs has been trusted since before this phase, and what signed is trusted still.
      expect(was.trusts).toContain(now.signs)
      expect(now.trusts).toContain(was.signs)
      await carriedOn()
    })
  },
)

it.each(cases)(
  'in %s, after %j, ends as if nothing had been when it is run again',
  async (phase, before, count) => {
    let end: ReturnType<typeof seen> | undefined
    for (const one of before) await rotate(one)
    const whole = join(state, 'whole-again')
    cpSync(directory, whole, {recursive: true})
    await rotate(phase)
    end = seen()
    expect(end.trusts).toHaveLength(count)
    rmSync(directory, {recursive: true})
    cpSync(whole, directory, {recursive: true})
    await killed(phase, [], async () => {
      await rotate(phase)
      const {signs, trusts} = seen()
      expect(signs).toBe(end?.signs)
      expect(trusts).toHaveLength(count)
    })
  },
)

it.each(cases)('in %s, after %j, can be rolled back', async (phase, before) => {
  await killed(phase, before, async () => {
    const {trusts} = seen()
    await rotate('rollback')
    expect(trusts).toEqual(expect.arrayContaining(seen().trusts as string[]))
    await carriedOn()
  })
})

it('between the two CAs ends with both in the same phase when it is run again', async () => {
  await rotate('begin')
  const next = readFileSync(join(directory, 'user_ca.next'), 'utf8')
  expect(await phases()).toEqual(['begin', 'none'])
  await rotateCa({state, phase: 'begin'})
  expect(await phases()).toEqual(['begin', 'begin'])
  expect(readFileSync(join(directory, 'user_ca.next'), 'utf8')).toBe(next)
})

it('leaves a .pub that the next run, or start of the service, mends', async () => {
  const pub = () => bare(readFileSync(join(directory, 'user_ca.pub'), 'utf8').trim())
  await rotate('begin')
  for (const step of stepsOf(directory, type, 'switch')) await take(directory, step)
  expect(pub()).not.toBe(seen().signs)
  await openCa(directory)
  expect(pub()).toBe(seen().signs)
})
