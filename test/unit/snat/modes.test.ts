import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import type {Facts, PortFact, RouterFact} from '../../../src/snat/facts.ts'
import {decide, explain, MODES, type Mode, type Observed, RULES} from '../../../src/snat/modes.ts'
import {status} from '../../../src/snat/status.ts'
import {DVR, factsOf, LEGACY, withLegs, withRouter} from '../../support/snat.ts'

const ovs = factsOf('zed-ovs')
const ovn = factsOf('zed-ovn')
const OVN = '33ae416e-3375-4b37-a8a2-8122a36cae1a'

function withPorts(
  facts: Facts,
  change: (port: PortFact) => PortFact,
  more: readonly PortFact[] = [],
): Facts {
  return {...facts, ports: [...facts.ports.map(change), ...more]}
}

function withAgentMode(facts: Facts, from: string, to: string): Facts {
  const agents = facts.agents.map(a =>
    a.configurations?.['agent_mode'] === from
      ? {...a, configurations: {...a.configurations, agent_mode: to}}
      : a,
  )
  return {...facts, agents}
}

const haPort = (router: string, host: string): PortFact => ({
  id: `ha-${host}`,
  device_id: router,
  device_owner: 'network:router_ha_interface',
  fixed_ips: [],
  'binding:host_id': host,
})
const gateway = (ovs.routers[0] as RouterFact).external_gateway_info
const scoped: Facts = {
  ...ovs,
  subnets: ovs.subnets.map(s => ({...s, subnetpool_id: 'pool'})),
  subnetPools: [{id: 'pool', address_scope_id: 'scope'}],
}
const geneve: Facts = {...ovn, networks: ovn.networks.map(n => ({...n, 'provider:network_type': 'geneve'}))}

interface Case {
  readonly name: string
  readonly facts: Facts
  readonly router: string
  readonly mode: Mode
  readonly carrier?: Mode
}

const cases: readonly Case[] = [
  {name: 'recorded: legacy', facts: ovs, router: LEGACY, mode: 'central-legacy'},
  {name: 'recorded: DVR', facts: ovs, router: DVR, mode: 'dvr-central'},
  {
    name: 'recorded: no gateway',
    facts: ovs,
    router: '0a836d65-0f27-438e-831b-a02e2d23308b',
    mode: 'no-gateway',
  },
  {
    name: 'recorded: SNAT off',
    facts: ovs,
    router: '3b8563ce-e5c7-4359-b064-ac829e8ee297',
    mode: 'routed',
    carrier: 'dvr-central',
  },
  {name: 'recorded: OVN', facts: ovn, router: OVN, mode: 'ovn-central'},
  {
    name: 'recorded: OVN, SNAT off',
    facts: ovn,
    router: 'fec28ac2-149b-4a56-bfd2-1f8fb5ddbdd8',
    mode: 'routed',
    carrier: 'ovn-central',
  },
  {
    name: 'recorded: a member, legacy by its ports',
    facts: factsOf('zed-ovs-member'),
    router: LEGACY,
    mode: 'central-legacy',
  },
  {
    name: 'recorded: a member, DVR by its ports',
    facts: factsOf('zed-ovs-member-dvr'),
    router: DVR,
    mode: 'dvr-central',
  },
  {
    name: 'HA',
    facts: withPorts(withRouter(ovs, LEGACY, {ha: true}), p => p, [haPort(LEGACY, 'network1')]),
    router: LEGACY,
    mode: 'central-ha',
  },
  {name: 'DVR and HA', facts: withRouter(ovs, DVR, {ha: true}), router: DVR, mode: 'dvr-ha'},
  {
    name: 'compute nodes without external bridge',
    facts: withAgentMode(ovs, 'dvr', 'dvr_no_external'),
    router: DVR,
    mode: 'dvr-central-fip',
  },
  {
    name: 'ports with floating IPs unbound',
    facts: withPorts(ovs, p => (p.device_owner.startsWith('compute:') ? {...p, 'binding:host_id': ''} : p)),
    router: DVR,
    mode: 'dvr-central-fip',
  },
  {name: 'same address scope', facts: scoped, router: LEGACY, mode: 'no-nat', carrier: 'central-legacy'},
  {
    name: 'two gateways',
    facts: withRouter(ovs, LEGACY, {external_gateways: gateway ? [gateway, gateway] : []}),
    router: LEGACY,
    mode: 'multihomed',
    carrier: 'central-legacy',
  },
  {name: 'a flavor', facts: withRouter(ovs, LEGACY, {flavor_id: 'f'}), router: LEGACY, mode: 'custom'},
  {
    name: 'a local gateway',
    facts: withLegs(ovs, {host: 'compute1'}),
    router: DVR,
    mode: 'local-gateway',
    carrier: 'dvr-central',
  },
  {name: 'OVN, tunnelled external network', facts: geneve, router: OVN, mode: 'ovn-pinned'},
  {
    name: 'a member, HA by its ports',
    facts: withPorts(factsOf('zed-ovs-member'), p =>
      p.device_owner === 'network:router_interface'
        ? {...p, device_owner: 'network:ha_router_replicated_interface'}
        : p,
    ),
    router: LEGACY,
    mode: 'central-ha',
  },
  {
    name: 'neither agents nor extensions nor ports',
    facts: {...factsOf('zed-ovs-member'), extensions: [], ports: []},
    router: LEGACY,
    mode: 'unknown',
  },
]

