import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {auditPage} from '../../../src/service/store/audit.ts'
import {
  addGate,
  drainGate,
  gateChoices,
  gateDown,
  gates,
  gateUp,
  removeGate,
} from '../../../src/service/store/gates.ts'
import type {GateState, MachineState} from '../../../src/service/store/lifecycle.ts'
import {
  allowed,
  allowThese,
  bootMachine,
  clearMachine,
  failMachine,
  forgetMachine,
  forgetMachines,
  keyMachine,
  planMachine,
  removeMachine,
  replaceMachine,
  retireMachine,
  runMachine,
  wantMachines,
} from '../../../src/service/store/machines.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {attachmentRow, gateRow, machineRow, pathRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

/* Each step of a gate and of a machine from each state, and what an operator can read of it later. Beside it is one like it. */

const NOW = 1_000_000
const who = {id: 'o', name: 'olga', project_id: 'infra', source: '192.0.2.9'}
const gate = {id: 'g', name: 'gate1', server_id: 'gate-server'}
const machine = {id: 'm', name: 'gate-m', server_id: 'ms'}
const reached = {host: '192.0.2.1', port: 22, login: 'root', host_key: 'k', keep_nics: []}
const made = {...machine, ...reached, project_id: 'infra', scope: 'shared', created_at: NOW} as const

interface Step<State extends string> {
  readonly run: (db: Store) => Promise<unknown>
  /** What becomes of the row by its state; no entry: nothing. */
  readonly becomes: Partial<Record<State, object | 'gone'>>
  readonly told?: {readonly action: string; readonly server_id?: string; readonly detail: string}
  /** What the step says of itself, where it says anything: when it was taken, and when not. */
  readonly says?: readonly [unknown, unknown]
}

const GATE: readonly GateState[] = ['new', 'ready', 'down']
const all = <State extends string>(states: readonly State[], what: object | 'gone') =>
  Object.fromEntries(states.map(state => [state, what])) as Partial<Record<State, object | 'gone'>>
const up = {state: 'ready', reason: null}
const gateSteps: Record<string, Step<GateState>> = {
  // One that is ready says nothing of why it was not.
  up: {run: db => gateUp(db, 'g'), becomes: {new: up, down: up}},
  down: {run: db => gateDown(db, 'g', 'newest'), becomes: all(GATE, {state: 'down', reason: 'newest'})},
  drain: {
    run: db => drainGate(db, gate, true, who, NOW),
    becomes: all(GATE, {drained_at: NOW}),
    told: {action: 'gate-drain', server_id: 'gate-server', detail: 'gate1'},
  },
  'drain no more': {run: db => drainGate(db, gate, false, who, NOW), becomes: {}},
  remove: {
    run: db => removeGate(db, gate, who, NOW),
    becomes: all(GATE, 'gone'),
    told: {action: 'gate-remove', detail: 'gate1'},
    says: [true, false],
  },
}

