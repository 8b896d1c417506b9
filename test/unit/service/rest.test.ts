import {afterEach, beforeEach, expect, it} from '@jest/globals'

import type {MachineState} from '../../../src/service/store/lifecycle.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {isAtRest} from '../../../src/service/store/rest.ts'
import {attachmentRow, gateRow, machineRow, pathRow} from '../../support/rows.ts'

/* When a service could go, and nothing would be missed. */

let db: Store

const machine = (state: MachineState, cleared_at: number | null) => machineRow(db, {state, cleared_at})

beforeEach(async () => {
  db = await openStore(':memory:')
  await gateRow(db)
})
afterEach(() => db.destroy())

it('is at rest with a gate alone', async () => {
  expect(await isAtRest(db)).toBe(true)
})

it('is not while a network is plugged in', async () => {
  await attachmentRow(db, {state: 'ready'})
  expect(await isAtRest(db)).toBe(false)
})

it.each([
  ['requested', false],
  ['pending', false],
  ['active', false],
  // Its gate has not cut it yet.
  ['ended', false],
  ['failed', false],
  ['cut', true],
  ['released', true],
] as const)('with a path that is %s: %p', async (state, is) => {
  await attachmentRow(db, {state: 'ready'})
  await pathRow(db, {state})
  await db.deleteFrom('attachments').execute()
  expect(await isAtRest(db)).toBe(is)
})

it.each(['wanted', 'booting', 'deleting'] as const)('is not while a machine is %s', async state => {
  await machine(state, null)
  expect(await isAtRest(db)).toBe(false)
})

it.each([
  ['running', null, true],
  ['failed', null, false],
  ['failed', 1, true],
] as const)('with a machine that is %s, cleared at %p: %p', async (state, cleared, is) => {
  await machine(state, cleared)
  expect(await isAtRest(db)).toBe(is)
})
