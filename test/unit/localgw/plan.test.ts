import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import type {Member} from '../../../src/localgw/desired.ts'
import {addressesOf, memberOf, planRouter} from '../../../src/localgw/plan.ts'
import {routerRules} from '../../../src/localgw/render.ts'
import type {Facts, FloatingIpFact, PortFact, RouterFact} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {REASONS, type Reason} from '../../../src/snat/reasons.ts'
import {DVR, factsOf, LEGACY, VM_CENTRAL, VM_FIP} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const inOf = (facts: Facts, router = DVR) => {
  const inv = inventory(facts)
  const view = inv.routers.get(router)
  if (!view) throw new Error(`no router ${router}`)
  return {inv, view}
}
const planOf = (facts: Facts, router = DVR) => {
  const {inv, view} = inOf(facts, router)
  return planRouter(inv, view)
}
const withRouter = (change: Partial<RouterFact>): Facts => ({
  ...ovs,
  routers: ovs.routers.map(r => (r.id === DVR ? {...r, ...change} : r)),
})
const vmPort = (vm: string) => ovs.ports.find(port => port.device_id === vm) as PortFact
const addressOf = (vm: string) => vmPort(vm).fixed_ips[0]?.ip_address ?? ''
const hostOf = (vm: string) => vmPort(vm)['binding:host_id'] ?? ''
const gateway = ovs.routers.find(r => r.id === DVR)?.external_gateway_info ?? null

describe('which VMs leave locally', () => {
  it('those that central SNAT translates, and none with a floating IP', () => {
    const {nodes, reason} = planOf(ovs)
    expect(reason).toBeUndefined()
    const all = nodes.flatMap(({host, locals}) => locals.map(address => [host, address]))
    expect(all).toContainEqual([hostOf(VM_CENTRAL), addressOf(VM_CENTRAL)])
    expect(all.map(([, address]) => address)).not.toContain(addressOf(VM_FIP))
  })

  it('not those of a port without a host', () => {
    const ports = ovs.ports.map(p => (p.device_id === VM_CENTRAL ? {...p, 'binding:host_id': ''} : p))
    const locals = planOf({...ovs, ports}).nodes.flatMap(node => node.locals)
    expect(locals).not.toContain(addressOf(VM_CENTRAL))
  })
})

describe('what stays central, and why', () => {
  const withLog = (change: object): Facts => ({
    ...ovs,
    logs: [{id: 'log', resource_type: 'snat', resource_id: DVR, enabled: true, ...change}],
  })
  const second = {...gateway, network_id: 'other', external_fixed_ips: []}
  const cases: readonly (readonly [Reason, Facts, string?])[] = [
    ['not-distributed', ovs, LEGACY],
    ['ovn', factsOf('zed-ovn'), '33ae416e-3375-4b37-a8a2-8122a36cae1a'],
    ['no-gateway', withRouter({external_gateway_info: null})],
    ['no-snat', withRouter({external_gateway_info: {...gateway, enable_snat: false} as never})],
    ['qos', withRouter({external_gateway_info: {...gateway, qos_policy_id: 'x'} as never})],
    ['conntrack-helper', withRouter({conntrack_helpers: [{helper: 'ftp'}]})],
    ['snat-log', withLog({})],
    ['custom', withRouter({flavor_id: 'flavor'})],
    ['multihomed', withRouter({external_gateways: [gateway, second] as never})],
    ['central-ha', withRouter({distributed: false, ha: true})],
    ['own-default-route', withRouter({routes: [{destination: '0.0.0.0/0', nexthop: '10.0.0.9'}]})],
    ['ipv6-only', {...ovs, subnets: ovs.subnets.map(s => ({...s, ip_version: 6 as const}))}],
    ['unknown', {...ovs, gaps: [{listing: 'ports', why: 'forbidden', message: 'no'}]}],
  ]
  it.each(cases.map(([reason, facts, router = DVR]) => ({reason, facts, router})))('$reason', one => {
    const {reason, facts, router} = one
    expect(planOf(facts, router)).toMatchObject({reason, nodes: []})
    expect(REASONS[reason]).toMatch(/^[a-zA-Z]/)
  })

  it('a router that is highly available and distributed is as any distributed one', () => {
    expect(planOf(withRouter({ha: true})).reason).toBeUndefined()
  })

  it.each([{enabled: false}, {resource_id: LEGACY}, {resource_id: null}, {resource_type: 'security_group'}])(
    'a log of something else, or that is off, changes nothing: %j',
    change => {
      expect(planOf(withLog(change))).toEqual(planOf(ovs))
    },
  )

  it('an extra route that is no default one changes nothing', () => {
    const routes = [{destination: '192.0.2.0/24', nexthop: '10.0.0.9'}]
    expect(planOf(withRouter({routes}))).toEqual(planOf(ovs))
  })

  it('a node whose agent has no external leg', () => {
    const agents = ovs.agents.map(a =>
      a.host === hostOf(VM_CENTRAL) && a.agent_type === 'L3 agent'
        ? {...a, configurations: {...a.configurations, agent_mode: 'dvr_no_external'}}
        : a,
    )
    const node = planOf({...ovs, agents}).nodes.find(one => one.host === hostOf(VM_CENTRAL))
    expect(node).toMatchObject({reason: 'no-external-leg'})
  })
})

