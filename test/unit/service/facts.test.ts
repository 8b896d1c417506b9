import {describe, expect, it} from '@jest/globals'

import type {Network, OpenStack, Port, Router, Server, Subnet} from '../../../src/openstack/index.ts'
import {candidates, nicsOf, wayOf} from '../../../src/service/planner/facts.ts'
import {matches} from '../../support/fake-rows.ts'

/* What is seen of a VM, and from where its address can be reached: the VM is on `near`, of project `t`. */

interface Cloud {
  networks: Partial<Network>[]
  subnets: Partial<Subnet>[]
  routers: Partial<Router>[]
  ports: Partial<Port>[]
}

/** As Neutron has it, an empty list is no filter at all. */
const listed = (rows: readonly object[]) => async (filter: object) =>
  rows.filter(row =>
    matches(
      row,
      Object.fromEntries(Object.entries(filter).filter(([, value]) => !Array.isArray(value) || value.length)),
    ),
  )
const seen = (cloud: Partial<Cloud>) =>
  ({
    network: {
      networks: listed(cloud.networks ?? []),
      subnets: listed(cloud.subnets ?? []),
      routers: listed(cloud.routers ?? []),
      ports: listed(cloud.ports ?? []),
    },
  }) as unknown as OpenStack

const network = (id: string, more: Partial<Network> = {}) =>
  ({id, project_id: 't', mtu: 1450, shared: false, 'router:external': false, ...more}) as Partial<Network>
const subnet = (network_id: string, cidr: string, id = network_id) =>
  ({id, network_id, cidr, ip_version: cidr.includes(':') ? 6 : 4}) as Partial<Subnet>
const router = (id: string, project_id = 't') => ({id, project_id}) as Partial<Router>
/** @param ips addresses by the ids of their subnets */
const leg = (device_id: string, network_id: string, ips: Record<string, string>) =>
  ({
    ...{id: `${device_id} in ${network_id}`, device_id, network_id, project_id: 't'},
    device_owner: 'network:router_interface',
    fixed_ips: Object.entries(ips).map(([subnet_id, ip_address]) => ({subnet_id, ip_address})),
  }) as Partial<Port>

describe('the interfaces of a VM', () => {
  const server = {id: 's1', status: 'ACTIVE'} as Server
  const port = (network_id: string, ...addresses: string[]) => ({
    ...{device_id: 's1', network_id, security_groups: [`of ${network_id}`]},
    fixed_ips: addresses.map(ip_address => ({subnet_id: 'x', ip_address})),
  })
  const nics = (...ports: Partial<Port>[]) => nicsOf(seen({ports}), server)

  it.each([
    ['IPv4 before IPv6, whichever Neutron names first', ['fd00::5', '10.0.0.5'], '10.0.0.5'],
    ['IPv6 where there is nothing else', ['fd00::5'], 'fd00::5'],
    ['the first of several', ['10.0.0.5', '10.0.0.6'], '10.0.0.5'],
  ])('have %s', async (_, addresses, address) => {
    expect(await nics(port('a', ...addresses))).toEqual([{network_id: 'a', address, groups: ['of a']}])
  })

  it('are its own that have an address', async () => {
    const stranger = {...port('c', '10.0.0.7'), device_id: 's2'}
    const own = await nics(stranger, port('a'), port('b', '10.0.0.5'))
    expect(own).toEqual([{network_id: 'b', address: '10.0.0.5', groups: ['of b']}])
  })

  it('are none', async () => {
    for (const ports of [[], [port('a')]])
      await expect(nics(...ports)).rejects.toMatchObject({
        code: 'VM_NO_ADDRESS',
        message: 'the VM has no address on any network',
      })
  })

  it.each([
    ['SHUTOFF', 'SHUTOFF'],
    ['SUSPENDED', 'SUSPENDED'],
    ['ERROR', 'ERROR'],
    ['active\u001b[2J', '?????????J'],
  ])('are not asked for while it is %j', async (status, shown) => {
    await expect(nicsOf({} as OpenStack, {...server, status})).rejects.toMatchObject({
      code: 'VM_OFF',
      message: `the VM is ${shown}, not ACTIVE`,
    })
  })
})

