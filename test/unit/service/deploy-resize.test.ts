import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import {gate as gateOf} from '../../../src/service/store/gates.ts'
import {machines as allMachines, failMachine, noteMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {cutPaths, endPaths, releasePaths} from '../../../src/service/store/path-steps.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, isOurs, replica, rowOf, wanted} from '../../support/fleet.ts'
import {attachmentRow, pathRow} from '../../support/rows.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {resize} = await import('../../../src/service/deploy/resize.ts')

/* As many gates as there shall be. */

let db: Store
let cloud: FakeCloud
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  await db.deleteFrom('holdings').execute()
  cloud = new FakeCloud()
})

const [A, B, C] = ['a', 'b', 'c'].map(start => `${start.repeat(8)}-0000-4000-8000-000000000000`) as [
  string,
  string,
  string,
]
const running = async (id: string, change: Parameters<typeof wanted>[2] = {}) => {
  await wanted(cloud, db, {id, ...change})
  await tend(replica(cloud, db), id, isOurs)
  await db.updateTable('gates').set({state: 'ready'}).execute()
}
const look = async (pass = 0, config: Partial<GatesConfig> = {}) => {
  cloud.now += pass
  await resize(replica(cloud, db, {idle: 600, ...config}))
}
const states = async () => (await allMachines(db)).map(({id, state}) => `${id.slice(0, 1)} ${state}`)
const drained = async (id: string) => (await gateOf(db, id))?.drained_at !== null

describe('a gate without a path', () => {
  beforeEach(() => running(A))

  it('is drained after its time, and deleted at the next look', async () => {
    await look()
    expect(await rowOf(db, A)).toMatchObject({idle_since: cloud.now})
    await look(599_999)
    expect(await drained(A)).toBe(false)
    await look(1)
    expect([await drained(A), await states()]).toEqual([true, ['a running']])
    await look()
    expect(await states()).toEqual(['a running'])
    await look(1)
    expect(await rowOf(db, A)).toMatchObject({state: 'deleting', reason: 'nobody needs it'})
    const audit = await db.selectFrom('audit').select(['action', 'user_name']).execute()
    expect(audit.slice(-2)).toEqual([
      {action: 'gate-drain', user_name: 'the SSH service'},
      {action: 'gate-delete', user_name: 'the SSH service'},
    ])
  })

  it('takes paths again when somebody came before it was deleted, and counts anew', async () => {
    await look()
    await look(600_000)
    await attachmentRow(db, {gate_id: A})
    await pathRow(db, {gate_id: A})
    await look(5000)
    expect([await drained(A), await states()]).toEqual([false, ['a running']])
    expect(await rowOf(db, A)).toMatchObject({idle_since: null})
    await endPaths(db, {ids: ['path']}, cloud.now, {action: 'expire'})
    // Its account rests there still.
    await look(700_000)
    expect(await rowOf(db, A)).toMatchObject({idle_since: null})
    await cutPaths(db, ['path'], cloud.now)
    await releasePaths(db, A, ['path'])
    await look(1)
    expect(await rowOf(db, A)).toMatchObject({idle_since: cloud.now})
    await look(599_999)
    expect(await drained(A)).toBe(false)
  })

  it('that an operator drains stays drained while it has paths', async () => {
    await attachmentRow(db, {gate_id: A})
    await pathRow(db, {gate_id: A})
    await db.updateTable('gates').set({drained_at: cloud.now}).execute()
    await look(5000)
    await look(700_000)
    expect([await drained(A), await states()]).toEqual([true, ['a running']])
  })
})

it('one that was about to go takes paths again when it is needed after all', async () => {
  await running(A)
  await running(B)
  for (const pass of [0, 600_000]) await look(pass, {min: 1})
  expect([await drained(A), await drained(B)]).toEqual([true, false])
  expect(await rowOf(db, A)).toMatchObject({reason: 'nobody needs it'})
  await db.updateTable('machines').set({state: 'deleting'}).where('id', '=', B).execute()
  await look(5000, {min: 1})
  expect([await drained(A), await states()]).toEqual([false, ['a running', 'b deleting']])
  expect(await rowOf(db, A)).toMatchObject({reason: null})
})