const MACHINE: readonly MachineState[] = ['wanted', 'booting', 'running', 'failed', 'deleting']
const secrets = {first_key: null, next_key: null}
const machineSteps: Record<string, Step<MachineState>> = {
  boot: {
    run: db => bootMachine(db, 'm', {server_id: 'ms', host: 'h'}, NOW),
    becomes: {wanted: {state: 'booting', since: NOW, server_id: 'ms', host: 'h', reason: null}},
    says: [true, false],
  },
  run: {
    run: db => runMachine(db, made, who),
    becomes: {booting: {...secrets, state: 'running', since: NOW, reason: null}},
    told: {action: 'gate-add', server_id: 'ms', detail: 'gate-m'},
    says: [true, false],
  },
  fail: {
    run: db => failMachine(db, 'm', 'no quota', NOW),
    becomes: all(['wanted', 'booting'], {...secrets, state: 'failed', since: NOW, reason: 'no quota'}),
  },
  retire: {
    run: db => retireMachine(db, machine, 'gate-delete', who, NOW),
    becomes: all(['wanted', 'booting', 'running'], {...secrets, state: 'deleting', since: NOW, reason: null}),
    told: {action: 'gate-delete', server_id: 'ms', detail: 'gate-m'},
    says: [true, false],
  },
  remove: {run: db => removeMachine(db, 'm'), becomes: {deleting: 'gone'}},
  clear: {run: db => clearMachine(db, 'm', NOW), becomes: {failed: {cleared_at: NOW}}},
  'be forgotten': {
    run: db => forgetMachine(db, machine, who, NOW),
    // Something of it is left in the cloud: it goes as soon as nothing is.
    becomes: {failed: {since: 0}},
    told: {action: 'gate-delete', detail: 'gate-m'},
    says: [false, false],
  },
  'be forgotten by time': {run: db => forgetMachines(db, NOW), becomes: {}},
  'be given a plan': {run: db => planMachine(db, 'm', {} as never), becomes: {}},
  'be given another key': {
    run: db => keyMachine(db, 'm', 'another'),
    becomes: {},
    says: ['first', 'first'],
  },
}

