import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {type NodeCloud, survey} from '../../../src/localgw/agent/survey.ts'
import {desire} from '../../../src/localgw/desire.ts'
import {OpenStackError, type Port} from '../../../src/openstack/index.ts'
import {type Facts, FIELDS} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {cloudOf, EXTERNAL, idOf, legPort, type RouterOf} from '../../support/localgw.ts'

const HERE = 'compute1'
const LISTINGS = [
  'routers',
  'ports',
  'agents',
  'floatingIps',
  'subnets',
  'networks',
  'subnetPools',
  'logs',
] as const
type Listing = (typeof LISTINGS)[number]
type Filter = Readonly<Record<string, unknown>>

/** How Neutron is asked, not what for. */
const ABOUT = ['fields', 'limit']

/** A Neutron that filters as the real one, shows the fields that are asked for, and records how it was asked. */
function neutron(facts: Facts, legs: readonly Port[] = []) {
  const calls: {listing: Listing; filter: Filter}[] = []
  const rows = {...facts, ports: [...facts.ports, ...legs]}
  const list = (listing: Listing) => async (filter: Filter) => {
    calls.push({listing, filter})
    const words = Object.entries(filter).filter(([key]) => !ABOUT.includes(key))
    const found = (rows[listing] as readonly object[]).filter(row =>
      words.every(([key, value]) => [value].flat().includes((row as Filter)[key])),
    )
    const shown = filter['fields'] as readonly string[]
    return found.map(row => Object.fromEntries(Object.entries(row).filter(([key]) => shown.includes(key))))
  }
  const network = Object.fromEntries(
    LISTINGS.map(listing => [listing, list(listing)]),
  ) as unknown as NodeCloud
  const filters = (listing: Listing) => calls.flatMap(call => (call.listing === listing ? [call.filter] : []))
  return {network, calls, filters}
}

const many = (count: number): RouterOf[] => Array.from({length: count}, () => ({vms: [{host: HERE}]}))
const idsOf = (count: number) => Array.from({length: count}, (_, n) => idOf('router', n))

describe('how Neutron is asked', () => {
  it('for no more than 100 ids at once, and for each of them once', async () => {
    const {network, filters} = neutron(cloudOf(many(250)))
    const {inv} = await survey(network, HERE, idsOf(250))
    expect(inv.routers.size).toBe(250)
    const asked = (listing: Listing, key: string) =>
      filters(listing).flatMap(filter =>
        filter[key] === undefined ? [] : [filter[key] as readonly string[]],
      )
    for (const [listing, key] of [
      ['routers', 'id'],
      ['ports', 'device_id'],
      ['floatingIps', 'router_id'],
    ] as const) {
      expect(asked(listing, key).map(ids => ids.length)).toEqual([100, 100, 50])
      expect(asked(listing, key).flat()).toEqual(idsOf(250))
    }
    // 250 of tenants, and the external one, which all of them name.
    for (const listing of ['subnets', 'networks'] as const) {
      expect(asked(listing, 'id').map(ids => ids.length)).toEqual([100, 100, 51])
      expect(new Set(asked(listing, 'id').flat()).size).toBe(251)
    }
  })

  it('of 100 routers once', async () => {
    const {network, filters} = neutron(cloudOf(many(100)))
    await survey(network, HERE, idsOf(100))
    expect(filters('routers')).toHaveLength(1)
  })

  it('of a node without routers only what is on it', async () => {
    const {network, calls} = neutron(cloudOf(many(3)))
    await survey(network, 'compute3', [])
    const asked = calls.map(({listing, filter}) => [listing, filter['binding:host_id'] ?? filter['host']])
    expect(asked).toEqual([
      ['ports', 'compute3'],
      ['agents', 'compute3'],
    ])
  })

  it('never for a whole listing', async () => {
    const {network, calls} = neutron(cloudOf(many(3)), [legPort(0, idOf('router', 0))])
    await survey(network, HERE, idsOf(3))
    for (const {filter} of calls) {
      const words = Object.entries(filter).filter(([key]) => ![...ABOUT, 'resource_type'].includes(key))
      expect(words).toHaveLength(1)
      expect([words[0]?.[1]].flat()).not.toEqual([])
    }
  })

  it('for the fields that are read, those that the plan needs beside the facts included', async () => {
    const {network, calls} = neutron(cloudOf(many(1)))
    await survey(network, HERE, idsOf(1))
    const ports = [...FIELDS.ports, 'network_id', 'mac_address', 'description']
    const fields: Record<string, readonly string[]> = {
      ...FIELDS,
      ports,
      networks: [...FIELDS.networks, 'mtu'],
    }
    for (const {listing, filter} of calls) expect(filter['fields']).toEqual(fields[listing])
    expect(new Set(calls.map(call => call.listing))).toEqual(
      new Set(['routers', 'ports', 'agents', 'floatingIps', 'subnets', 'networks', 'logs']),
    )
  })

  it('for subnet pools only when a subnet comes from one', async () => {
    const facts = cloudOf(many(1))
    const none = neutron(facts)
    await survey(none.network, HERE, idsOf(1))
    expect(none.filters('subnetPools')).toEqual([])
    const subnets = facts.subnets.map(one => ({...one, subnetpool_id: 'pool'}))
    const pooled = neutron({...facts, subnets, subnetPools: [{id: 'pool', address_scope_id: 'scope'}]})
    const {inv} = await survey(pooled.network, HERE, idsOf(1))
    expect(pooled.filters('subnetPools')).toEqual([{fields: FIELDS.subnetPools}])
    expect([...inv.scopes]).toEqual([['pool', 'scope']])
  })

  it('for the logs of its routers’ SNAT; a cloud without any, or an account that may not see them, has none', async () => {
    const log = {id: 'log', resource_type: 'snat', resource_id: idOf('router', 0), enabled: true}
    const facts = {...cloudOf(many(2)), logs: [log, {...log, resource_id: idOf('router', 5)}]}
    const {network, filters} = neutron(facts)
    const seen = await survey(network, HERE, idsOf(2))
    expect(filters('logs')).toEqual([{resource_type: 'snat', resource_id: idsOf(2), fields: FIELDS.logs}])
    expect(desire(seen, HERE, 'per-router').central).toEqual(new Map([[idOf('router', 0), 'snat-log']]))
    for (const fault of ['not-found', 'forbidden'] as const) {
      const logs = () => Promise.reject(new OpenStackError(fault, 'no logs'))
      const {inv} = await survey({...network, logs}, HERE, idsOf(2))
      expect(inv.logged.size).toBe(0)
      expect(inv.routers.size).toBe(2)
    }
  })

  it('and what it refuses is thrown: half of a survey would say that VMs or floating IPs are gone', async () => {
    for (const listing of LISTINGS) {
      const facts = cloudOf(many(1))
      const subnets = facts.subnets.map(one => ({...one, subnetpool_id: 'pool'}))
      const {network} = neutron({...facts, subnets})
      const fault = new OpenStackError('server', `${listing} failed`)
      const broken = {...network, [listing]: () => Promise.reject(fault)}
      await expect(survey(broken, HERE, idsOf(1))).rejects.toBe(fault)
    }
  })
})