it('one that an operator drains is not taken back from them for a path that was faster', async () => {
  await running(A)
  await look(0)
  await db.updateTable('gates').set({drained_at: cloud.now}).execute()
  await attachmentRow(db, {gate_id: A})
  await pathRow(db, {gate_id: A})
  await look(5000)
  expect([await drained(A), (await rowOf(db, A)).idle_since]).toEqual([true, null])
})

it('a gate with a path stays', async () => {
  await running(A)
  await attachmentRow(db, {gate_id: A})
  await pathRow(db, {gate_id: A})
  for (const pass of [0, 700_000, 700_000]) await look(pass)
  expect([await drained(A), await states()]).toEqual([false, ['a running']])
})

it('a gate that an operator has deployed stays', async () => {
  await running(A, {automatic: false})
  for (const pass of [0, 700_000, 700_000]) await look(pass)
  expect([await drained(A), await states()]).toEqual([false, ['a running']])
})

it('of each zone the minimum stays', async () => {
  await running(A, {zone: 'nova'})
  await running(B, {zone: 'nova'})
  Object.assign(cloud.facts, {zones: ['nova', 'b']})
  await running(C, {zone: 'b', wish: {zone: 'b'}})
  // Zone by zone: the other one's spare gate is not this one's.
  for (const pass of [0, 700_000, 5000, 5000, 5000]) await look(pass, {min: 1, zones: ['nova']})
  expect(await states()).toEqual(['a deleting', 'b running', 'c running'])
  expect(await drained(C)).toBe(false)
})

describe('the minimum', () => {
  const config = {min: 1, zones: ['nova', 'b'], perProject: 9} as const

  it('is kept in each zone that is listed', async () => {
    await running(A, {zone: 'nova'})
    await look(0, {...config, flavor: 'small'})
    const [, fresh, ...more] = await allMachines(db)
    expect([fresh, more]).toMatchObject([
      {
        ...{state: 'wanted', zone: 'b', serves: null, automatic: true, scope: 'project'},
        wish: {zone: 'b', flavor: 'small'},
      },
      [],
    ])
    await look(5000, config)
    expect(await allMachines(db)).toHaveLength(2)
  })

  it('is kept where no zone is listed', async () => {
    await look(0, {min: 1})
    expect(await allMachines(db)).toMatchObject([{zone: null, state: 'wanted'}])
  })

  it('of none makes none', async () => {
    await look(0, {min: 0, zones: ['nova']})
    expect(await allMachines(db)).toEqual([])
  })

  it('does not count those that go, and waits after a failure', async () => {
    await running(A, {zone: 'nova'})
    await running(B, {zone: 'b'})
    await db.updateTable('machines').set({state: 'deleting'}).where('id', '=', A).execute()
    await look(0, config)
    expect((await states()).map(one => one.slice(2))).toEqual(['deleting', 'running', 'wanted'])
    const fresh = (await allMachines(db)).at(-1)
    await failMachine(db, fresh?.id ?? '', 'why', cloud.now)
    await look(29_999, config)
    expect(await allMachines(db)).toHaveLength(3)
    await look(1, config)
    expect(await allMachines(db)).toHaveLength(4)
  })

  it('is missing once, whoever notices', async () => {
    const [first, second] = await Promise.allSettled([look(0, {min: 1}), look(0, {min: 1})])
    expect(await states()).toHaveLength(1)
    expect(first).toMatchObject({status: 'fulfilled'})
    expect(second).toMatchObject({status: 'rejected', reason: {code: 'BUSY'}})
  })

  it('never makes more than there may be', async () => {
    await running(A, {zone: 'elsewhere'})
    await look(0, {...config, max: 1})
    expect(await states()).toEqual(['a running'])
  })
})

it('a machine that is no gate yet, or none any more, is not idle', async () => {
  await wanted(cloud, db, {id: A})
  await noteMachine(db, A, {idle_since: 1})
  await look()
  await look(700_000)
  expect(await states()).toEqual(['a wanted'])
})
