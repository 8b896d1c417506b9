import {describe, expect, it} from '@jest/globals'

import type {Facts, RouterFact} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {snatIp, type WayOut} from '../../../src/snat/wayout.ts'
import {
  DVR,
  factsOf,
  LEGACY,
  PUBLIC_SUBNET,
  TENANT_SUBNET,
  VM_CENTRAL,
  VM_FIP,
  VM_LEGACY,
  way,
  withAgentMode,
  withFip,
  withLegs,
  withPort,
  withRouter,
} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')

const info = (facts: Facts, id: string) =>
  facts.routers.find(router => router.id === id)?.external_gateway_info as NonNullable<
    RouterFact['external_gateway_info']
  >

const scoped = (facts: Facts): Facts => ({
  ...facts,
  subnets: facts.subnets.map(subnet =>
    [TENANT_SUBNET, PUBLIC_SUBNET, '3fceaf2e-60ca-431a-84ba-d0aa7b952a7a'].includes(subnet.id)
      ? {...subnet, subnetpool_id: 'pool'}
      : subnet,
  ),
  subnetPools: [{id: 'pool', address_scope_id: 'scope'}],
})
const V6 = {subnet_id: TENANT_SUBNET, ip_address: 'fd00::101'}
const V4 = {subnet_id: TENANT_SUBNET, ip_address: '10.0.1.101'}

describe('a VM without a floating IP', () => {
  const central = 'no floating IP: DVR redirects it to the SNAT namespace'
  const legacy = 'all traffic of this router to the outside crosses its gateway host'
  const scope = 'its subnet is in the address scope of the external network'
  const v6 = 'IPv6 is not translated; it crosses the gateway host'
  it.each<
    [string, Facts, string, string, WayOut['kind'], WayOut['way'], string, string | null, string | null]
  >([
    ['DVR', ovs, DVR, VM_CENTRAL, 'snat', 'central', central, '172.24.4.206', '10.0.1.101'],
    ['legacy', ovs, LEGACY, VM_LEGACY, 'snat', 'central', legacy, '172.24.4.239', '10.0.2.80'],
    [
      'on the gateway host itself',
      withPort(ovs, VM_LEGACY, {'binding:host_id': 'network1'}),
      LEGACY,
      VM_LEGACY,
      'snat',
      'central',
      `${legacy}, which is on the VM's own host`,
      '172.24.4.239',
      '10.0.2.80',
    ],
    [
      'bound to no host, as is the gateway',
      {...ovs, ports: ovs.ports.map(port => ({...port, 'binding:host_id': ''}))},
      LEGACY,
      VM_LEGACY,
      'snat',
      'central',
      legacy,
      '172.24.4.239',
      '10.0.2.80',
    ],
    [
      'IPv6 alone',
      withPort(ovs, VM_CENTRAL, {fixed_ips: [V6]}),
      DVR,
      VM_CENTRAL,
      'routed',
      'central',
      v6,
      'fd00::101',
      'fd00::101',
    ],
    [
      'IPv4 after IPv6',
      withPort(ovs, VM_CENTRAL, {fixed_ips: [V6, V4]}),
      DVR,
      VM_CENTRAL,
      'snat',
      'central',
      central,
      '172.24.4.206',
      '10.0.1.101',
    ],
    [
      'a first address that another router serves',
      withPort(ovs, VM_CENTRAL, {
        fixed_ips: [{subnet_id: '3fceaf2e-60ca-431a-84ba-d0aa7b952a7a', ip_address: '10.0.2.90'}, V4],
      }),
      DVR,
      VM_CENTRAL,
      'snat',
      'central',
      central,
      '172.24.4.206',
      '10.0.1.101',
    ],
    [
      'no address of the router',
      withPort(ovs, VM_CENTRAL, {fixed_ips: []}),
      DVR,
      VM_CENTRAL,
      'none',
      'none',
      'no subnet of it uses this router as its gateway',
      null,
      null,
    ],
    [
      'no gateway',
      withRouter(ovs, DVR, {external_gateway_info: null}),
      DVR,
      VM_CENTRAL,
      'none',
      'none',
      'the router has no external gateway',
      null,
      '10.0.1.101',
    ],
    [
      'a flavor',
      withRouter(ovs, DVR, {flavor_id: 'f'}),
      DVR,
      VM_CENTRAL,
      'unknown',
      'unknown',
      "the router's flavor has a driver of its own",
      null,
      '10.0.1.101',
    ],
    [
      'a router of which nothing is shown',
      {
        ...factsOf('zed-ovs-member'),
        extensions: [],
        ports: factsOf('zed-ovs-member').ports.filter(port => !/gateway|centralized/.test(port.device_owner)),
      },
      LEGACY,
      VM_LEGACY,
      'unknown',
      'unknown',
      'the mode of the router is not shown to this account',
      null,
      '10.0.2.80',
    ],
    [
      'SNAT off',
      withRouter(ovs, LEGACY, {external_gateway_info: {...info(ovs, LEGACY), enable_snat: false}}),
      LEGACY,
      VM_LEGACY,
      'routed',
      'central',
      'SNAT is off on this router: it crosses the gateway host with its own address',
      '10.0.2.80',
      '10.0.2.80',
    ],
    [
      'the address scope of the outside, DVR',
      scoped(ovs),
      DVR,
      VM_CENTRAL,
      'routed-local',
      'bypass',
      `${scope}; DVR routes it locally`,
      '10.0.1.101',
      '10.0.1.101',
    ],
    [
      'the address scope of the outside, DVR without a bridge on the node',
      scoped(withAgentMode(ovs, 'compute1', 'dvr_no_external')),
      DVR,
      VM_CENTRAL,
      'routed',
      'central',
      `${scope}: no translation`,
      '10.0.1.101',
      '10.0.1.101',
    ],
    [
      'the address scope of the outside, legacy',
      scoped(ovs),
      LEGACY,
      VM_LEGACY,
      'routed',
      'central',
      `${scope}: no translation`,
      '10.0.2.80',
      '10.0.2.80',
    ],
    [
      'a floating IP of another fixed address',
      withFip(ovs, {fixed_ip_address: '10.0.1.199'}),
      DVR,
      VM_FIP,
      'snat',
      'central',
      central,
      '172.24.4.206',
      '10.0.1.102',
    ],
  ])('%s', (_, facts, router, vm, kind, direction, why, source_ip, fixed_ip) => {
    expect(way(facts, router, vm)).toEqual({kind, way: direction, why, source_ip, fixed_ip})
  })
})

