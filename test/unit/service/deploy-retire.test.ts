import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {retireGate} from '../../../src/service/deploy/retire-gate.ts'
import {addGate, gate as gateOf} from '../../../src/service/store/gates.ts'
import {
  machines as allMachines,
  clearMachine,
  failMachine,
  forgetMachines,
  keyMachine,
  planMachine,
  removeMachine,
  retireMachine,
} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path as pathById} from '../../../src/service/store/paths.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, operator, replica, rowOf, self, wanted} from '../../support/fleet.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* The rows of a machine, and the gate that it is when it goes. */

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

describe('a gate that goes', () => {
  const retire = async () => {
    const service = replica(cloud, db)
    const isOver = await retireGate(service.context, service.gates, {id: 'g'}, self)
    return [isOver, service.woken, service.dropped]
  }

  it('fails its paths with what they may do, and waits for its networks', async () => {
    await gateRow(db)
    await attachmentRow(db, {state: 'ready'})
    await pathRow(db)
    expect(await retire()).toEqual([false, ['g'], []])
    expect(await pathById(db, 'path')).toMatchObject({
      ...{state: 'failed', error: {code: 'GATE_DOWN', message: 'its gate is gone; another one takes it'}},
    })
    expect(await db.selectFrom('attachments').select('state').execute()).toEqual([{state: 'removing'}])
    await db.deleteFrom('attachments').execute()
    expect(await retire()).toEqual([true, ['g'], ['g']])
    expect(await gateOf(db, 'g')).toBeUndefined()
    // Nobody's account rests on what is no more.
    expect((await pathById(db, 'path'))?.state).toBe('released')
    expect(await retire()).toEqual([true, [], []])
  })

  it('is not asked when it is down: it does not answer', async () => {
    await gateRow(db, {state: 'down'})
    expect(await retire()).toEqual([true, [], ['g']])
  })

  it('takes no other’s paths with it', async () => {
    await gateRow(db)
    await gateRow(db, {id: 'other', name: 'other', server_id: 'other'})
    await attachmentRow(db, {gate_id: 'other'})
    await pathRow(db, {gate_id: 'other'})
    expect(await retire()).toEqual([true, ['g'], ['g']])
    expect((await pathById(db, 'path'))?.state).toBe('pending')
    expect(await gateOf(db, 'other')).toBeDefined()
  })
})

describe('of a machine', () => {
  const plan = {
    ...{image: {id: 'i', name: 'i'}, flavor: {id: 'f', name: 'f'}, network: {id: 'n', name: 'n'}},
    ...{address: {kind: 'direct' as const}, count: 1, quota: []},
  }

  it('the plan and the key of its boot are chosen once', async () => {
    const id = await wanted(cloud, db)
    await planMachine(db, id, plan)
    await planMachine(db, id, {...plan, count: 9})
    expect((await rowOf(db, id)).plan).toEqual(plan)
    expect([await keyMachine(db, id, 'first'), await keyMachine(db, id, 'second')]).toEqual([
      'first',
      'first',
    ])
  })

  it('that goes no key is kept, nor made any more', async () => {
    const id = await wanted(cloud, db)
    await keyMachine(db, id, 'first')
    expect(await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, 1)).toBe(true)
    expect((await rowOf(db, id)).first_key).toBeNull()
    expect(await keyMachine(db, id, 'second')).toBeUndefined()
    expect(await keyMachine(db, 'nobody', 'x')).toBeUndefined()
    expect(await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, 1)).toBe(false)
  })

  it('the row stays until nothing is left in the cloud, and a failed one for an hour more', async () => {
    const id = await wanted(cloud, db)
    await removeMachine(db, id)
    await clearMachine(db, id, 5)
    expect(await rowOf(db, id)).toMatchObject({state: 'wanted', cleared_at: null})
    await failMachine(db, id, 'why', 1000)
    await forgetMachines(db, 1000)
    expect(await rowOf(db, id)).toMatchObject({state: 'failed', reason: 'why', since: 1000})
    await clearMachine(db, id, 2000)
    await forgetMachines(db, 999)
    expect(await allMachines(db)).toHaveLength(1)
    await forgetMachines(db, 1000)
    expect(await allMachines(db)).toEqual([])
  })

  it('there is one gate: a name or a server is nobody else’s', async () => {
    await gateRow(db, {id: 'g', name: 'gate1', server_id: 's1'})
    const row = {project_id: 'infra', scope: 'shared' as const, host: 'h', port: 22, login: 'root'}
    const more = {host_key: 'k', keep_nics: [], created_at: 0}
    for (const one of [
      {name: 'gate1', server_id: 's2'},
      {name: 'gate2', server_id: 's1'},
    ])
      await expect(addGate(db, {id: 'x', ...row, ...more, ...one}, operator)).rejects.toMatchObject({
        code: 'USAGE',
      })
    expect(await db.selectFrom('audit').selectAll().execute()).toEqual([])
  })
})
