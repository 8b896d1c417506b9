import {afterEach, beforeEach, expect, it, jest} from '@jest/globals'

import {PathEvents} from '../../../src/service/events.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {activatePaths} from '../../../src/service/store/path-steps.ts'
import type {News, Wire} from '../../../src/service/store/wire.ts'
import {gateRow, pathRow} from '../../support/rows.ts'

/* Who waits for a path hears of it, here and from other replicas, and never for ever. */

let db: Store
let now: number
let events: PathEvents

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000
  events = new PathEvents()
  await gateRow(db)
  await pathRow(db)
  jest.useFakeTimers({doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask']})
})
afterEach(async () => {
  jest.useRealTimers()
  await db.destroy()
})

const turns = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}
/** Time passes, and all that it brings about is done. */
const pass = async (ms: number) => {
  now += ms
  jest.advanceTimersByTime(ms)
  await turns()
}
/** What has been answered so far. */
async function wait(ms: number, path = 'path') {
  const heard: unknown[] = []
  void events.wait({db, clock: () => now}, path, now + ms).then(row => heard.push(row?.state))
  await turns()
  return heard
}

it.each([
  ['is told of it', () => events.emit('path')],
  ['is told of it by another replica', () => events.hear({...none, paths: ['path']})],
  ['learns that something may have been missed', () => events.hear(undefined)],
])('who %s looks at once', async (_, tell) => {
  const heard = await wait(60_000)
  await activatePaths(db, ['path'])
  await turns()
  expect(heard).toEqual([])
  tell()
  await turns()
  expect(heard).toEqual(['active'])
  expect(jest.getTimerCount()).toBe(0)
})

it('who is told of another path, or too early, goes on waiting', async () => {
  const heard = await wait(60_000)
  for (const id of ['other', 'path']) events.emit(id)
  await turns()
  expect(heard).toEqual([])
})

it('who hears nothing looks again every five seconds, and is answered when the time is over', async () => {
  const heard = await wait(60_000)
  await activatePaths(db, ['path'])
  await pass(4999)
  expect(heard).toEqual([])
  await pass(1)
  expect(heard).toEqual(['active'])
  await db.updateTable('paths').set({state: 'pending'}).execute()
  const short = await wait(7000)
  for (const ms of [5000, 1999]) await pass(ms)
  expect(short).toEqual([])
  await pass(1)
  expect(short).toEqual(['pending'])
})

it('a path that is there, or is none, is not waited for', async () => {
  expect([await wait(0), await wait(60_000, 'none')]).toEqual([['pending'], [undefined]])
})

const none: News = {paths: [], gates: [], doubts: [], settled: []}

it('what comes in one turn goes to the others in one message, each gate once', async () => {
  const sent: News[] = []
  events.connect({send: (news: News) => void sent.push(news)} as unknown as Wire)
  for (const id of ['a', 'b']) events.emit(id)
  for (const id of ['g', 'g', 'h']) events.wakeElsewhere(id)
  events.settle('g/a')
  await turns()
  events.emit('c')
  await turns()
  expect(sent).toEqual([
    {...none, paths: ['a', 'b'], gates: ['g', 'h'], settled: ['g/a']},
    {...none, paths: ['c']},
  ])
})

it('a doubt is settled by whoever knows, or when nobody answers in time', async () => {
  const sent: News[] = []
  events.connect({send: (news: News) => void sent.push(news)} as unknown as Wire)
  const over: string[] = []
  for (const doubt of ['g/a', 'h/b']) void events.settled(doubt, 8000).then(() => over.push(doubt))
  await turns()
  expect(sent).toEqual([{...none, doubts: ['g/a', 'h/b']}])
  events.hear({...none, settled: ['g/a']})
  await turns()
  expect(over).toEqual(['g/a'])
  await pass(7999)
  expect(over).toEqual(['g/a'])
  await pass(1)
  expect(over).toEqual(['g/a', 'h/b'])
})
