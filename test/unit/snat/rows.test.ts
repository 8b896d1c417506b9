import {describe, expect, it} from '@jest/globals'

import type {AgentFact, Facts, Gap, PortFact} from '../../../src/snat/facts.ts'
import {status} from '../../../src/snat/status.ts'
import {
  DVR,
  factsOf,
  LEGACY,
  PUBLIC_SUBNET,
  VM_CENTRAL,
  VM_FIP,
  withAgentMode,
  withRouter,
} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const rowOf = (facts: Facts, id: string) => status(facts).rows.find(row => row.id === id)
const hostsOf = (facts: Facts) => status(facts).hosts
const portOf = (vm: string) => ovs.ports.find(port => port.device_id === vm) as PortFact

describe('VMs', () => {
  const second = (of: string, change: Partial<PortFact>): Facts => ({
    ...ovs,
    ports: [...ovs.ports, {...portOf(of), id: 'second', ...change}],
  })
  const counts = (facts: Facts) => {
    const row = rowOf(facts, DVR)
    return [row?.vms_central, row?.vms_bypass, row?.vms_unknown]
  }
  const hidden = {...ovs, agents: []}

  it('without a gateway are none of the three', () => {
    expect(counts(withRouter(ovs, DVR, {external_gateway_info: null}))).toEqual([0, 0, 0])
  })

  it('are one each, by their way', () => {
    expect(counts(ovs)).toEqual([2, 1, 0])
    expect(counts(hidden)).toEqual([2, 0, 1])
  })

  it.each<[string, Facts, readonly number[]]>([
    ['central after one that leaves by itself', second(VM_FIP, {}), [3, 0, 0]],
    [
      'central before one that leaves by itself',
      {...ovs, ports: [{...portOf(VM_FIP), id: 'second'}, ...ovs.ports]},
      [3, 0, 0],
    ],
    ['central after one of which nobody can tell', {...second(VM_FIP, {}), agents: []}, [3, 0, 0]],
    [
      'unknown before one that leaves by itself',
      {
        ...second(VM_CENTRAL, {device_id: VM_FIP, 'binding:host_id': undefined as never}),
        floatingIps: [
          ...ovs.floatingIps,
          {...ovs.floatingIps[0], id: 'f', port_id: 'second', fixed_ip_address: null} as never,
        ],
      },
      [2, 0, 1],
    ],
    ['of another VM', second(VM_FIP, {device_id: 'other'}), [3, 1, 0]],
  ])('with a second port count once, as central if one of them is: %s', (_, facts, expected) => {
    expect(counts(facts)).toEqual(expected)
  })
})

describe('notes', () => {
  const ovn = factsOf('zed-ovn')
  const OVN = '33ae416e-3375-4b37-a8a2-8122a36cae1a'
  const unmarked = 'no chassis is marked as a gateway: any may be one'
  const some: Facts = {
    ...ovs,
    subnets: ovs.subnets.map(subnet =>
      subnet.name === 't2-a' || subnet.id === PUBLIC_SUBNET ? {...subnet, subnetpool_id: 'pool'} : subnet,
    ),
    subnetPools: [{id: 'pool', address_scope_id: 'scope'}],
  }
  it.each<[string, Facts, string, readonly string[]]>([
    ['nothing is wrong', ovs, LEGACY, []],
    [
      'switched off',
      withRouter(ovs, LEGACY, {admin_state_up: false, status: 'DOWN'}),
      LEGACY,
      ['administratively down'],
    ],
    ['not active', withRouter(ovs, LEGACY, {status: 'DOWN'}), LEGACY, ['status DOWN']],
    ['no state', withRouter(ovs, LEGACY, {status: null as never}), LEGACY, []],
    ['a subnet in the address scope of the outside', some, DVR, ['some subnets without NAT']],
    ['where `ha` is not shown', withRouter(ovs, DVR, {ha: undefined as never}), DVR, ['ha: not shown']],
    [
      'where it needs admin',
      factsOf('zed-ovs-member-dvr'),
      DVR,
      ['host and replicas need admin', 'ha: needs admin'],
    ],
    ['on OVN', ovn, OVN, [unmarked]],
    [
      'the type of the external network hidden',
      {...ovn, networks: []},
      OVN,
      [unmarked, 'external_type: not shown'],
    ],
  ])('%s', (_, facts, router, notes) => expect(rowOf(facts, router)?.notes).toEqual(notes))

  it.each<[string, Facts, readonly string[]]>([
    [
      'routed',
      withRouter(ovs, LEGACY, {
        external_gateway_info: {
          ...ovs.routers.find(r => r.id === LEGACY)?.external_gateway_info,
          enable_snat: false,
        } as never,
      }),
      [],
    ],
    ['translated', ovs, ['172.24.4.239']],
    [
      'in the address scope of the outside',
      {
        ...ovs,
        subnets: ovs.subnets.map(subnet => ({...subnet, subnetpool_id: 'pool'})),
        subnetPools: [{id: 'pool', address_scope_id: 'scope'}],
      },
      [],
    ],
  ])('addresses that packets get: %s', (_, facts, ips) => expect(rowOf(facts, LEGACY)?.snat_ips).toEqual(ips))
})

