import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {OpenStackError} from '../../../src/openstack/index.ts'
import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import {gates as allGates} from '../../../src/service/store/gates.ts'
import {machines as allMachines, failMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, rowOf, wanted} from '../../support/fleet.ts'
import {gateRow} from '../../support/rows.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {Fleet} = await import('../../../src/service/deploy/fleet.ts')

/* What an operator has the service do with gates, and what only time brings about. */

let db: Store
let cloud: FakeCloud
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  await db.updateTable('service').set({allow: null}).execute()
  cloud = new FakeCloud()
})

const fleet = (config: Partial<GatesConfig> = {}, lease = true) => {
  const service = replica(cloud, db, config, lease)
  return Object.assign(new Fleet(service), {service})
}
const running = async (change: Parameters<typeof wanted>[2] = {}) => {
  const id = await wanted(cloud, db, change)
  await tend(replica(cloud, db), id, isOurs)
  return id
}
const prefixes = () =>
  cloud.groups.flatMap(group =>
    group.security_group_rules
      .filter(rule => rule.direction === 'ingress')
      .map(rule => rule.remote_ip_prefix),
  )
const made = () => cloud.calls.filter(call => call.startsWith('create'))

describe('deploy', () => {
  it('makes as many as are asked for, and says which and of what', async () => {
    const one = fleet({image: 'ubuntu'})
    const {ids, plan} = await one.deploy({wish: {count: 2, zone: 'nova'}, scope: 'shared'}, operator)
    expect(plan).toMatchObject({count: 2, zone: 'nova', image: {id: 'ubuntu'}})
    const rows = await allMachines(db)
    expect(rows.map(row => row.id).sort()).toEqual([...ids].sort())
    for (const row of rows)
      expect(row).toMatchObject({
        ...{scope: 'shared', serves: null, zone: 'nova', automatic: false, plan},
        wish: {image: 'ubuntu', zone: 'nova'},
      })
    const audit = await db.selectFrom('audit').select(['action', 'user_name']).execute()
    expect(audit).toEqual([1, 2].map(() => ({action: 'gate-deploy', user_name: 'op'})))
    await one.service.settled()
    expect(await allGates(db)).toHaveLength(2)
    expect(cloud.alive()).toHaveLength(2)
  })

  it.each([
    ['a project', 't1', 'project', 't1'],
    ['its own project', 'infra', 'project', null],
    ['nobody in particular', undefined, 'project', null],
    ['all, whatever project is named', 't1', 'shared', null],
  ] as const)('for %s', async (_, project, scope, serves) => {
    await fleet({}, false).deploy({wish: {}, scope, project}, operator)
    expect(await allMachines(db)).toMatchObject([{serves, scope, zone: null}])
  })

  it('what is asked for counts before what is configured', async () => {
    const {plan} = await fleet({zones: ['x'], flavor: 'none'}, false).deploy(
      {wish: {flavor: 'small', address: 'direct', network: 'net'}, scope: 'project'},
      operator,
    )
    expect(plan).toMatchObject({flavor: {id: 'small'}, address: {kind: 'direct'}})
  })

  it('leaves it to the replica that has the lease', async () => {
    const one = fleet({}, false)
    await one.deploy({wish: {}, scope: 'project'}, operator)
    await one.service.settled()
    expect([(await allMachines(db)).map(row => row.state), made()]).toEqual([['wanted'], []])
  })

  it('says what does not fit, and that there are enough, before anything is wanted', async () => {
    const one = fleet({max: 2})
    await expect(one.deploy({wish: {zone: 'moon'}, scope: 'project'}, operator)).rejects.toMatchObject({
      ...{code: 'USAGE', message: expect.stringContaining('there is no availability zone')},
    })
    await running()
    const enough = {code: 'USAGE', message: 'this service makes 2 gates at most'}
    await expect(one.deploy({wish: {count: 2}, scope: 'project'}, operator)).rejects.toMatchObject(enough)
    expect(await allMachines(db)).toHaveLength(1)
    await one.deploy({wish: {}, scope: 'project'}, operator)
    await expect(one.deploy({wish: {}, scope: 'project'}, operator)).rejects.toMatchObject(enough)
    await one.service.settled()
  })

  it('a plan makes nothing', async () => {
    expect(await fleet().preview({count: 3})).toMatchObject({count: 3})
    expect([await allMachines(db), made()]).toEqual([[], []])
  })
})