describe('what is ours', () => {
  const own = [legPort(0, idOf('router', 0)), legPort(1, EXTERNAL[0]), legPort(2, EXTERNAL[0])]
  const away = {...legPort(3, idOf('router', 0)), 'binding:host_id': 'compute2'}

  it('are the legs of this node, and no part of the inventory', async () => {
    const {network} = neutron(cloudOf(many(1)), [...own, away])
    const {inv, legs} = await survey(network, HERE, idsOf(1))
    expect(legs.map(leg => [leg.id, leg.mac_address, leg.network_id])).toEqual(
      own.map(leg => [leg.id, leg.mac_address, leg.network_id]),
    )
    expect(inv.facts.ports.filter(port => port.device_owner === 'network:local_snat')).toEqual([])
    expect([...inv.routers.values()].flatMap(view => view.local)).toEqual([])
  })

  it('brings its subnet with it, though no router is there', async () => {
    const {network, filters} = neutron(cloudOf([]), own)
    const {inv} = await survey(network, HERE, [])
    const [subnet] = own[0]?.fixed_ips ?? []
    expect(filters('subnets').map(filter => filter['id'])).toEqual([[subnet?.subnet_id]])
    expect(inv.subnets.get(subnet?.subnet_id ?? '')?.cidr).toBe('172.24.4.0/24')
  })
})

it('knows that nothing is translated, too, where the account does not see the gateway’s port, which is of no project', async () => {
  const facts = cloudOf(many(1))
  const ports = facts.ports.filter(port => port.device_owner !== 'network:router_gateway')
  const subnets = facts.subnets.map(one => ({...one, subnetpool_id: 'pool'}))
  const subnetPools = [{id: 'pool', address_scope_id: 'scope'}]
  const seen = await survey(neutron({...facts, ports, subnets, subnetPools}).network, HERE, idsOf(1))
  expect([...desire(seen, HERE, 'per-router').central.values()]).toEqual(['no-nat'])
})

it('a port that is on the node and of its router as well is there once', async () => {
  const facts = cloudOf(many(1))
  const ports = facts.ports.map(port => ({...port, 'binding:host_id': HERE}))
  const {inv} = await survey(neutron({...facts, ports}).network, HERE, idsOf(1))
  expect(inv.facts.ports.map(port => port.id).sort()).toEqual(ports.map(port => port.id).sort())
})

it('for any cloud: what a node sees of it says the same as all of it', async () => {
  const hosts = [HERE, 'compute2', 'network1']
  const vm = fc.record({host: fc.constantFrom(...hosts), fip: fc.boolean()})
  const gateway = cloudOf(many(1)).routers[0]?.external_gateway_info
  const router = fc.record({
    external: fc.constantFrom<0 | 1>(0, 1),
    vms: fc.array(vm, {maxLength: 4}),
    change: fc.constantFrom(
      {},
      {},
      {distributed: false},
      {external_gateway_info: null},
      {external_gateway_info: {...gateway, enable_snat: false} as never},
    ),
  })
  const legs = [legPort(0, idOf('router', 0)), legPort(1, EXTERNAL[0]), legPort(2, EXTERNAL[1], 1)]
  await fc.assert(
    fc.asyncProperty(fc.array(router, {maxLength: 6}), fc.constantFrom(...hosts), async (routers, host) => {
      const facts = cloudOf(routers)
      // A DVR router has a namespace where its VMs are.
      const here = idsOf(routers.length).filter((_, n) => routers[n]?.vms.some(one => one.host === host))
      const seen = await survey(neutron(facts, legs).network, host, here)
      const whole = {inv: inventory(facts), legs: host === HERE ? legs : []}
      for (const sharing of ['per-router', 'per-node'] as const)
        expect(desire(seen, host, sharing)).toEqual(desire(whole, host, sharing))
    }),
  )
})