describe('the table of modes, on recorded answers', () => {
  it.each(cases)('$name -> $mode', ({facts, router, mode, carrier}) => {
    const row = status(facts).rows.find(r => r.id === router)
    expect([row?.mode, row?.carrier]).toEqual([mode, carrier ?? mode])
  })

  it('has a case for every mode', () => {
    expect(new Set(cases.map(c => c.mode))).toEqual(new Set(MODES))
  })

  it('ends with a rule that holds always, and has each mode once', () => {
    expect(RULES.at(-1)?.mode).toBe('unknown')
    expect(new Set(MODES).size).toBe(MODES.length)
  })
})

const maybe = <T>(values: readonly T[]) => fc.constantFrom<T | null>(...values, null)
const observed: fc.Arbitrary<Observed> = fc.record({
  gateways: fc.nat(3),
  enable_snat: maybe([true, false]),
  flavor_id: maybe(['f']),
  backend: maybe(['ovs', 'ovn'] as const),
  distributed: maybe([true, false]),
  ha: maybe([true, false]),
  same_scope: maybe(['all', 'some', 'none'] as const),
  central_fips: maybe(['all', 'some', 'none'] as const),
  external_type: maybe(['flat', 'vlan', 'geneve', 'vxlan', 'x']),
  local_gateways: fc.nat(2),
})

describe('any combination of attributes', () => {
  it('yields exactly one mode, that of the last step explained, on a carrier that is no overlay', () => {
    fc.assert(
      fc.property(observed, seen => {
        const verdict = decide(seen)
        const steps = explain(seen)
        expect(MODES.filter(mode => mode === verdict.mode)).toHaveLength(1)
        expect(steps.find(step => step.holds)?.mode).toBe(verdict.mode)
        expect(steps.at(-1)?.mode).toBe(verdict.carrier)
        expect(RULES.find(rule => rule.mode === verdict.carrier)?.overlay).toBeUndefined()
      }),
      {numRuns: 2000},
    )
  })

  it('gives a router without gateway no other mode', () => {
    fc.assert(fc.property(observed, seen => expect(decide({...seen, gateways: 0}).mode).toBe('no-gateway')))
  })
})

const SEEN: Observed = {
  gateways: 1,
  enable_snat: true,
  flavor_id: null,
  backend: 'ovs',
  distributed: true,
  ha: false,
  same_scope: 'none',
  central_fips: 'none',
  external_type: 'flat',
  local_gateways: 0,
}

describe('what decides', () => {
  it.each(['geneve', 'vxlan', 'gre', 'stt'])('OVN is pinned by an external network of %s', external_type => {
    expect(decide({...SEEN, backend: 'ovn', external_type}).mode).toBe('ovn-pinned')
  })

  it.each<[Mode, Partial<Observed>, readonly string[]]>([
    ['dvr-central', {}, []],
    ['dvr-central', {ha: null}, ['ha']],
    ['dvr-central', {external_type: null, enable_snat: null}, []],
    ['ovn-central', {backend: 'ovn', external_type: null}, ['external_type']],
    ['routed', {enable_snat: false, ha: null}, ['ha']],
    ['routed', {enable_snat: false, distributed: null}, []],
    ['custom', {flavor_id: 'f', ha: null}, []],
    ['dvr-central', {external_type: 'geneve'}, []],
    ['central-legacy', {distributed: false, central_fips: 'all'}, []],
    ['unknown', {distributed: null, ha: true}, []],
    ['unknown', {distributed: null}, []],
    ['unknown', {distributed: false, ha: null}, []],
  ])('%s, %j: what it hung on and is not shown', (mode, change, unseen) => {
    const verdict = decide({...SEEN, ...change})
    expect([verdict.mode, verdict.unseen]).toEqual([mode, unseen])
  })

  it('is explained rule by rule, with what each has seen', () => {
    const steps = explain({...SEEN, enable_snat: false, same_scope: null, ha: null})
    expect(steps.map(({mode, holds, seen}) => [mode, holds, ...seen])).toEqual([
      ['no-gateway', false, 'gateways=1'],
      ['custom', false, 'flavor_id=none'],
      ['multihomed', false, 'gateways=1'],
      ['routed', true, 'enable_snat=false'],
      ['no-nat', false, 'same_scope=?'],
      ['local-gateway', false, 'local_gateways=0'],
      ['ovn-pinned', false, 'backend=ovs', 'external_type=flat'],
      ['ovn-central', false, 'backend=ovs', 'external_type=flat'],
      ['dvr-central-fip', false, 'distributed=true', 'central_fips=none'],
      ['dvr-ha', false, 'distributed=true', 'ha=?'],
      ['dvr-central', true, 'distributed=true', 'ha=?'],
    ])
    expect(steps[3]?.when).toBe('enable_snat is false: packets cross the gateway host untranslated')
    expect(
      explain({...SEEN, distributed: false})
        .slice(-2)
        .map(({mode, seen}) => [mode, ...seen]),
    ).toEqual([
      ['central-ha', 'distributed=false', 'ha=false'],
      ['central-legacy', 'distributed=false', 'ha=false'],
    ])
    expect(explain({...SEEN, distributed: null}).at(-1)).toMatchObject({mode: 'unknown', seen: []})
  })
})
