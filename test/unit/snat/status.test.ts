import {describe, expect, it} from '@jest/globals'

import {columnsFor, HOST_TABLE, STATUS_DATA, STATUS_TABLE} from '../../../src/snat/columns.ts'
import type {Facts, FloatingIpFact, PortFact} from '../../../src/snat/facts.ts'
import {measure} from '../../../src/snat/measure.ts'
import {prometheus} from '../../../src/snat/prometheus.ts'
import {show} from '../../../src/snat/show.ts'
import {status} from '../../../src/snat/status.ts'
import {render} from '../../../src/ui/output.ts'
import {expectGolden} from '../../support/golden.ts'
import {DVR, factsOf, LEGACY, PUBLIC_SUBNET, printed, VM_CENTRAL} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const rowOf = (facts: Facts, id: string) => status(facts).rows.find(row => row.id === id)

describe('formats', () => {
  it.each(['table', 'json', 'yaml', 'csv', 'value'])('%s', async format => {
    const {rows, hosts} = status(ovs)
    const text = await printed(async screen => {
      await render(rows, columnsFor(format, undefined, STATUS_TABLE, STATUS_DATA), {format}, {screen})
      if (format === 'table') await render(hosts, HOST_TABLE, {format}, {screen})
    })
    expectGolden(`snat/status.${format}`, text)
  })

  it('prometheus', () => expectGolden('snat/status.prom', prometheus(status(ovs))))

  it('a member sees what the API shows, and what needs admin', async () => {
    const {rows, notes} = status(factsOf('zed-ovs-member'))
    const text = await printed(screen => render(rows, STATUS_TABLE, {format: 'table'}, {screen}))
    expectGolden('snat/member.table', `${text}${notes.join('\n')}\n`)
  })

  it('offers the columns of both kinds by name', () => {
    expect(columnsFor('table', ['vms_central'], STATUS_TABLE, STATUS_DATA).map(c => c.name)).toContain(
      'vms_central',
    )
  })
})

describe('health', () => {
  const dead: Facts = {
    ...ovs,
    agents: ovs.agents.map(a => (a.host === 'network1' ? {...a, alive: false} : a)),
  }
  const unbound: Facts = {
    ...ovs,
    ports: ovs.ports.map(p =>
      /gateway$|centralized/.test(p.device_owner) ? {...p, 'binding:host_id': ''} : p,
    ),
  }
  const ha = (...hosts: string[]): Facts => ({
    ...ovs,
    routers: ovs.routers.map(r => (r.id === LEGACY ? {...r, ha: true} : r)),
    agents: ovs.agents.map(a => ({...a, alive: a.host !== 'compute2'})),
    ports: [
      ...ovs.ports,
      ...hosts.map(
        (host): PortFact => ({
          id: host,
          device_id: LEGACY,
          device_owner: 'network:router_ha_interface',
          fixed_ips: [],
          'binding:host_id': host,
        }),
      ),
    ],
  })

  it('stale: the agent on the gateway host is not alive', () => {
    expect(rowOf(dead, LEGACY)).toMatchObject({
      flags: ['stale'],
      host_alive: false,
      replicas_live: 0,
      replicas_total: 1,
    })
  })

  it('unbound: the gateway port has no host', () => {
    expect(rowOf(unbound, LEGACY)).toMatchObject({flags: ['unbound'], hosts: []})
  })

  it('single-replica: ha with one live agent, a single point of failure', () => {
    expect(rowOf(ha('network1', 'compute2'), LEGACY)).toMatchObject({
      flags: ['single-replica'],
      replicas_live: 1,
      replicas_total: 2,
      spof: true,
    })
  })

  it('no flag and no single point of failure with two live replicas', () => {
    expect(rowOf(ha('network1', 'compute1'), LEGACY)).toMatchObject({
      flags: [],
      spof: false,
      replicas_live: 2,
    })
  })

  it('two-actives: seen in the HA states only', () => {
    const facts = ha('network1', 'compute1')
    const agents = facts.agents
      .filter(a => a.agent_type === 'L3 agent')
      .map(a => ({...a, ha_state: 'active'})) as never
    expect(show(facts, LEGACY, {agents}).router.flags).toEqual(['two-actives'])
    expect(show(facts, LEGACY).router.flags).toEqual([])
  })

  it('no-snat-port: distributed, and nothing in the SNAT namespace', () => {
    const ports = ovs.ports.filter(p => p.device_owner !== 'network:router_centralized_snat')
    expect(rowOf({...ovs, ports}, DVR)?.flags).toEqual(['no-snat-port'])
  })

  it('OVN counts live gateway chassis where they are marked, five at most', () => {
    const ovn = factsOf('zed-ovn')
    const one = ovn.agents[0]
    if (!one) throw new Error('fixture')
    const agents = Array.from({length: 7}, (_, i) => ({
      ...one,
      agent_type: 'OVN Controller Gateway agent',
      host: `gw${i}`,
      alive: i !== 0,
    }))
    const row = rowOf({...ovn, agents: [...agents, ...ovn.agents]}, '33ae416e-3375-4b37-a8a2-8122a36cae1a')
    expect(row).toMatchObject({mode: 'ovn-central', replicas_live: 5, replicas_total: 5, spof: false})
    expect(rowOf(ovn, '33ae416e-3375-4b37-a8a2-8122a36cae1a')?.spof).toBeNull()
  })
})