describe('the member that is rendered', () => {
  const forwarding = (value: object): Facts => ({
    ...ovs,
    floatingIps: [
      ...ovs.floatingIps,
      {
        id: 'pf',
        floating_ip_address: '172.24.4.200',
        floating_network_id: gateway?.network_id ?? '',
        port_id: null,
        router_id: DVR,
        port_forwardings: [value],
      } as FloatingIpFact,
    ],
  })
  const memberIn = (facts: Facts): Member => {
    const {inv, view} = inOf(facts)
    const node = planRouter(inv, view).nodes.find(one => one.host === hostOf(VM_CENTRAL))
    if (!node) throw new Error('no node')
    return memberOf(inv, view, node, 1)
  }

  it('knows the ports that lead to the central SNAT', () => {
    const csnat = ovs.ports.filter(
      p => p.device_id === DVR && p.device_owner === 'network:router_centralized_snat',
    )
    expect(csnat).not.toEqual([])
    expect(memberIn(ovs).central).toEqual(csnat.map(p => p.fixed_ips[0]?.ip_address).sort())
  })

  it('keeps port forwardings central: one port, or a range; and no word that is none', () => {
    const internal_ip_address = addressOf(VM_CENTRAL)
    const of = (value: object) => memberIn(forwarding({internal_ip_address, protocol: 'udp', ...value})).keeps
    const kept = {address: internal_ip_address, protocol: 'udp'}
    expect(of({internal_port: 53})).toEqual([{...kept, ports: [53, 53]}])
    expect(of({internal_port_range: '80:90'})).toEqual([{...kept, ports: [80, 90]}])
    for (const bad of [
      {internal_port: 0},
      {internal_port: 70_000},
      {internal_port: '1 accept'},
      {protocol: 'x'},
    ])
      expect(of({internal_port: 53, ...bad})).toEqual([])
    expect(
      memberIn(forwarding({internal_ip_address: '192.0.2.1', protocol: 'udp', internal_port: 1})).keeps,
    ).toEqual([])
  })
})

it('addresses: one a router and node with a VM, or one a node', () => {
  const {inv} = inOf(ovs)
  const node = (host: string, reason?: Reason) => ({host, locals: ['10.0.0.1'], ...(reason && {reason})})
  const plans = [
    {router: DVR, nodes: [node('a'), node('b'), node('c', 'no-external-leg')]},
    {router: LEGACY, nodes: [node('a')]},
  ]
  expect(addressesOf(inv, plans, 'per-router')).toBe(3)
  expect(addressesOf(inv, plans, 'per-node')).toBe(2)
})

it('for any VMs and floating IPs: a VM with a floating IP is in no set, and every other one is in its node’s alone', () => {
  const subnet = vmPort(VM_CENTRAL).fixed_ips[0]?.subnet_id ?? ''
  const hosts = [hostOf(VM_CENTRAL), hostOf(VM_FIP)]
  const vms = fc.array(fc.record({host: fc.constantFrom(...hosts, ''), fip: fc.boolean()}), {maxLength: 40})
  fc.assert(
    fc.property(vms, all => {
      const template = vmPort(VM_CENTRAL)
      const ports = all.map(({host}, n): PortFact => {
        const fixed_ips = [{subnet_id: subnet, ip_address: `10.77.0.${n}`}]
        return {...template, id: `p${n}`, device_id: `vm${n}`, fixed_ips, 'binding:host_id': host}
      })
      const floatingIps = all.flatMap(({fip}, n) =>
        fip
          ? [
              {
                ...(ovs.floatingIps[0] as FloatingIpFact),
                id: `f${n}`,
                port_id: `p${n}`,
                fixed_ip_address: `10.77.0.${n}`,
              },
            ]
          : [],
      )
      const rest = ovs.ports.filter(p => !p.device_owner.startsWith('compute:'))
      const {inv, view} = inOf({...ovs, ports: [...rest, ...ports], floatingIps})
      const {nodes} = planRouter(inv, view)
      for (const host of hosts) {
        const wanted = all.flatMap((vm, n) => (vm.host === host && !vm.fip ? `10.77.0.${n}` : []))
        const node = nodes.find(one => one.host === host)
        expect([...(node?.locals ?? [])].sort()).toEqual(wanted.sort())
        const set = node ? /set local .*/.exec(routerRules(memberOf(inv, view, node, 1)))?.[0] : ''
        all.forEach((vm, n) => {
          const isIn = new RegExp(`[ ,]10\\.77\\.0\\.${n}[ ,]`).test(set ?? '')
          expect(isIn).toBe(vm.host === host && !vm.fip)
        })
      }
    }),
  )
})