describe('a VM beside a local gateway', () => {
  const here = withLegs(ovs, {host: 'compute1'})
  const active = 'a local gateway is active on its host'
  const forwarding = (address: string) => {
    const [one] = ovs.floatingIps
    const bare = {...one, port_id: null, port_forwardings: []}
    const forwards = {...bare, port_forwardings: [null, {internal_ip_address: address}]}
    return {...here, floatingIps: [bare, forwards, {...bare, port_forwardings: null}]} as never
  }
  it.each<[string, Facts, string]>([
    ['nothing is forwarded', here, active],
    [
      'a port of it is forwarded',
      forwarding('10.0.1.101'),
      `${active}; replies of its forwarded ports stay central`,
    ],
    ['a port of another is forwarded', forwarding('10.0.1.102'), active],
  ])('%s', (_, facts, why) => {
    expect(way(facts, DVR, VM_CENTRAL)).toEqual({
      kind: 'snat-local',
      way: 'bypass',
      why,
      source_ip: '172.24.4.99',
      fixed_ip: '10.0.1.101',
    })
  })

  it('SNAT is off: it crosses the gateway host', () => {
    const off = withRouter(here, DVR, {external_gateway_info: {...info(ovs, DVR), enable_snat: false}})
    expect(way(off, DVR, VM_CENTRAL).kind).toBe('routed')
  })
})

it.each<[string, readonly string[], string | null]>([
  ['IPv4 after IPv6', ['2001:db8::1', '172.24.4.9'], '172.24.4.9'],
  ['IPv6 alone', ['2001:db8::1'], null],
  ['none', [], null],
])('central SNAT puts in the IPv4 address of the gateway: %s', (_, addresses, expected) => {
  const external_fixed_ips = addresses.map(ip_address => ({subnet_id: PUBLIC_SUBNET, ip_address}))
  const facts = withRouter(ovs, DVR, {external_gateway_info: {...info(ovs, DVR), external_fixed_ips}})
  const view = inventory(facts).routers.get(DVR)
  if (!view) throw new Error('fixture')
  expect(snatIp(view)).toBe(expected)
})