const nic = (address: string, network_id = 'near') => ({network_id, address, groups: []})
const vm = nic('10.0.0.5')
const link = {network_id: 'near', cidr: '10.0.0.0/24', via: null, subnet_id: 'near'}
/** A VM's network, and another one of the same project behind the project's router. */
const routed: Cloud = {
  networks: [network('near'), network('far')],
  subnets: [subnet('near', '10.0.0.0/24'), subnet('far', '10.1.0.0/24')],
  routers: [router('r')],
  ports: [leg('r', 'near', {near: '10.0.0.1'}), leg('r', 'far', {far: '10.1.0.1'})],
}
const back = {network_id: 'near', cidr: '10.0.0.0/24', via: '10.1.0.1'}

describe('the networks from which a VM is reached', () => {
  const from = async (cloud: Partial<Cloud>, to = vm) =>
    Object.fromEntries(
      (await candidates(seen(cloud), to, 't')).map(one => [one.network_id, one.reach] as const),
    )

  it('are its own, and those behind the router of its project', async () => {
    const vms = (id: string, network_id: string, device_owner: string) => ({id, network_id, device_owner})
    const ports = [
      ...routed.ports,
      vms('1', 'near', 'compute:nova'),
      vms('2', 'far', 'compute:az1'),
      vms('3', 'far', 'compute:nova'),
      vms('4', 'far', 'network:dhcp'),
    ]
    const networks = [network('near', {mtu: 1400}), network('far')]
    const far = {network_id: 'far', cidr: '10.1.0.0/24'}
    expect(await candidates(seen({...routed, networks, ports}), vm, 't')).toEqual([
      {network_id: 'near', project_id: 't', mtu: 1400, vms: 1, reach: [link, {...far, via: '10.0.0.1'}]},
      {
        network_id: 'far',
        project_id: 't',
        mtu: 1450,
        vms: 2,
        reach: [{...far, via: null, subnet_id: 'far'}, back],
      },
    ])
  })

  it.each([
    'network:router_interface',
    'network:router_interface_distributed',
    'network:ha_router_replicated_interface',
  ])('are behind a router whose interfaces are %s', async device_owner => {
    const ports = routed.ports.map(one => ({...one, device_owner}))
    expect(Object.keys(await from({...routed, ports}))).toEqual(['near', 'far'])
  })

  it.each<[string, Partial<Cloud>]>([
    ['a stranger’s router', {routers: [router('r', 'mallory')]}],
    [
      'a port that only looks like a router’s',
      {ports: routed.ports.map(one => ({...one, device_owner: 'compute:x'}))},
    ],
    ['a stranger’s network', {networks: [network('near'), network('far', {project_id: 'mallory'})]}],
    ['a network that is shared', {networks: [network('near'), network('far', {shared: true})]}],
    ['an external network', {networks: [network('near'), network('far', {'router:external': true})]}],
    ['the VM’s network being shared', {networks: [network('near', {shared: true}), network('far')]}],
    ['the VM’s network being a stranger’s', {networks: [network('near', {project_id: 'm'}), network('far')]}],
    ['no router at all, whatever others there are', {ports: [], routers: [router('r')]}],
  ])('are not those behind %s, and nothing there is reached', async (_, change) => {
    expect(await from({...routed, ...change})).toEqual({near: [link]})
  })

  it('are none where its own is external: no gate is plugged in there', async () => {
    expect(await from({...routed, networks: [network('near', {'router:external': true})]})).toEqual({})
  })

  it('are none where its address is in no subnet that is seen', async () => {
    expect(await from(routed, nic('192.0.2.5'))).toEqual({})
    expect(await from({...routed, subnets: []})).toEqual({})
  })

  it('of two routers to equal prefixes the one to the VM is kept, whichever is named first', async () => {
    // Both routers are on the VM's network, one of them by another subnet of it; behind that one is the VM's prefix once more.
    const subnets = [
      ...[subnet('near', '10.0.0.0/24'), subnet('vms', '10.9.0.0/24'), subnet('vms', '10.8.0.0/24', 'more')],
      subnet('twin', '10.9.0.0/24'),
    ]
    const [own, other] = [
      [leg('r', 'near', {near: '10.0.0.1'}), leg('r', 'vms', {vms: '10.9.0.1'})],
      [
        ...[leg('s', 'near', {near: '10.0.0.2'}), leg('s', 'vms', {more: '10.8.0.1'})],
        leg('s', 'twin', {twin: '10.9.0.1'}),
      ],
    ]
    const all = {
      networks: ['near', 'vms', 'twin'].map(id => network(id)),
      routers: [router('r'), router('s')],
    }
    for (const order of [
      [own, other],
      [other, own],
    ])
      for (const seenFirst of [subnets, subnets.toReversed()]) {
        const cloud = {...all, subnets: seenFirst, ports: order.flat()}
        const reach = (await from(cloud, nic('10.9.0.5', 'vms')))['near'] ?? []
        expect(reach.filter(one => one.cidr === '10.9.0.0/24')).toEqual([
          {network_id: 'vms', cidr: '10.9.0.0/24', via: '10.0.0.1'},
        ])
      }
  })

  it.each(['10.0.0.0/24', '10.0.0.0/25', '10.0.0.0/16', '0.0.0.0/0'])(
    'no router takes over addresses of the link by %s',
    async cidr => {
      const cloud = {...routed, subnets: [subnet('near', '10.0.0.0/24'), subnet('far', cidr)]}
      expect((await from(cloud))['near']).toEqual([link])
    },
  )

  it('has for each family the router’s address of that family, and no way where there is none', async () => {
    const subnets = [
      subnet('near', '10.0.0.0/24'),
      subnet('near', 'fd00::/64', 'near6'),
      subnet('far', '10.1.0.0/24'),
      subnet('far', 'fd01::/64', 'far6'),
    ]
    const ports = (ips: Record<string, string>) => [
      leg('r', 'near', ips),
      leg('r', 'far', {far6: 'fd01::1', far: '10.1.0.1'}),
    ]
    const ways = async (ips: Record<string, string>) =>
      (await from({...routed, subnets, ports: ports(ips)}))['near']?.filter(one => one.via !== null)
    const [four, six] = [
      {network_id: 'far', cidr: '10.1.0.0/24', via: '10.0.0.1'},
      {network_id: 'far', cidr: 'fd01::/64', via: 'fd00::1'},
    ]
    expect(await ways({near6: 'fd00::1', near: '10.0.0.1'})).toEqual([four, six])
    expect(await ways({near6: 'fd00::1'})).toEqual([six])
    expect(await ways({near: '10.0.0.1'})).toEqual([four])
  })

  it('a router leads to the subnets that it is in, and to those of no other router', async () => {
    const subnets = [...routed.subnets, subnet('far', '10.2.0.0/24', 'beside'), subnet('else', '10.3.0.0/24')]
    const networks = [...routed.networks, network('else')]
    // On the VM's network as well, but without a leg to `far`.
    const other = [leg('r2', 'near', {near: '10.0.0.2'}), leg('r2', 'else', {else: '10.3.0.1'})]
    const cloud = {
      networks,
      subnets,
      routers: [router('r'), router('r2')],
      ports: [...routed.ports, ...other],
    }
    expect((await from(cloud))['near']).toEqual([
      link,
      {network_id: 'far', cidr: '10.1.0.0/24', via: '10.0.0.1'},
      {network_id: 'else', cidr: '10.3.0.0/24', via: '10.0.0.2'},
    ])
  })
})

describe('the way to a VM', () => {
  const cloud = seen({...routed, networks: [...routed.networks, network('ext', {'router:external': true})]})

  it('is by the first interface that a gate can be plugged in for', async () => {
    const way = await wayOf(cloud, [nic('192.0.2.5', 'ext'), vm, nic('10.1.0.5', 'far')], 't')
    expect(way?.nic).toBe(vm)
    expect(way?.options.map(one => one.network_id)).toEqual(['near', 'far'])
  })

  it('is none where all are external', async () => {
    expect(await wayOf(cloud, [nic('192.0.2.5', 'ext')], 't')).toBeUndefined()
  })
})
