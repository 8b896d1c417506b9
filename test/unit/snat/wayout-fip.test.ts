import {describe, expect, it} from '@jest/globals'

import type {Facts, PortFact} from '../../../src/snat/facts.ts'
import type {WayOut} from '../../../src/snat/wayout.ts'
import {DVR, factsOf, VM_FIP, way, withAgentMode, withFip, withPort, withRouter} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const ovn = factsOf('zed-ovn')
const OVN = '33ae416e-3375-4b37-a8a2-8122a36cae1a'
const OVN_VM = '45a09755-2909-4bed-8bdb-bb20c8cd43b1'
const FIP = '172.24.4.172'

const without = (facts: Facts, vm: string, key: keyof PortFact): Facts => ({
  ...facts,
  ports: facts.ports.map(port =>
    port.device_id === vm ? (({[key]: _, ...rest}) => rest as PortFact)(port) : port,
  ),
})
describe('a VM with a floating IP', () => {
  const fip = 'has a floating IP'
  const hidden = `${fip}; where it is translated needs admin to see`
  it.each<[string, Facts, WayOut['kind'], WayOut['way'], string]>([
    ['on a node with a bridge', ovs, 'fip-local', 'bypass', `${fip}, and the agent on compute2 is dvr`],
    [
      'on a node that does SNAT, too',
      withAgentMode(ovs, 'compute2', 'dvr_snat'),
      'fip-local',
      'bypass',
      `${fip}, and the agent on compute2 is dvr_snat`,
    ],
    [
      'of the whole port',
      withFip(ovs, {fixed_ip_address: null}),
      'fip-local',
      'bypass',
      `${fip}, and the agent on compute2 is dvr`,
    ],
    [
      'on a node without a bridge',
      withAgentMode(ovs, 'compute2', 'dvr_no_external'),
      'fip-central',
      'central',
      `${fip}, but the agent on compute2 is dvr_no_external`,
    ],
    [
      'on a node without an agent',
      withAgentMode(ovs, 'compute2', undefined),
      'fip-central',
      'central',
      `${fip}, but there is no L3 agent on compute2`,
    ],
    [
      'of a port that is not bound',
      withPort(ovs, VM_FIP, {'binding:host_id': ''}),
      'fip-central',
      'central',
      'its port is not bound to a host: the floating IP is in the SNAT namespace',
    ],
    ['where hosts are hidden', without(ovs, VM_FIP, 'binding:host_id'), 'unknown', 'unknown', hidden],
    [
      'where agents are hidden',
      {...ovs, agents: []},
      'unknown',
      'unknown',
      `${fip}; the agents are not listed`,
    ],
    [
      'of a router that is not distributed',
      withRouter(ovs, DVR, {distributed: false}),
      'fip-central',
      'central',
      'a router that is not distributed translates floating IPs on its gateway host',
    ],
  ])('%s', (_, facts, kind, direction, why) => {
    expect(way(facts, DVR, VM_FIP)).toEqual({
      kind,
      way: direction,
      why,
      source_ip: FIP,
      fixed_ip: '10.0.1.102',
    })
  })

  it.each<[string, boolean | undefined, string | undefined, Partial<PortFact> | null, string, string]>([
    ['switched off', false, 'external:br-ex', {}, 'fip-central', 'distributed floating IPs are off'],
    [
      'distributed, with a bridge',
      true,
      'other:br-x, external:br-ex',
      {},
      'fip-local',
      `distributed floating IPs are on, and compute2 has a bridge to external`,
    ],
    [
      'a bridge, and not said whether distributed',
      undefined,
      'external:br-ex',
      {},
      'unknown',
      `${fip}; whether OVN distributes it is not in this API`,
    ],
    [
      'no bridge to this network',
      true,
      'other:br-x',
      {},
      'fip-central',
      `${fip}, but compute2 has no bridge to external`,
    ],
    ['mapping not shown', true, '', {}, 'unknown', `${fip}; whether OVN distributes it is not in this API`],
    [
      'mapping no text',
      true,
      undefined,
      {},
      'unknown',
      `${fip}; whether OVN distributes it is not in this API`,
    ],
    ['host hidden', true, 'external:br-ex', null, 'unknown', hidden],
  ])('on OVN: %s', (_, distributed, mappings, port, kind, why) => {
    const agents = ovn.agents.map(agent =>
      agent.host === 'compute2' ? {...agent, configurations: {'bridge-mappings': mappings}} : agent,
    )
    const bound = port === null ? without(ovn, OVN_VM, 'binding:host_id') : withPort(ovn, OVN_VM, port)
    const id = ovn.ports.find(one => one.device_id === OVN_VM)?.id ?? ''
    const facts = withFip({...bound, agents}, {port_id: id, router_id: OVN, fixed_ip_address: '10.0.1.241'})
    const answer = way(distributed === undefined ? facts : withRouter(facts, OVN, {distributed}), OVN, OVN_VM)
    expect([answer.kind, answer.why, answer.source_ip]).toEqual([kind, why, FIP])
  })

  it.each<[string, Facts['networks'], string, string]>([
    [
      'a tunnelled external network',
      ovn.networks.map(network => ({...network, 'provider:network_type': 'geneve'})),
      'fip-central',
      'the external network is tunnelled: no distributed floating IPs',
    ],
    [
      'an external network that is not listed',
      [],
      'unknown',
      `${fip}; whether OVN distributes it is not in this API`,
    ],
  ])('on OVN with %s', (_, networks, kind, why) => {
    const id = ovn.ports.find(one => one.device_id === OVN_VM)?.id ?? ''
    const facts = withFip({...ovn, networks}, {port_id: id, router_id: OVN, fixed_ip_address: '10.0.1.241'})
    expect(way(facts, OVN, OVN_VM)).toMatchObject({kind, why, source_ip: FIP})
  })
})
