import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import {gate as gateOf} from '../../../src/service/store/gates.ts'
import {allowThese} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, rowOf, wanted} from '../../support/fleet.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {heal} = await import('../../../src/service/deploy/heal.ts')

/* What somebody takes from a running gate, or puts to it, in Neutron. */

let db: Store
let cloud: FakeCloud
let id: string
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  cloud = new FakeCloud()
  id = await wanted(cloud, db)
  await tend(replica(cloud, db), id, isOurs)
  await db.updateTable('gates').set({state: 'ready'}).execute()
  cloud.revive()
})

const look = (config: Partial<GatesConfig> = {}) => heal(replica(cloud, db, config), true)
const asked = (call: string) => cloud.calls.filter(one => one === call).length

describe('comes back', () => {
  it('a floating IP that was deleted: another one, and the gate is reached there', async () => {
    const host = (await gateOf(db, id))?.host
    cloud.floating.splice(0)
    await look()
    const [floating, ...more] = cloud.floating
    expect(more).toEqual([])
    expect(floating?.port_id).toBe(cloud.ports[0]?.id)
    expect(floating?.floating_ip_address).not.toBe(host)
    expect(await gateOf(db, id)).toMatchObject({host: floating?.floating_ip_address})
    expect(await rowOf(db, id)).toMatchObject({host: floating?.floating_ip_address, state: 'running'})
  })

  it('a floating IP that was taken from the port: the same one', async () => {
    const host = (await gateOf(db, id))?.host
    Object.assign(cloud.floating[0] ?? {}, {port_id: null})
    await look()
    expect(cloud.floating).toMatchObject([{port_id: cloud.ports[0]?.id, floating_ip_address: host}])
    expect(await gateOf(db, id)).toMatchObject({host})
  })

  it('nothing for a second port of its name, which a lost answer has left', async () => {
    const [port] = cloud.ports
    if (port === undefined) throw new Error('there is no port')
    cloud.ports.unshift({...port, id: '0', device_id: ''})
    await look()
    expect([await rowOf(db, id), cloud.floating]).toMatchObject([{state: 'running'}, [{port_id: port.id}]])
  })

  it('its group on the port', async () => {
    Object.assign(cloud.ports[0] ?? {}, {security_groups: ['default']})
    await look()
    expect(cloud.ports[0]?.security_groups).toEqual([cloud.groups[0]?.id])
  })

  it('a group that was deleted, on the port too', async () => {
    cloud.groups.splice(0)
    await look()
    expect(cloud.groups).toHaveLength(1)
    expect(cloud.ports[0]?.security_groups).toEqual([cloud.groups[0]?.id])
  })

  const ingress = () =>
    cloud.groups[0]?.security_group_rules
      .filter(rule => rule.direction === 'ingress')
      .map(rule => [
        rule.protocol,
        rule.port_range_min,
        rule.port_range_max,
        rule.remote_ip_prefix,
        rule.remote_group_id,
      ])
  const WELL = [
    ['tcp', 22, 22, '0.0.0.0/0', null],
    ['tcp', 22, 22, '::/0', null],
  ]
  const more = (what: object) =>
    cloud.makeRule({
      security_group_id: cloud.groups[0]?.id ?? '',
      direction: 'ingress',
      ethertype: 'IPv4',
      ...what,
    })

  it.each([
    ['all protocols', {}],
    ['another port', {protocol: 'tcp', port_range_min: 80, port_range_max: 80}],
    ['a range from it', {protocol: 'tcp', port_range_min: 22, port_range_max: 23}],
    ['a range to it', {protocol: 'tcp', port_range_min: 21, port_range_max: 22}],
    ['UDP', {protocol: 'udp', port_range_min: 22, port_range_max: 22}],
    ['a group', {protocol: 'tcp', port_range_min: 22, port_range_max: 22, remote_group_id: 'x'}],
    [
      'another prefix',
      {protocol: 'tcp', port_range_min: 22, port_range_max: 22, remote_ip_prefix: '10.0.0.0/8'},
    ],
  ])('a rule that somebody has added goes: %s', async (_, what) => {
    more(what)
    expect(ingress()).toHaveLength(3)
    await look()
    expect(ingress()).toEqual(WELL)
  })

  it('a rule that was deleted; what goes out is left alone', async () => {
    const [group] = cloud.groups
    const out = group?.security_group_rules.filter(rule => rule.direction === 'egress')
    expect(out).toHaveLength(2)
    Object.assign(group ?? {}, {security_group_rules: out})
    await look()
    expect(ingress()).toEqual(WELL)
    expect(group?.security_group_rules).toEqual(expect.arrayContaining(out ?? []))
  })

  it('a rule for anybody, as Neutron says it without a prefix or by number, is that rule', async () => {
    for (const rule of cloud.groups[0]?.security_group_rules ?? [])
      if (rule.direction === 'ingress') Object.assign(rule, {remote_ip_prefix: null, protocol: '6'})
    await look()
    expect([asked('deleteSecurityGroupRule'), asked('createSecurityGroupRule')]).toEqual([0, 0])
  })

  it('nothing for prefixes that Neutron spells otherwise', async () => {
    const allow = ['2001:DB8:0:0::/32', '192.0.2.0/24']
    await look({allow})
    expect(ingress()?.map(([, , , prefix]) => prefix)).toEqual(['2001:db8::/32', '192.0.2.0/24'])
    cloud.calls.length = 0
    await look({allow})
    expect([asked('deleteSecurityGroupRule'), asked('createSecurityGroupRule')]).toEqual([0, 0])
  })

  it('what an operator has allowed, not what is configured', async () => {
    await allowThese(db, ['192.0.2.0/24'], operator, cloud.now)
    await look({allow: ['198.51.100.0/24']})
    expect(ingress()).toEqual([['tcp', 22, 22, '192.0.2.0/24', null]])
  })
})

it('ports are looked at now and then, and at once when the gate is down', async () => {
  cloud.floating.splice(0)
  await heal(replica(cloud, db), false)
  expect(cloud.floating).toEqual([])
  await db.updateTable('gates').set({state: 'down'}).execute()
  await heal(replica(cloud, db), false)
  expect(cloud.floating).toHaveLength(1)
})
