import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {OsSshError} from '../../../src/errors.ts'
import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import type {Way} from '../../../src/service/planner/facts.ts'
import {machines as allMachines, failMachine, noteMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, wanted} from '../../support/fleet.ts'
import {quota} from '../../support/seen.ts'
import {dialects} from '../../support/stores.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {Fleet} = await import('../../../src/service/deploy/fleet.ts')
const {GateIsComing} = await import('../../../src/service/deploy/coming.ts')

/* Who gets a gate, and who is told why not. */

let db: Store
let sqlite: Store
let cloud: FakeCloud
beforeAll(async () => {
  sqlite = await openStore(':memory:')
})
afterAll(() => sqlite.destroy())
beforeEach(async () => {
  db = sqlite
  await emptied(db)
  cloud = new FakeCloud()
})

const AUTOMATIC = {automatic: true} as const
const fleet = (config: Partial<GatesConfig> = AUTOMATIC, lease = true) => {
  const service = replica(cloud, db, config, lease)
  return Object.assign(new Fleet(service), {service})
}
const need = {project_id: 't1', zone: 'nova'}
/** A way by this network. */
const way = (network_id = 'net') => ({options: [{network_id}]}) as unknown as Way
const look = async () => way()
const NO_GATE = new OsSshError('NO_GATE', 'there is no gate')
const GATE_DOWN = new OsSshError('GATE_DOWN', 'the gate is down')
/** What is said; undefined: nothing. */
const said = (asked: Promise<void>): Promise<OsSshError | undefined> =>
  asked.then(
    () => undefined,
    error => error,
  )
const states = async () => (await allMachines(db)).map(row => row.state)
async function running(change: Parameters<typeof wanted>[2] = {}): Promise<string> {
  const id = await wanted(cloud, db, change)
  await tend(replica(cloud, db), id, isOurs)
  await db.updateTable('gates').set({state: 'ready'}).execute()
  return id
}

describe.each(dialects)('on $name', ({open}) => {
  let opened: Store
  beforeAll(async () => {
    opened = await open()
  })
  beforeEach(async () => {
    db = opened
    await emptied(db)
  })
  afterAll(() => opened.destroy())

  it('ten that ask at once get one gate', async () => {
    const replicas = [fleet(AUTOMATIC, false), fleet(AUTOMATIC, false)]
    const all = await Promise.all(
      Array.from({length: 10}, (_, n) => said(replicas[n % 2]?.ask(need, look, NO_GATE) ?? Promise.reject())),
    )
    expect(all.map(error => error?.code)).toEqual(Array.from({length: 10}, () => 'BUSY'))
    expect(await allMachines(db)).toHaveLength(1)
  })

  it('ten of different projects and zones get as many as there may be', async () => {
    Object.assign(cloud.facts, {zones: Array.from({length: 10}, (_, n) => `z${n}`)})
    const one = fleet({...AUTOMATIC, max: 3}, false)
    const ask = (n: number) => said(one.ask({project_id: `t${n}`, zone: `z${n}`}, look, NO_GATE))
    const all = Array.from({length: 10}, (_, n) => n)
    await Promise.all(all.map(ask))
    expect(await states()).toEqual(['wanted', 'wanted', 'wanted'])
    // Who was too late is told so when they ask again.
    const again = (await Promise.all(all.map(ask))).map(error => `${error?.code} ${error?.message}`).sort()
    expect(again).toEqual([
      ...Array.from({length: 3}, () => 'BUSY a gate is being booted, 0 s'),
      ...Array.from(
        {length: 7},
        () =>
          'NO_GATE there is no gate; none is made: there are 3 gates, as many as there may be (gates.max)',
      ),
    ])
    expect(await states()).toHaveLength(3)
  })

  it('operators that deploy at once get no more than there may be', async () => {
    const one = fleet({max: 3}, false)
    const request = {wish: {count: 2}, scope: 'project'} as const
    const all = await Promise.allSettled([1, 2, 3].map(() => one.deploy(request, operator)))
    expect(all.filter(({status}) => status === 'fulfilled')).toHaveLength(1)
    expect(await states()).toEqual(['wanted', 'wanted'])
  })
})