describe('delete', () => {
  it('takes all of it, and is audited', async () => {
    const id = await running()
    await db.deleteFrom('audit').execute()
    const one = fleet()
    await one.delete(await rowOf(db, id), operator)
    expect(await rowOf(db, id)).toMatchObject({state: 'deleting'})
    await one.service.settled()
    expect([cloud.alive(), cloud.ports, cloud.floating, await allMachines(db)].flat()).toEqual([])
    const audit = await db.selectFrom('audit').select(['action', 'user_name', 'detail']).execute()
    expect(audit).toEqual([
      {action: 'gate-delete', user_name: 'op', detail: 'gate-0a1b2c'},
      {action: 'gate-remove', user_name: 'the SSH service', detail: 'gate-0a1b2c'},
    ])
  })

  it('again changes nothing, and leaves it to the holder of the lease', async () => {
    const id = await running()
    const one = fleet({}, false)
    await one.delete(await rowOf(db, id), operator)
    await db.deleteFrom('audit').execute()
    await one.delete(await rowOf(db, id), operator)
    await one.service.settled()
    expect([cloud.alive().length, await db.selectFrom('audit').selectAll().execute()]).toEqual([1, []])
  })
})

describe('who may reach port 22', () => {
  it('is what is configured until somebody says otherwise, and holds for gates to come', async () => {
    const config = {allow: ['198.51.100.0/24']}
    expect(await fleet(config).admission.allowed()).toEqual(['198.51.100.0/24'])
    await running()
    await fleet(config).admission.allow(['192.0.2.0/24', '2001:db8::/32'], operator)
    expect(prefixes()).toEqual(['192.0.2.0/24', '2001:db8::/32'])
    cloud.groups.splice(0)
    const second = 'ffffffff-0000-4000-8000-000000000000'
    await wanted(cloud, db, {id: second})
    await tend(replica(cloud, db, config), second, isOurs)
    expect(prefixes()).toEqual(['192.0.2.0/24', '2001:db8::/32'])
    expect(
      await db.selectFrom('audit').select('detail').where('action', '=', 'gate-allow').execute(),
    ).toEqual([{detail: '192.0.2.0/24 2001:db8::/32'}])
  })

  it('is this machine alone, by the address that a gate sees once everybody is let in', async () => {
    const id = await running()
    const one = fleet()
    await one.admission.allow(['192.0.2.7/32'], operator)
    one.service.sees.set((await rowOf(db, id)).host ?? '', '198.51.100.9')
    expect(await one.admission.allowSeen(operator)).toEqual(['198.51.100.9/32'])
    expect(one.service.looks).toEqual([expect.arrayContaining(['0.0.0.0/0', '::/0'])])
    expect(prefixes()).toEqual(['198.51.100.9/32'])
  })

  it('is as before, at the next look, where no gate sees anybody', async () => {
    await running()
    const one = fleet()
    await one.admission.allow(['192.0.2.7/32'], operator)
    await expect(one.admission.allowSeen(operator)).rejects.toMatchObject({code: 'GATE_DOWN'})
    expect(one.admission.isDue).toBe(true)
    await one.admission.mend()
    expect([prefixes(), one.admission.isDue]).toEqual([['192.0.2.7/32'], false])
  })

  it('is said once and for all, though the cloud does it later: at a tick, by the holder of the lease', async () => {
    await running()
    const [one, other] = [fleet(), fleet({}, false)]
    await one.admission.allow(['192.0.2.7/32'], operator)
    cloud.cut = (_, call) =>
      /SecurityGroupRule/.test(call) ? new OpenStackError('unreachable', 'gone') : undefined
    for (const {admission} of [one, other])
      await expect(admission.allow(['192.0.2.8/32'], operator)).rejects.toMatchObject({fault: 'unreachable'})
    expect([await one.admission.allowed(), prefixes(), one.admission.isDue]).toEqual([
      ...[['192.0.2.8/32'], ['192.0.2.7/32'], true],
    ])
    cloud.revive()
    const looks = []
    for (const each of [other, one]) {
      await each.tick()
      await each.service.settled()
      looks.push([prefixes(), each.admission.isDue])
    }
    expect(looks).toEqual([
      [['192.0.2.7/32'], true],
      [['192.0.2.8/32'], false],
    ])
  })

  it('is this machine by all addresses that gates of ours see, each once, whether all answer or not', async () => {
    const ids = ['0', '1', '2', '3'].map(n => `${n.repeat(8)}-0000-4000-8000-000000000000`)
    for (const id of ids) await running({id})
    // Registered, and none of ours: who runs it sees whom it will.
    await gateRow(db, {id: 'g', name: 'registered', host: '192.0.2.1'})
    const one = fleet()
    const hosts = await Promise.all(ids.map(async id => (await rowOf(db, id)).host ?? ''))
    for (const [n, seen] of ['198.51.100.9', '2001:db8::9', '198.51.100.9'].entries())
      one.service.sees.set(hosts[n] ?? '', seen)
    expect([...(await one.admission.allowSeen(operator))].sort()).toEqual([
      '198.51.100.9/32',
      '2001:db8::9/128',
    ])
    expect(one.service.looks).toHaveLength(4)
    expect([...prefixes()].sort()).toEqual(['198.51.100.9/32', '2001:db8::9/128'])
  })

  it('is nobody’s to see where there is no gate', async () => {
    await expect(fleet().admission.allowSeen(operator)).rejects.toMatchObject({code: 'NO_GATE'})
    expect(cloud.groups).toEqual([])
  })

  it('makes no group where there is no gate', async () => {
    const id = await wanted(cloud, db)
    await failMachine(db, id, 'why', cloud.now)
    await tend(replica(cloud, db), id, isOurs)
    cloud.calls.length = 0
    await fleet().admission.allow(['192.0.2.0/24'], operator)
    expect([cloud.calls, cloud.groups]).toEqual([[], []])
  })
})

