import {describe, expect, it} from '@jest/globals'

import {legDevice, memberDevice, namespaceOf, routerDevice} from '../../../src/localgw/names.ts'
import {planRouter} from '../../../src/localgw/plan.ts'
import {columnsFor, STATUS_TABLE, statusData} from '../../../src/snat/columns.ts'
import type {Facts, PortFact, RouterFact} from '../../../src/snat/facts.ts'
import {HEARTBEAT_LIFE} from '../../../src/snat/heartbeat.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import type {LocalNode} from '../../../src/snat/nodes.ts'
import {detailParts} from '../../../src/snat/parts.ts'
import {prometheus} from '../../../src/snat/prometheus.ts'
import {REASONS} from '../../../src/snat/reasons.ts'
import {show} from '../../../src/snat/show.ts'
import {status} from '../../../src/snat/status.ts'
import {trace} from '../../../src/snat/trace.ts'
import {render} from '../../../src/ui/output.ts'
import {expectGolden} from '../../support/golden.ts'
import {
  DVR,
  factsOf,
  LEGACY,
  type Leg,
  PUBLIC,
  printed,
  TENANT_SUBNET,
  VM_CENTRAL,
  VM_OTHER,
  withLegs,
} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const LIFE = HEARTBEAT_LIFE / 1000
const here = {host: 'compute1'}
const except = (state: 'fallback' | 'probing', router = DVR) => ({
  said: {local: 0, exceptions: [{router, state}]},
})
const kindOf = (facts: Facts, vm = VM_CENTRAL) => trace(facts, vm).kind
const rowOf = (facts: Facts, router = DVR) => status(facts).rows.find(row => row.id === router)
const nodeOf = (facts: Facts, host = 'compute1') =>
  show(facts, DVR).local_nodes.find(node => node.host === host) as LocalNode
const withRouter = (facts: Facts, change: Partial<RouterFact>): Facts => ({
  ...facts,
  routers: facts.routers.map(router => (router.id === DVR ? {...router, ...change} : router)),
})
const gateway = ovs.routers.find(router => router.id === DVR)?.external_gateway_info

describe('a router leaves by the local gateway of a node', () => {
  it.each<[string, Leg]>([
    ['by its own leg', here],
    ['by one that it shares', {...here, of: PUBLIC, said: {sharing: 'per-node'}}],
    ['until its agent has been silent for long', {...here, ago: LIFE - 1}],
    [
      'when others of the node do not',
      {...here, ...except('fallback', LEGACY), said: {...except('fallback', LEGACY).said, local: 1}},
    ],
    ['when its agent has more that do not than it names', {...here, said: {more: 3}}],
    ['when the clock of the node is a little ahead', {...here, ago: -5}],
  ])('%s', (_, leg) => {
    const facts = withLegs(ovs, leg)
    expect([kindOf(facts), kindOf(facts, VM_OTHER)]).toEqual(['snat-local', 'snat'])
    expect(trace(facts, VM_CENTRAL)).toMatchObject({source_ip: '172.24.4.99', inter_host_hops: 0, notes: []})
    expect(rowOf(facts)).toMatchObject({mode: 'local-gateway', carrier: 'dvr-central', vms_bypass: 2})
  })

  it('by the word of its agent in another port of the node', () => {
    const other = '3b8563ce-e5c7-4359-b064-ac829e8ee297'
    const said = withLegs(ovs, {...here, ago: null}, {...here, of: other})
    expect(kindOf(said)).toBe('snat-local')
    expect(rowOf(said, other)?.mode).toBe('routed')
    const later = withLegs(ovs, {...here, ago: 90}, {...here, of: other, ...except('probing')})
    expect(nodeOf(later)).toMatchObject({state: 'probing', age: 20})
  })

  it('by the leg that its agent means, while there are two', () => {
    const own = {...here, address: '172.24.4.98'}
    const shared = {...here, of: PUBLIC, ago: 10}
    expect(trace(withLegs(ovs, own, shared), VM_CENTRAL).source_ip).toBe('172.24.4.98')
    const changed = withLegs(ovs, own, {...shared, said: {sharing: 'per-node'}})
    expect(trace(changed, VM_CENTRAL).source_ip).toBe('172.24.4.99')
  })

  it('also with a floating IP’s port forwarding, of which the replies alone stay central', () => {
    const forwarding = {protocol: 'tcp', internal_ip_address: '10.0.1.101', internal_port: 80}
    const floatingIps = ovs.floatingIps.map(fip => ({...fip, port_id: null, port_forwardings: [forwarding]}))
    const {kind, why} = trace(withLegs({...ovs, floatingIps} as Facts, here), VM_CENTRAL)
    expect([kind, why]).toEqual([
      'snat-local',
      'a local gateway is active on its host; replies of its forwarded ports stay central',
    ])
  })
})

