import {fileURLToPath} from 'node:url'

import {describe, expect, it} from '@jest/globals'

import {proposalCommands, proposalParts, proposalSummary} from '../../../src/localgw/columns.ts'
import {type Proposal, propose} from '../../../src/localgw/proposal.ts'
import {readProposal} from '../../../src/localgw/read.ts'
import type {Facts, PortFact} from '../../../src/snat/facts.ts'
import {REASONS} from '../../../src/snat/reasons.ts'
import {readRecording, recordedCloud} from '../../../src/snat/recording.ts'
import {render} from '../../../src/ui/output.ts'
import {expectGolden} from '../../support/golden.ts'
import {
  DVR,
  factsOf,
  LEGACY,
  PUBLIC,
  PUBLIC_SUBNET,
  printed,
  VM_CENTRAL,
  VM_FIP,
  withLegs,
} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const sample = await readRecording(fileURLToPath(new URL('../../../samples/snat.json', import.meta.url)))
const vmPort = (vm: string) => ovs.ports.find(port => port.device_id === vm) as PortFact
const host = vmPort(VM_CENTRAL)['binding:host_id'] ?? ''
const need = (answer: Proposal, mode: string) => answer.addresses.find(one => one.mode === mode)
/** The other router of the recording becomes one that an agent would take, too. */
const both: Facts = {
  ...ovs,
  routers: ovs.routers.map(router => (router.id === LEGACY ? {...router, distributed: true} : router)),
  ports: ovs.ports.map(port =>
    port.device_owner.startsWith('compute:') ? {...port, 'binding:host_id': host} : port,
  ),
}

async function asText(answer: Proposal): Promise<string> {
  const tables: string[] = []
  for (const {title, rows, columns} of proposalParts(answer)) {
    const table = await printed(screen => render(rows, columns, {format: 'table'}, {screen}))
    tables.push(`\n${title}\n${table}`)
  }
  const lines = [...proposalCommands(answer), ...answer.notes.map(note => `note: ${note}`)]
  return `${proposalSummary(answer)}\n${tables.join('')}\n${lines.join('\n')}\n`
}