describe('a path that finds no gate', () => {
  it('gets one that serves its project, in its zone, and waits', async () => {
    const one = fleet()
    const error = await said(one.ask(need, look, NO_GATE))
    expect(error).toBeInstanceOf(GateIsComing)
    expect(error).toMatchObject({code: 'BUSY', message: 'a gate is being booted, 0 s', retryAfter: 5})
    expect(await allMachines(db)).toMatchObject([
      {
        ...{serves: 't1', zone: 'nova', scope: 'project', automatic: true, wish: {zone: 'nova'}},
        created_at: cloud.now,
      },
    ])
    expect((await allMachines(db))[0]?.plan).toMatchObject({zone: 'nova', count: 1})
    await one.service.settled()
    expect(await states()).toEqual(['running'])
  })

  it.each([
    ['its own project', {project_id: 'infra', zone: 'nova'}, {}, {serves: null}],
    ['all', need, {scope: 'shared'}, {serves: null, scope: 'shared'}],
    ['no zone that is known', {project_id: 't1', zone: null}, {}, {zone: null}],
    ['a zone that is listed', need, {zones: ['a', 'nova']}, {zone: 'nova'}],
    [
      'a zone that is not listed',
      {project_id: 't1', zone: 'elsewhere'},
      {zones: ['nova', 'b']},
      {zone: 'nova'},
    ],
  ] as const)('for %s', async (_, asked, config, row) => {
    await said(fleet({...AUTOMATIC, ...config} as Partial<GatesConfig>, false).ask(asked, look, NO_GATE))
    expect(await allMachines(db)).toMatchObject([row])
  })

  it('waits for one that is under way, and says since when', async () => {
    await wanted(cloud, db, {zone: 'nova', serves: 'another'})
    cloud.now += 20_400
    expect(await said(fleet().ask(need, look, NO_GATE))).toMatchObject({
      ...{code: 'BUSY', message: 'a gate is being booted, 20 s'},
    })
    expect(await states()).toEqual(['wanted'])
    expect(await fleet().progress()).toBe('a gate is being booted, 20 s')
  })

  it('is not refused for the one that has come while it looked', async () => {
    const seen = async () => {
      await running({zone: 'nova', serves: 't1'})
      return way()
    }
    expect(await said(fleet().ask(need, seen, NO_GATE))).toMatchObject({
      ...{code: 'BUSY', message: 'another gate came meanwhile'},
    })
    expect(await states()).toEqual(['running'])
  })

  it('says nothing of what is not under way', async () => {
    await running()
    expect(await fleet().progress()).toBeUndefined()
  })

  it('gets none when nobody has switched that on', async () => {
    await wanted(cloud, db, {zone: 'nova'})
    cloud.calls.length = 0
    expect(await said(fleet({}).ask(need, look, NO_GATE))).toBeUndefined()
    expect([cloud.calls, await states()]).toEqual([[], ['wanted']])
  })

  it('gets none that would not reach the VM', async () => {
    expect(await said(fleet().ask(need, async () => undefined, NO_GATE))).toBeUndefined()
    expect(await said(fleet().ask(need, async () => way('hidden'), NO_GATE))).toBeUndefined()
    expect(await states()).toEqual([])
  })

  it.each([
    ['there are as many as may be', {max: 1}, 'there are 1 gates, as many as there may be (gates.max)'],
    ['the zone has its own', {perZone: 1}, 'the zone has its 1 gates (gates.per_zone)'],
    ['the project has its own', {}, 'the project has its 1 gates (gates.per_project)'],
  ])('is told that %s', async (_, config, why) => {
    await running({zone: 'nova', serves: 't1'})
    // Whoever has planned just before it came has not seen it.
    expect(await said(fleet({...AUTOMATIC, ...config}).ask(need, look, NO_GATE))).toMatchObject({
      ...{code: 'BUSY', message: 'another gate came meanwhile'},
    })
    cloud.now += 5000
    let looked = false
    const seen = async () => {
      looked = true
      return way()
    }
    expect(await said(fleet({...AUTOMATIC, ...config}).ask(need, seen, NO_GATE))).toMatchObject({
      ...{code: 'NO_GATE', message: `there is no gate; none is made: ${why}`},
    })
    expect([looked, await states()]).toEqual([false, ['running']])
  })

  it('is told that the last one failed, with the code that it had, and nothing of the service’s project', async () => {
    const id = await wanted(cloud, db, {zone: 'nova'})
    await failMachine(db, id, 'No valid host was found', cloud.now)
    const full = new OsSshError('GATE_FULL', 'all gates are full')
    expect(await said(fleet().ask(need, look, full))).toMatchObject({
      code: 'GATE_FULL',
      message: 'all gates are full; none is made: the last one could not be made; the next try is in 30 s',
    })
  })

  it('is told that nothing fits, and not what the service’s project lacks, before anything is wanted', async () => {
    Object.assign(cloud.facts, {quotas: {floatingip: quota(1, 1)}})
    expect(await said(fleet().ask(need, look, NO_GATE))).toMatchObject({
      code: 'NO_GATE',
      message: 'there is no gate; none can be made now',
    })
    expect(await states()).toEqual([])
  })
})

describe('a path whose gate is down', () => {
  const down = () => db.updateTable('gates').set({state: 'down'}).execute()

  it('waits until somebody has looked what has become of it', async () => {
    const id = await running({zone: 'nova', serves: 't1'})
    await down()
    expect(await said(fleet().ask(need, look, GATE_DOWN))).toMatchObject({
      ...{code: 'BUSY', message: 'the gate does not answer; it is looked after'},
    })
    await noteMachine(db, id, {silent_since: cloud.now})
    // It may be back in a moment; a minute later it may be silent for long.
    expect(await said(fleet().ask(need, look, GATE_DOWN))).toMatchObject({code: 'BUSY'})
    await noteMachine(db, id, {silent_since: cloud.now - 60_000})
    expect(await said(fleet().ask(need, look, GATE_DOWN))).toBeUndefined()
    expect(await states()).toEqual(['running'])
  })

  it('does not wait for another’s, nor for one that answers', async () => {
    await running({zone: 'nova', serves: 't1'})
    cloud.now += 5000
    expect(await said(fleet().ask(need, look, GATE_DOWN))).toMatchObject({code: 'GATE_DOWN'})
    expect(await states()).toEqual(['running'])
  })

  it('waits for its successor', async () => {
    await wanted(cloud, db, {zone: 'nova'})
    expect(await said(fleet().ask(need, look, GATE_DOWN))).toBeInstanceOf(GateIsComing)
  })

  it('has one made when that is an operator’s own VM, which nobody heals', async () => {
    expect(await said(fleet(AUTOMATIC, false).ask(need, look, GATE_DOWN))).toBeInstanceOf(GateIsComing)
    expect(await states()).toEqual(['wanted'])
  })
})