describe('the listing', () => {
  const gap = (listing: Gap['listing'], why: Gap['why']): Gap => ({listing, why, message: 'HTTP 500'})
  const orphan = {...portOf(VM_CENTRAL), id: 'o', device_id: 'gone', device_owner: 'network:router_interface'}
  const member = 'hosts, replicas and agents need admin; modes are told from the ports you see'
  it.each<[string, Facts, readonly string[]]>([
    ['lacks nothing', ovs, []],
    [
      'lacks listings',
      {...ovs, gaps: [gap('agents', 'forbidden'), gap('subnetPools', 'missing'), gap('networks', 'failed')]},
      ['agents: needs admin', 'subnetPools: this cloud does not have it', 'networks: failed: HTTP 500'],
    ],
    ['is a member’s', factsOf('zed-ovs-member'), [member]],
    ['is a member’s, and empty', {...factsOf('zed-ovs-member'), routers: []}, []],
    [
      'is a member’s, whose ports have routers that are not',
      {
        ...factsOf('zed-ovs-member'),
        ports: [...factsOf('zed-ovs-member').ports, {...orphan, 'binding:host_id': undefined} as never],
      },
      [member],
    ],
    [
      'was taken while a router went',
      {...ovs, ports: [...ovs.ports, orphan]},
      ['1 router ports left out: their router was gone, or not visible, when the routers were listed'],
    ],
  ])('%s', (_, facts, notes) => expect(status(facts).notes).toEqual(notes))

  it('is sorted by name, then by id, in byte order', () => {
    const [router] = ovs.routers
    const named = [
      ['3', 'b'],
      ['2', 'a'],
      ['1', 'a'],
      ['4', 'B'],
      ['5', 'ä'],
    ].map(([id, name]) => ({...router, id, name}))
    expect(status({...ovs, routers: named as never, ports: []}).rows.map(row => row.id)).toEqual([
      '4',
      '1',
      '2',
      '3',
      '5',
    ])
  })

  it('has only the routers that are asked for', () => {
    expect(status(ovs, {ids: new Set([DVR])}).rows.map(row => row.id)).toEqual([DVR])
    expect(status(ovs, {ids: new Set()}).rows).toEqual([])
    const down = {...ovs, agents: ovs.agents.map(agent => ({...agent, alive: false}))}
    expect(status(down, {problems: true, mode: 'central-legacy'}).rows.map(row => row.id)).toEqual([LEGACY])
    expect(status(factsOf('zed-ovs-member'), {host: 'network1'}).rows).toEqual([])
  })
})

describe('gateway hosts', () => {
  const agent = (host: string, agent_type: string, alive = true): AgentFact => ({
    ...(ovs.agents.find(one => one.agent_type === 'L3 agent') as AgentFact),
    id: host,
    host,
    agent_type,
    alive,
    configurations: {},
  })

  it('are those of routers, and those that have none yet; the mean of their VMs is 1', () => {
    const facts = withAgentMode(ovs, 'compute2', 'dvr_snat')
    expect(hostsOf(facts)).toEqual([
      {host: 'network1', alive: true, routers: 3, vms: 5, load: 2},
      {host: 'compute2', alive: true, routers: 0, vms: 0, load: 0},
    ])
    const marked = [
      agent('gw2', 'OVN Controller Gateway agent', false),
      agent('gw1', 'OVN Controller Gateway agent'),
    ]
    expect(hostsOf({...ovs, agents: [...ovs.agents, ...marked, agent('c', 'OVN Controller agent')]})).toEqual(
      [
        {host: 'network1', alive: true, routers: 3, vms: 5, load: 3},
        {host: 'gw1', alive: true, routers: 0, vms: 0, load: 0},
        {host: 'gw2', alive: false, routers: 0, vms: 0, load: 0},
      ],
    )
  })

  it('with agents of both kinds, as in a migration, live as their L3 agent does', () => {
    const facts = {...ovs, agents: [...ovs.agents, agent('network1', 'OVN Controller agent', false)]}
    expect(hostsOf(facts)).toEqual([{host: 'network1', alive: true, routers: 3, vms: 5, load: 1}])
  })

  it('come by their VMs, then by their routers; one without an agent is neither alive nor dead', () => {
    const moved: Facts = {
      ...ovs,
      ports: ovs.ports.map(port => (port.device_id === LEGACY ? {...port, 'binding:host_id': 'a'} : port)),
    }
    expect(hostsOf(moved)).toEqual([
      {host: 'a', alive: null, routers: 1, vms: 3, load: 1.2},
      {host: 'network1', alive: true, routers: 2, vms: 2, load: 0.8},
    ])
    const idle = (ids: readonly string[]) =>
      hostsOf({
        ...ovs,
        ports: ovs.ports
          .filter(port => !port.device_owner.startsWith('compute:'))
          .map(port => (ids.includes(port.device_id) ? {...port, 'binding:host_id': 'a'} : port)),
      }).map(({host, routers, load}) => [host, routers, load])
    expect(idle([LEGACY])).toEqual([
      ['network1', 2, 0],
      ['a', 1, 0],
    ])
    expect(idle([LEGACY, DVR])).toEqual([
      ['a', 2, 0],
      ['network1', 1, 0],
    ])
  })
})