describe('a tick', () => {
  it('goes on with what is under way', async () => {
    const id = await wanted(cloud, db)
    const one = fleet()
    await one.tick()
    await one.service.settled()
    expect((await rowOf(db, id)).state).toBe('running')
  })

  it('does nothing that is another replica’s', async () => {
    await wanted(cloud, db)
    const one = fleet({automatic: true}, false)
    await one.tick()
    await one.service.settled()
    expect(cloud.calls).toEqual([])
  })

  const dead = async () => {
    const id = await running()
    const [server] = cloud.alive()
    if (server !== undefined) server.gone = cloud.now
    return id
  }

  it('heals every five seconds, or at once when somebody is in a hurry', async () => {
    const one = fleet({automatic: true})
    const looks = () => cloud.calls.filter(call => call === 'token').length
    await running()
    const counts: number[] = []
    for (const pass of [0, 4999, 1, 1]) {
      cloud.now += pass
      cloud.calls.length = 0
      await one.tick()
      await one.service.settled()
      counts.push(Math.min(1, looks()))
    }
    one.hurry()
    cloud.calls.length = 0
    await one.tick()
    await one.service.settled()
    expect([...counts, Math.min(1, looks())]).toEqual([1, 0, 1, 0, 1])
  })

  it('replaces what is gone', async () => {
    const id = await dead()
    const one = fleet({automatic: true})
    await one.tick()
    await one.service.settled()
    expect((await allMachines(db)).map(row => [row.id === id, row.state])).toEqual([
      [true, 'deleting'],
      [false, 'wanted'],
    ])
  })

  it('replaces nothing when that is not switched on', async () => {
    const id = await dead()
    const one = fleet()
    await one.tick()
    await one.service.settled()
    expect((await rowOf(db, id)).state).toBe('running')
  })

  it('forgets a failed one after an hour, when nothing of it is left', async () => {
    const id = await wanted(cloud, db)
    await failMachine(db, id, 'why', cloud.now)
    const one = fleet()
    await one.tick()
    await one.service.settled()
    cloud.now = (await rowOf(db, id)).since + 3_599_999
    await one.tick()
    expect((await rowOf(db, id)).state).toBe('failed')
    cloud.now += 5001
    await one.tick()
    expect(await allMachines(db)).toEqual([])
  })
})