describe('a router with a leg on a node leaves by its central SNAT', () => {
  const dead =
    'the agent of local gateways on compute1 was heard of 3 min ago: its flows are taken for central'
  it.each<[string, Facts, string]>([
    [
      'when nothing was ever heard',
      withLegs(ovs, {...here, ago: null}),
      'nothing is heard of an agent of local gateways on compute1: its flows are taken for central',
    ],
    ['when its agent is silent', withLegs(ovs, {...here, ago: LIFE}), dead],
    [
      'when it is heard from the future',
      withLegs(ovs, {...here, ago: -600}),
      'the clock of compute1 is 10 min ahead: its flows are taken for central',
    ],
    [
      'when its agent says so',
      withLegs(ovs, {...here, ...except('fallback')}),
      'its agent has found the way out not working: new flows are central',
    ],
    [
      'when none leaves from the node',
      withLegs(ovs, {...here, said: {local: 0, more: 1}}),
      'its agent says that no router leaves from the node now',
    ],
    [
      'when there is a QoS policy',
      withRouter(withLegs(ovs, {...here, of: PUBLIC}), {
        external_gateway_info: {...gateway, qos_policy_id: 'q'} as never,
      }),
      REASONS.qos,
    ],
    [
      'when Neutron writes a log of its SNAT',
      {
        ...withLegs(ovs, here),
        logs: [{id: 'log', resource_type: 'snat', resource_id: DVR, enabled: true}],
      },
      REASONS['snat-log'],
    ],
    [
      'when its routes lead elsewhere',
      withRouter(withLegs(ovs, here), {routes: [{destination: '0.0.0.0/0', nexthop: '10.0.1.9'}]}),
      REASONS['own-default-route'],
    ],
    [
      'when it has several gateways',
      withRouter(withLegs(ovs, here), {external_gateways: [gateway, gateway] as never}),
      REASONS.multihomed,
    ],
  ])('%s', (_, facts, why) => {
    const answer = trace(facts, VM_CENTRAL)
    expect([answer.kind, answer.source_ip]).toEqual(['snat', '172.24.4.206'])
    expect(answer.notes.at(-1)).toBe(`not by a local gateway: ${why}`)
    expect(nodeOf(facts).why).toBe(why)
    expect(rowOf(facts)).toMatchObject({vms_bypass: 1})
    expect(rowOf(facts)?.mode).not.toBe('local-gateway')
  })

  it('where that is on the node already', () => {
    const moved = withLegs(ovs, {host: 'network1', of: PUBLIC, said: {sharing: 'per-node'}})
    const ports = moved.ports.map(port =>
      port.device_id === VM_CENTRAL ? {...port, 'binding:host_id': 'network1'} : port,
    )
    expect(trace({...moved, ports}, VM_CENTRAL)).toMatchObject({
      kind: 'snat',
      notes: [`not by a local gateway: ${REASONS['central-here']}`],
    })
  })

  it('when the leg is in a network of a tenant, who may have made it', () => {
    const facts = withLegs(ovs, {...here, subnet: TENANT_SUBNET})
    expect([kindOf(facts), rowOf(facts)?.local_nodes]).toEqual(['snat', []])
    // Nor does anybody but an agent say that one lives.
    expect(kindOf(withLegs(ovs, {...here, ago: null}, {...here, of: LEGACY, subnet: TENANT_SUBNET}))).toBe(
      'snat',
    )
  })

  it('when it is not distributed', () => {
    const facts = withLegs(ovs, {...here, of: LEGACY})
    expect(rowOf(facts, LEGACY)).toMatchObject({mode: 'central-legacy', vms_bypass: 0})
    expect(show(facts, LEGACY).local_nodes[0]?.why).toBe(REASONS['not-distributed'])
  })

  it.each<[keyof typeof REASONS, Partial<RouterFact>]>([
    ['no-gateway', {external_gateway_info: null}],
    ['custom', {flavor_id: 'f'}],
    ['no-snat', {external_gateway_info: {...gateway, enable_snat: false} as never}],
  ])('when it has a leg no more: %s', (reason, change) => {
    const facts = withRouter(withLegs(ovs, here), change)
    expect(nodeOf(facts)).toMatchObject({state: 'central', why: REASONS[reason], vms: 0})
    expect(rowOf(facts)?.mode).not.toBe('local-gateway')
  })

  it('when OVN carries it', () => {
    const ovn = factsOf('zed-ovn')
    const [router] = ovn.routers.filter(one => one.external_gateway_info?.enable_snat !== false)
    const subnet = router?.external_gateway_info?.external_fixed_ips[0]?.subnet_id ?? ''
    const facts = withLegs(ovn, {...here, of: router?.id ?? '', subnet})
    const {local_nodes, router: row} = show(facts, router?.id ?? '')
    expect([row.mode, row.vms_bypass, local_nodes[0]?.state]).toEqual(['ovn-central', 0, 'central'])
    expect(REASONS.ovn).toContain(local_nodes[0]?.why)
  })

  it('when what it says is no heartbeat', () => {
    const facts = withLegs(ovs, here)
    const ports = facts.ports.map((port): PortFact => ({...port, description: 'os-ssh-lsnat/1 yes'}))
    expect(kindOf({...facts, ports})).toBe('snat')
  })
})