describe('the plan of a router, for people', () => {
  it.each(['local-gateway', 'dvr', 'dvr-ha', 'legacy', 'dvr-central-fip'])('%s', async name => {
    const {answer, partial} = await readProposal(recordedCloud(sample), name)
    expect(partial).toBe(false)
    expectGolden(`snat/plan-${name}.txt`, await asText(answer))
  })

  it('names three nodes, and how many more there are', () => {
    const answer = propose(ovs, DVR)
    const [node] = answer.nodes
    if (node === undefined) throw new Error('no node')
    const nodes = Array.from({length: 5}, (_, n) => ({...node, host: `c${n}\u001b[2J`}))
    expect(proposalCommands({...answer, nodes})[0]).toMatch(
      /^as root on c0\\u001b\[2J, .*, 2 more, one of these/,
    )
  })
})

describe('what is planned', () => {
  it('counts VMs by node, and leaves out those with a floating IP', () => {
    const {nodes, eligible, reason, notes} = propose(ovs, DVR)
    expect([eligible, reason]).toEqual([true, null])
    expect(nodes.find(node => node.host === host)).toMatchObject({vms: 1, now: 'central', reason: null})
    expect(notes).toEqual(['1 port of a VM has a way of its own: floating IP, IPv6, no translation'])
    const ports = ovs.ports.map(port =>
      port.device_id === VM_FIP ? {...port, 'binding:host_id': host} : port,
    )
    expect(propose({...ovs, ports}, DVR).nodes).toEqual(nodes)
  })

  it('VMs on no node are said', () => {
    const ports = ovs.ports.map(port =>
      port.device_id === VM_CENTRAL ? {...port, 'binding:host_id': ''} : port,
    )
    expect(propose({...ovs, ports}, DVR).notes).toContain('1 port of a VM has no node')
  })

  it('a VM with two addresses that leave counts once', () => {
    const second = {...vmPort(VM_CENTRAL), id: 'second', fixed_ips: [{...first(), ip_address: '10.0.1.250'}]}
    const {nodes} = propose({...ovs, ports: [...ovs.ports, second]}, DVR)
    expect(nodes.find(node => node.host === host)?.vms).toBe(1)
  })

  it('says why a router is not eligible, and takes no address for it', () => {
    const answer = propose(ovs, LEGACY)
    expect(answer).toMatchObject({
      eligible: false,
      reason: 'not-distributed',
      why: REASONS['not-distributed'],
      nodes: [],
      addresses: [],
      pools: [],
    })
    expect(proposalCommands(answer)).toEqual([])
  })

  it('a node without an L3 agent that is seen is told apart from one without a way out', () => {
    const facts: Facts = {...ovs, agents: [], gaps: [{listing: 'agents', why: 'forbidden', message: 'no'}]}
    const {nodes, addresses, notes} = propose(facts, DVR)
    expect(nodes.map(node => node.reason)).toEqual(nodes.map(() => 'no-agent'))
    expect(addresses.map(({addresses: count, command}) => [count, command])).toEqual([
      [0, undefined],
      [0, undefined],
    ])
    expect(notes).toContain('agents: needs admin')
  })

  it('a member is told that it does not see enough', () => {
    const facts = factsOf('zed-ovs-member-dvr')
    const answer = propose(facts, DVR)
    expect(answer.nodes).toEqual([])
    expect(answer.notes).toContain('without the nodes of the VMs nothing can be planned: ask as an operator')
  })
})

describe('addresses', () => {
  it('one a router and node, or one a node that all its routers share', () => {
    const answer = propose(both, DVR)
    expect(answer.nodes).toMatchObject([{host, other_routers: 1}])
    expect(need(answer, 'per-router')).toMatchObject({addresses: 1, all_routers: 2, there: 0})
    expect(need(answer, 'per-node')).toMatchObject({addresses: 1, all_routers: 1, there: 0})
  })

  it('not of routers that lead elsewhere, or may not leave', () => {
    const routers = both.routers.map(router =>
      router.id === LEGACY
        ? {...router, external_gateway_info: {network_id: 'other', external_fixed_ips: []}}
        : router,
    )
    const answer = propose({...both, routers}, DVR)
    expect(answer.nodes[0]?.other_routers).toBe(1)
    expect(need(answer, 'per-router')?.all_routers).toBe(1)
    const many = both.routers.map(router =>
      router.id === LEGACY
        ? {...router, external_gateways: [router.external_gateway_info, router.external_gateway_info]}
        : router,
    )
    expect(need(propose({...both, routers: many as never}, DVR), 'per-node')?.all_routers).toBe(1)
  })

  it('those that are there already, by their kind', () => {
    const own = propose(withLegs(ovs, {host}), DVR)
    expect([need(own, 'per-router')?.there, need(own, 'per-node')?.there]).toEqual([1, 0])
    expect(own.nodes.find(node => node.host === host)?.now).toBe('local')
    const shared = propose(withLegs(ovs, {host, of: PUBLIC, said: {sharing: 'per-node'}}), DVR)
    expect([need(shared, 'per-router')?.there, need(shared, 'per-node')?.there]).toEqual([0, 1])
  })

  it('of one way to share alone, when that was asked for', () => {
    const {addresses} = propose(ovs, DVR, 'per-node')
    expect(addresses.map(({mode, command}) => [mode, command])).toEqual([
      ['per-node', 'os-ssh snat agent --mode per-node'],
    ])
  })

  it('first from the subnet that is kept for them, and never from one that is kept for others', () => {
    const subnet = ovs.subnets.find(one => one.id === PUBLIC_SUBNET)
    if (subnet === undefined) throw new Error('no subnet')
    const kept = (cidr: string, type: string) => ({
      ...subnet,
      id: cidr,
      name: '',
      cidr,
      service_types: [type],
    })
    const more = [kept('172.24.6.0/24', 'network:router_gateway'), kept('192.0.2.0/24', 'network:local_snat')]
    const {pools} = propose({...ovs, subnets: [...ovs.subnets, ...more]}, DVR)
    expect(pools.map(pool => [pool.cidr, pool.kept])).toEqual([
      ['192.0.2.0/24', true],
      [subnet.cidr, false],
    ])
  })

  it('free ones, where the cloud says it', () => {
    expect(propose({...ovs, availabilities: []}, DVR).pools).toMatchObject([{free: null}])
  })
})

function first() {
  const [ip] = vmPort(VM_CENTRAL).fixed_ips
  if (ip === undefined) throw new Error('no address')
  return ip
}
