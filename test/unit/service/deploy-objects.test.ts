import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import type {Port} from '../../../src/openstack/index.ts'
import {ensureAddress} from '../../../src/service/deploy/objects.ts'
import {gates as allGates} from '../../../src/service/store/gates.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {FakeCloud, PUBLIC} from '../../support/fake-cloud.ts'
import {emptied, isOurs, replica, SERVICE, wanted} from '../../support/fleet.ts'
import {flavor, quota} from '../../support/seen.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')

/* What a gate is made of. */

let db: Store
let cloud: FakeCloud
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  cloud = new FakeCloud()
})

const make = async (given: Parameters<typeof wanted>[2] = {}, config: Parameters<typeof replica>[2] = {}) => {
  const id = await wanted(cloud, db, given)
  await tend(replica(cloud, db, config), id, isOurs)
  return id
}

describe('what Nova is asked for', () => {
  it('by itself: one port, a config drive, no key pair, and metadata that say whose it is', async () => {
    const id = await make({automatic: false, wish: {zone: 'nova'}})
    const {server, hints} = cloud.boots[0] ?? {}
    expect(server).toEqual({
      ...{name: `os-ssh-${SERVICE}-gate-0a1b2c`, imageRef: 'ubuntu', flavorRef: 'small'},
      ...{networks: [{port: cloud.ports[0]?.id}], config_drive: true, availability_zone: 'nova'},
      ...{
        metadata: {'os-ssh': SERVICE, 'os-ssh-gate': id, 'os-ssh-by': 'ops on here'},
        user_data: expect.any(String),
      },
    })
    expect(hints).toBeUndefined()
    expect(cloud.serverGroups).toEqual([])
    const [floating] = cloud.floating
    expect(floating).toMatchObject({floating_network_id: PUBLIC, port_id: cloud.ports[0]?.id})
    expect(await allGates(db)).toMatchObject([
      {
        ...{id, zone: 'nova', host: floating?.floating_ip_address, project_id: 'infra'},
        login: 'root',
        port: 22,
      },
    ])
  })

  it('beside others, and from a volume that goes with it', async () => {
    Object.assign(cloud.facts, {flavors: [flavor('diskless', {disk: 0})]})
    await make({wish: {count: 2}, automatic: false})
    expect(cloud.boots[0]?.hints).toEqual({group: cloud.serverGroups[0]?.id})
    expect(cloud.serverGroups).toMatchObject([{policy: 'soft-anti-affinity'}])
    const server = cloud.boots[0]?.server
    expect(server).not.toHaveProperty('imageRef')
    expect(server).not.toHaveProperty('availability_zone')
    expect(server?.block_device_mapping_v2).toMatchObject([
      {
        ...{boot_index: 0, uuid: 'ubuntu', source_type: 'image', destination_type: 'volume'},
        delete_on_termination: true,
      },
    ])
  })

  it('one of several that is replaced takes the quota of one, and stands beside the others still', async () => {
    Object.assign(cloud.facts, {quotas: {floatingip: quota(2, 1)}})
    await make({wish: {count: 2}, automatic: false})
    expect(cloud.boots[0]?.hints).toEqual({group: cloud.serverGroups[0]?.id})
    expect(await allGates(db)).toHaveLength(1)
  })

  it('together with others only where there may be more of them in a zone', async () => {
    await make({automatic: true}, {perZone: 1})
    expect(cloud.serverGroups).toEqual([])
  })

  it('the group admits port 22 from whom it may, and nothing else', async () => {
    await make({}, {allow: ['192.0.2.0/24', '2001:db8::/32']})
    const rules = cloud.groups[0]?.security_group_rules.filter(rule => rule.direction === 'ingress')
    expect(
      rules?.map(rule => [
        rule.ethertype,
        rule.protocol,
        rule.port_range_min,
        rule.port_range_max,
        rule.remote_ip_prefix,
      ]),
    ).toEqual([
      ['IPv4', 'tcp', 22, 22, '192.0.2.0/24'],
      ['IPv6', 'tcp', 22, 22, '2001:db8::/32'],
    ])
    expect(cloud.ports[0]?.security_groups).toEqual([cloud.groups[0]?.id])
  })
})

it('the address of one replica’s port is not taken by another’s', async () => {
  const {context} = replica(cloud, db)
  const machine = {id: 'm', name: 'gate-1'}
  const address = {kind: 'floating', network: {id: PUBLIC, name: PUBLIC}} as const
  const [first, second] = [1, 2].map(() => cloud.makePort({network_id: 'net'}))
  const addressOf = (port: Port | undefined) => ensureAddress(context, machine, {address}, port as Port)
  const host = await addressOf(first)
  expect(await addressOf(second)).not.toBe(host)
  expect(cloud.floating.map(one => one.port_id)).toEqual([first?.id, second?.id])
  // What is nobody's any more is taken back.
  Object.assign(cloud.floating[0] ?? {}, {port_id: null})
  expect(await addressOf(first)).toBe(host)
})