it('changes nothing of what the agent is to do', () => {
  const plan = (facts: Facts) => {
    const inv = inventory(facts)
    return [...inv.routers.values()].map(view => planRouter(inv, view))
  }
  const all: readonly Leg[] = [
    here,
    {...here, ...except('fallback')},
    {...here, ago: 900},
    {...here, of: PUBLIC, said: {sharing: 'per-node', more: 4}},
  ]
  for (const leg of all) expect(plan(withLegs(ovs, leg))).toEqual(plan(ovs))
})

describe('nodes', () => {
  const nodes = ['compute1', 'compute2', 'compute3', 'compute4', 'compute5', 'compute6', 'compute7']
  const [vm] = ovs.ports.filter(port => port.device_id === VM_CENTRAL)
  const many: Facts = {
    ...ovs,
    ports: [
      ...ovs.ports,
      ...nodes
        .slice(2)
        .map(
          (host, n) =>
            ({...vm, id: `port-${host}`, device_id: `vm-${n}`, 'binding:host_id': host}) as PortFact,
        ),
    ],
    agents: [
      ...ovs.agents,
      ...nodes.slice(2).map(host => ({
        id: host,
        agent_type: 'L3 agent',
        host,
        alive: true,
        configurations: {agent_mode: host === 'compute7' ? 'dvr_no_external' : 'dvr'},
      })),
    ],
  }
  const facts = withLegs(
    many,
    here,
    {host: 'compute2', address: '172.24.4.100', ...except('fallback')},
    {host: 'compute3', address: '172.24.4.101', ...except('probing')},
    {host: 'compute4', address: '172.24.4.102', ago: 420},
    {host: 'compute5', address: '172.24.4.103', ago: null},
  )

  it('are told in the row: how many are local, and by name what the others are', () => {
    expect(rowOf(facts)?.notes).toEqual([
      'carried as dvr-central',
      'local on 1 of 7 nodes',
      'fallen back to central on compute2',
      'probing on compute3',
      'not heard of: compute4 (7 min), compute5 (never)',
      'central on compute6: nothing is heard of an agent of local gateways',
      `central on compute7: ${REASONS['no-external-leg']}`,
    ])
    expect(rowOf(facts, LEGACY)?.notes).toEqual([])
  })

  it('are told when none of them is local', () => {
    expect(rowOf(withLegs(ovs, {...here, ago: 420}))?.notes).toEqual([
      'local on 0 of 2 nodes',
      'not heard of: compute1 (7 min)',
      'central on compute2: nothing is heard of an agent of local gateways',
    ])
  })

  it('without a leg are told when an agent names the router', () => {
    const other = '3b8563ce-e5c7-4359-b064-ac829e8ee297'
    const said = {local: 1, exceptions: [{router: DVR, state: 'no-address'}]} as const
    expect(nodeOf(withLegs(ovs, {...here, of: other, said}))).toEqual({
      host: 'compute1',
      state: 'no-address',
      why: 'its agent got no external address for it',
      address: null,
      age: 20,
      vms: 1,
      routers_local: 1,
      routers_other: 1,
    })
  })

  it('are parts of show, columns of status and metrics', async () => {
    const parts = detailParts(show(facts, DVR)).filter(part => /Local|External/.test(part.title))
    const text = await printed(async screen => {
      for (const part of parts) await render(part.rows, part.columns, {format: 'table'}, {screen})
    })
    expectGolden('snat/local-nodes.txt', text)
    const answer = status(facts)
    const own = columnsFor('json', undefined, STATUS_TABLE, statusData(answer.rows))
    expect(own.map(column => column.name)).toContain('local_nodes')
    expect(statusData(status(ovs).rows).map(column => column.name)).not.toContain('local_nodes')
    expect(statusData([], ['local_nodes']).map(column => column.name)).toContain('local_nodes')
    expectGolden(
      'snat/local.prom',
      prometheus(answer)
        .split('\n')
        .filter(line => line.includes('_local_'))
        .join('\n'),
    )
  })
})

it('names what is on a node as its agent does', () => {
  for (const id of [DVR, PUBLIC]) {
    const sharing = id === DVR ? 'per-router' : 'per-node'
    const {hops} = trace(withLegs(ovs, {...here, of: id, said: {sharing}}), VM_CENTRAL)
    const leg = hops.find(hop => hop.name === namespaceOf(id))
    expect(leg).toMatchObject({device: memberDevice(DVR), address: '172.24.4.99'})
    expect(leg?.does).toBe(`SNAT: 10.0.1.101 -> 172.24.4.99; out by ${legDevice(id)}`)
    const router = hops.find(hop => hop.name === `qrouter-${DVR}`)
    // As wide as the table has room for.
    expect(router?.does.length).toBeLessThanOrEqual(100)
    expect(router?.does).toBe(
      `nft os-ssh-lsnat sets the mark; rule 100000: fwmark 0x8000/0x8000 -> table 33000, by ${routerDevice(DVR)}`,
    )
  }
})