describe('floating IPs', () => {
  const mixed: Facts = {
    ...ovs,
    agents: ovs.agents.map(agent =>
      agent.host === 'compute1' ? {...agent, configurations: {agent_mode: 'dvr_no_external'}} : agent,
    ),
  }
  const note = 'some floating IPs are central'

  it('are not said to be central of a router that has none', () => {
    expect(rowOf({...mixed, floatingIps: []}, DVR)?.notes).toEqual([])
  })

  it('are said to be where they are', () => {
    const [fip] = ovs.floatingIps
    const port = ovs.ports.find(one => one.device_id === VM_CENTRAL)
    const floatingIps = [...ovs.floatingIps, {...fip, id: 'f', port_id: port?.id} as FloatingIpFact]
    expect(rowOf({...mixed, floatingIps}, DVR)?.notes).toEqual([note])
  })

  it('and the address of an agent on the gateway host is shown, which compare counts', () => {
    const agent = ovs.ports.find(port => port.device_owner === 'network:floatingip_agent_gateway')
    const ports = [
      ...ovs.ports,
      {
        ...agent,
        id: 'fg',
        'binding:host_id': 'network1',
        fixed_ips: [{subnet_id: PUBLIC_SUBNET, ip_address: '172.24.4.78'}],
      } as PortFact,
    ]
    const shown = show({...ovs, ports}, DVR).external.filter(one => one.for === 'floating IP agent')
    expect(shown.map(one => one.ip_address)).toEqual(['172.24.4.77', '172.24.4.78'])
    expect(measure({...ovs, ports}, DVR).fip_gateways).toBe(shown.length)
    expect(show({...ovs, ports}, LEGACY).external.map(one => one.for)).toEqual(['gateway'])
  })
})

describe('filters', () => {
  it.each([
    [{mode: 'dvr-central'}, [DVR]],
    [{host: 'network1', mode: 'central-legacy'}, [LEGACY]],
    [{project: '95448637f1bc4bb5a29fc6578f1f7b02'}, [LEGACY]],
    [{problems: true}, []],
    [{host: 'nowhere'}, []],
  ])('%j', (filter, ids) => expect(status(ovs, filter).rows.map(r => r.id)).toEqual(ids))

  it('keep the gateway hosts of all routers below', () => {
    expect(status(ovs, {mode: 'dvr-central'}).hosts).toEqual([
      {host: 'network1', alive: true, routers: 3, vms: 5, load: 1},
    ])
  })
})
