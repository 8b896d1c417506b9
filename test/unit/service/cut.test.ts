import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {areCut} from '../../../src/service/cut.ts'
import {revoke} from '../../../src/service/endings.ts'
import {PathEvents} from '../../../src/service/events.ts'
import {gateDown} from '../../../src/service/store/gates.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {cutPaths} from '../../../src/service/store/path-steps.ts'
import {gateRow, pathRow} from '../../support/rows.ts'

/* When a revocation is answered: not before the gate has taken it, and not for ever. */

let db: Store
let now: number
let events: PathEvents
let woken: string[]
/** What becomes of a gate that is woken; whether its rounds are ours. */
let wake: (gate: string) => Promise<boolean>

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000
  events = new PathEvents()
  woken = []
  wake = async () => true
  for (const [n, gate] of ['g', 'h'].entries()) {
    await gateRow(db, {id: gate, name: gate, server_id: gate})
    const place = {gate_id: gate, attachment_id: '', fingerprint: gate, login: `osp000${n}`}
    await pathRow(db, {...place, id: `path-${gate}`, state: 'active', alias: `100.64.0.${n}`})
  }
})
afterEach(() => db.destroy())

const gates = {
  async wake(gate: string) {
    woken.push(gate)
    return wake(gate)
  },
}
const context = () => ({db, clock: () => now, events})
async function end(...ids: string[]): Promise<boolean> {
  return areCut(context(), gates, await revoke(context(), {ids}, {}))
}
const cut = (...ids: string[]) => cutPaths(db, ids, now)

/** Whether it is still waited for, after all that can happen by itself has. */
async function waits(answer: Promise<boolean>): Promise<boolean> {
  let over = false
  void answer.then(() => {
    over = true
  })
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
  return !over
}

it('is answered when every gate has had its round, each woken once', async () => {
  wake = async gate => {
    await cut(`path-${gate}`)
    return true
  }
  expect(await end('path-g', 'path-h')).toBe(true)
  expect(woken).toEqual(['g', 'h'])
})

it('is not answered while one gate has taken nothing, whatever others have', async () => {
  wake = async gate => {
    if (gate === 'g') await cut('path-g')
    return true
  }
  const answer = end('path-g', 'path-h')
  expect(await waits(answer)).toBe(true)
  await cut('path-h')
  events.emit('path-h')
  expect(await answer).toBe(true)
})

it('is a failure where one of the gates is down', async () => {
  wake = async gate => {
    await (gate === 'g' ? cut('path-g') : gateDown(db, gate, 'dead'))
    return true
  }
  expect(await end('path-g', 'path-h')).toBe(false)
})

it('is a failure at once where our own round has found the gate down', async () => {
  wake = async gate => {
    await gateDown(db, gate, 'dead')
    return true
  }
  expect(await end('path-g')).toBe(false)
})

it('gives another replica the time to try, though the gate was down before, and believes what it finds', async () => {
  wake = async () => false
  await gateDown(db, 'g', 'dead')
  const answer = end('path-g')
  expect(await waits(answer)).toBe(true)
  events.emit('path-g')
  expect(await answer).toBe(false)
})

it('hears from another replica that it is cut', async () => {
  wake = async () => false
  await gateDown(db, 'g', 'dead')
  const answer = end('path-g')
  expect(await waits(answer)).toBe(true)
  await cut('path-g')
  events.emit('path-g')
  expect(await answer).toBe(true)
})

it('is a failure after 30 s without a word', async () => {
  wake = async () => false
  const answer = end('path-g')
  expect(await waits(answer)).toBe(true)
  now += 29_999
  events.emit('path-g')
  expect(await waits(answer)).toBe(true)
  now += 1
  events.emit('path-g')
  expect(await answer).toBe(false)
})

it('wakes nobody for what never had a place, or for nothing', async () => {
  await db.updateTable('paths').set({state: 'requested', gate_id: ''}).where('id', '=', 'path-g').execute()
  expect([await end('path-g'), await areCut(context(), gates, []), woken]).toEqual([true, true, []])
})