describe.each(dialects)('on $name', ({open}) => {
  let db: Store
  beforeAll(async () => {
    db = await open()
  })
  beforeEach(async () => {
    for (const table of ['attachments', 'paths', 'holdings', 'leases', 'gates', 'machines', 'audit'] as const)
      await db.deleteFrom(table).execute()
  })
  afterAll(() => db.destroy())

  const rows = (table: 'gates' | 'machines') =>
    db.selectFrom(table).selectAll().orderBy('id', 'desc').execute()
  const audit = () => auditPage(db, {limit: 9, denials: false})
  const act = {user_id: 'o', user_name: 'olga', project_id: 'infra', source: '192.0.2.9', at: NOW}
  const blank = {id: expect.any(Number), path_id: null, server_id: null, until: null}

  describe.each(Object.entries(gateSteps))('a gate: %s', (_, {run, becomes, told, says}) => {
    it.each(GATE)('from %s', async state => {
      await gateRow(db, {state, reason: 'why'})
      await gateRow(db, {id: 'a', name: 'other', server_id: 'other', state, reason: 'why'})
      const [before, other] = (await rows('gates')) as [object, object]
      const said = await run(db)
      const change = becomes[state]
      expect(await rows('gates')).toEqual([...(change === 'gone' ? [] : [{...before, ...change}]), other])
      expect(await audit()).toEqual(told && change ? [{...blank, ...act, ...told}] : [])
      if (says) expect(said).toBe(change ? says[0] : says[1])
    })
  })

  describe.each(Object.entries(machineSteps))('a machine: %s', (_, {run, becomes, told, says}) => {
    it.each(MACHINE)('from %s', async state => {
      const given = {state, since: 5, reason: 'why', first_key: 'first', next_key: 'next', plan: '{"a":1}'}
      await machineRow(db, given)
      await machineRow(db, {...given, id: 'a', name: 'other'})
      const [before, other] = (await rows('machines')) as [object, object]
      const said = await run(db)
      const change = becomes[state]
      expect(await rows('machines')).toEqual([...(change === 'gone' ? [] : [{...before, ...change}]), other])
      expect(await audit()).toEqual(told && change ? [{...blank, ...act, ...told}] : [])
      if (says) expect(said).toBe(change ? says[0] : says[1])
    })
  })

  it('a failed machine of which nothing is left is forgotten in its time, or when somebody says so', async () => {
    const given = {state: 'failed', since: 5, cleared_at: 6} as const
    await machineRow(db, given)
    await forgetMachines(db, 4)
    expect(await rows('machines')).toHaveLength(1)
    await forgetMachines(db, 5)
    expect(await rows('machines')).toEqual([])
    await machineRow(db, {...given, cleared_at: null})
    for (const _ of [1, 2]) expect(await forgetMachine(db, machine, who, NOW)).toBe(false)
    expect(await audit()).toHaveLength(1)
    await clearMachine(db, 'm', NOW)
    await db.deleteFrom('audit').execute()
    expect(await forgetMachine(db, machine, who, NOW)).toBe(true)
    expect(await rows('machines')).toEqual([])
    // Again is no act.
    expect(await forgetMachine(db, machine, who, NOW)).toBe(false)
    expect(await audit()).toHaveLength(1)
  })

  it('what may reach the gates is written down, with who said so; so is the end of it', async () => {
    await allowThese(db, ['192.0.2.0/24', 'fd00::/8'], who, NOW)
    expect(await allowed(db)).toEqual(['192.0.2.0/24', 'fd00::/8'])
    await allowThese(db, undefined, who, NOW)
    expect(await allowed(db)).toBeUndefined()
    const row = {...blank, ...act, action: 'gate-allow'}
    expect(await audit()).toEqual([
      {...row, detail: 'as it is configured'},
      {...row, detail: '192.0.2.0/24 fd00::/8'},
    ])
  })

  it('a gate whose machine goes takes no new paths, and no other gate is concerned', async () => {
    await machineRow(db)
    await gateRow(db, {id: 'm', name: 'gate-m', server_id: 'ms'})
    await gateRow(db)
    await retireMachine(db, machine, 'gate-delete', who, NOW)
    expect((await gateChoices(db)).map(one => [one.id, one.draining])).toEqual([
      ['m', true],
      ['g', false],
    ])
  })

  it('drained twice is one act, and so is the end of it', async () => {
    await gateRow(db)
    for (const drain of [true, true, false, false]) await drainGate(db, gate, drain, who, NOW)
    expect((await audit()).map(row => row.detail)).toEqual(['gate1: no more', 'gate1'])
    expect(await rows('gates')).toMatchObject([{drained_at: null}])
  })

  it('a machine that goes already has no successor, and one that goes for another one has just one', async () => {
    await machineRow(db, {scope: 'shared', serves: 't', zone: 'z', automatic: 1, wish: '{"flavor":"f"}'})
    const like = {...machine, scope: 'shared', serves: 't', zone: 'z', wish: {flavor: 'f'}, automatic: true}
    const replace = (id: string) =>
      replaceMachine(db, like as never, {id, name: `gate-${id}`}, who, NOW, 'it does not answer')
    await replace('n')
    await replace('o')
    const kept = {scope: 'shared', serves: 't', zone: 'z', automatic: 1, wish: '{"flavor":"f"}'}
    expect(await rows('machines')).toMatchObject([
      {...kept, id: 'n', state: 'wanted', reason: null, since: NOW},
      {...kept, id: 'm', state: 'deleting', reason: 'it does not answer'},
    ])
    expect((await audit()).map(row => [row.action, row.detail])).toEqual([
      ['gate-deploy', 'gate-n'],
      ['gate-replace', 'gate-m: it does not answer'],
    ])
  })

  it('of machines all are wanted or none, and whoever counts them sees those that are there', async () => {
    const wanted = ['n', 'o'].map(id => ({
      ...{id, name: `gate-${id}`, scope: 'shared' as const, serves: null, zone: null},
      ...{wish: {}, automatic: false, created_at: NOW},
    }))
    await machineRow(db)
    const enough = new Error('enough')
    const may = (there: readonly {id: string}[]) => {
      expect(there.map(one => one.id)).toEqual(['m'])
      throw enough
    }
    await expect(wantMachines(db, wanted, may, who)).rejects.toBe(enough)
    await expect(wantMachines(db, [...wanted, ...wanted], () => undefined, who)).rejects.toThrow()
    expect([await rows('machines'), await audit()]).toEqual([[expect.objectContaining({id: 'm'})], []])
    await wantMachines(db, wanted, () => undefined, who)
    expect((await audit()).map(row => [row.action, row.detail])).toEqual([
      ['gate-deploy', 'gate-o'],
      ['gate-deploy', 'gate-n'],
    ])
  })

  it('a key and a plan are given once, while the machine is wanted', async () => {
    await machineRow(db, {state: 'wanted'})
    expect([await keyMachine(db, 'm', 'one'), await keyMachine(db, 'm', 'two')]).toEqual(['one', 'one'])
    await planMachine(db, 'm', {image: 'a'} as never)
    await planMachine(db, 'm', {image: 'b'} as never)
    expect(await rows('machines')).toMatchObject([{first_key: 'one', plan: '{"image":"a"}'}])
    await db.updateTable('machines').set({state: 'deleting', first_key: null}).execute()
    expect(await keyMachine(db, 'm', 'three')).toBeUndefined()
    expect(await rows('machines')).toMatchObject([{first_key: null}])
  })

  it('names and servers are registered once, and that is said', async () => {
    const given = {...made, ...gate}
    await addGate(db, given, who)
    expect(await rows('gates')).toMatchObject([{state: 'new', reason: null, clock_skew: 0, drained_at: null}])
    for (const again of [
      {id: 'h', name: 'other'},
      {id: 'h', server_id: 'other'},
    ])
      await expect(addGate(db, {...given, ...again}, who)).rejects.toMatchObject({
        code: 'USAGE',
        message: 'a gate of this name or server is registered already',
      })
    expect((await audit()).map(row => row.action)).toEqual(['gate-add'])
  })

  it('a gate with something plugged in stays; without, its paths, counts and lease go with it, and no other’s', async () => {
    await gateRow(db)
    await gateRow(db, {id: 'a', name: 'other', server_id: 'other'})
    await attachmentRow(db)
    const place = (n: number) => ({
      id: `p${n}`,
      alias: `100.64.0.${n}`,
      login: `osp000${n}`,
      fingerprint: `f${n}`,
    })
    for (const [n, state] of (['active', 'ended', 'cut', 'released', 'requested'] as const).entries())
      await pathRow(db, {
        ...place(n),
        state,
        ...(state === 'requested' ? {gate_id: '', attachment_id: ''} : {}),
      })
    for (const [n, state] of [
      [8, 'ended'],
      [9, 'active'],
    ] as const)
      await pathRow(db, {...place(n), state, gate_id: 'a', attachment_id: ''})
    for (const name of ['gate g', 'gate a'])
      await db.insertInto('leases').values({name, owner: 'x', until: 1, fence: 1}).execute()
    expect(await removeGate(db, gate, who, NOW)).toBe(false)
    expect([(await gates(db)).map(one => one.id), await audit()]).toEqual([['g', 'a'], []])
    await db.deleteFrom('attachments').execute()
    expect(await removeGate(db, gate, who, NOW)).toBe(true)
    const left = await db.selectFrom('paths').select(['id', 'state', 'cut_at']).orderBy('id').execute()
    expect(left.map(({id, state, cut_at}) => [id, state, cut_at])).toEqual([
      ...[
        ['p0', 'released', NOW],
        ['p1', 'released', NOW],
        ['p2', 'released', null],
      ],
      ...[
        ['p3', 'released', null],
        ['p4', 'requested', null],
        ['p8', 'ended', null],
        ['p9', 'active', null],
      ],
    ])
    expect((await audit()).map(row => [row.action, row.path_id, row.detail])).toEqual([
      ['gate-remove', null, 'gate1'],
      ['revoke', 'p0', 'gate removed by olga'],
    ])
    expect(await db.selectFrom('leases').select('name').execute()).toEqual([{name: 'gate a'}])
    expect((await gateChoices(db)).map(one => [one.id, one.paths])).toEqual([['a', 2]])
    expect(await db.selectFrom('holdings').select('gate_id').where('gate_id', '=', 'g').execute()).toEqual([])
  })
})
