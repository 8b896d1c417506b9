import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, it, jest} from '@jest/globals'

import type {Place} from '../../../src/embedded/place.ts'

/* What a user reads of a service that does not start: its own fault, else its last words. */

/** No process has it: the kernel's pid_max is at most 2^22. */
const DEAD = 99_999_999
let left: () => void = () => undefined
const actual = await import('../../../src/system/daemon.ts')
jest.unstable_mockModule('../../../src/system/daemon.ts', () => ({
  ...actual,
  startDaemon: () => {
    left()
    return DEAD
  },
}))
const {ensureService} = await import('../../../src/embedded/start.ts')
const {faultOf, lastWordsOf} = await import('../../../src/embedded/place.ts')

let place: Place
beforeEach(() => {
  const run = mkdtempSync(join(tmpdir(), 'os-ssh-w-'))
  place = {state: join(run, 'state'), run}
})
afterEach(() => rmSync(place.run, {recursive: true}))

const starts = () => ensureService(place, '1.0.0', async () => ({}) as never)
const hint = 'os-ssh service logs'

it('its own fault, with its hint', async () => {
  left = () => writeFileSync(faultOf(place), JSON.stringify({code: 'CONFIG', message: 'no', hint: 'mend it'}))
  await expect(starts()).rejects.toMatchObject({code: 'CONFIG', message: 'no', suggestions: ['mend it']})
})

it.each([
  ['a code that is none', '{"code": "constructor", "message": "x"}'],
  ['half a fault', '{"code": "CONF'],
  ['nothing', ''],
])('the last words after %s', async (_, fault) => {
  left = () => {
    writeFileSync(faultOf(place), fault)
    writeFileSync(
      lastWordsOf(place),
      'file:///x.js:1\n  boom\nTypeError: \u001b[31mboom\n    at x\n\nNode.js v24\n',
    )
  }
  await expect(starts()).rejects.toMatchObject({
    ...{code: 'SERVICE_DOWN', suggestions: [hint]},
    message: 'the service did not start: TypeError: \\u001b[31mboom',
  })
})

it.each([
  ['last\nwords\n', 'words'],
  ['', 'it said nothing'],
])('words without an error: %j', async (words, said) => {
  left = () => writeFileSync(lastWordsOf(place), words)
  await expect(starts()).rejects.toMatchObject({message: `the service did not start: ${said}`})
})

it('the fault and the words of an earlier start are not this one’s', async () => {
  writeFileSync(faultOf(place), JSON.stringify({code: 'CONFIG', message: 'old'}))
  writeFileSync(lastWordsOf(place), 'Error: old\n')
  left = () => undefined
  await expect(starts()).rejects.toMatchObject({message: 'the service did not start: it said nothing'})
})

it('what cannot be handed over starts nothing, and gives the turn back', async () => {
  let times = 0
  left = () => times++
  for (const _ of [1, 2])
    await expect(ensureService(place, '1.0.0', () => Promise.reject(new Error('no key')))).rejects.toThrow(
      'no key',
    )
  expect(times).toBe(0)
})
