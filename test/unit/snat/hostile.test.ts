import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {plain, shortened} from '../../../src/names/plain.ts'
import {compare} from '../../../src/snat/compare.ts'
import {compareSvg} from '../../../src/snat/compare-svg.ts'
import type {Facts} from '../../../src/snat/facts.ts'
import {measure} from '../../../src/snat/measure.ts'
import {MODES} from '../../../src/snat/modes.ts'
import {prometheus} from '../../../src/snat/prometheus.ts'
import {show} from '../../../src/snat/show.ts'
import {status} from '../../../src/snat/status.ts'
import {trace} from '../../../src/snat/trace.ts'
import {traceSvg} from '../../../src/snat/trace-svg.ts'

const id = fc.constantFrom('a', 'b', 'c')
const host = fc.option(fc.constantFrom('', 'h1', 'h2', 'h3'), {nil: undefined})
const flag = fc.option(fc.boolean(), {nil: undefined})
const name = fc.string({unit: 'binary', maxLength: 300})
const ip = fc.record({
  subnet_id: id,
  ip_address: fc.constantFrom('10.0.0.1', '10.0.0.9', '2001:db8::9', '192.0.2.7'),
})
const owner = fc.constantFrom(
  'compute:nova',
  'network:router_gateway',
  'network:router_interface',
  'network:router_interface_distributed',
  'network:ha_router_replicated_interface',
  'network:router_centralized_snat',
  'network:router_ha_interface',
  'network:floatingip_agent_gateway',
  'network:local_snat',
  '',
)
const gateway = fc.record({
  network_id: id,
  enable_snat: flag,
  external_fixed_ips: fc.array(ip, {maxLength: 2}),
})

/** Facts that fit together by chance only: any listing may lack what another names. */
const facts = fc.record({
  at: fc.constantFrom(0, Date.parse('2026-11-29T06:30:00Z'), Date.parse('2027-01-01T00:00:00Z')),
  extensions: fc.subarray([{alias: 'router'}, {alias: 'l3_agent_scheduler'}, {alias: 'agent'}]),
  routers: fc.uniqueArray(
    fc.record({
      id,
      name,
      project_id: id,
      external_gateway_info: fc.option(gateway),
      external_gateways: fc.option(fc.array(gateway, {maxLength: 2}), {nil: undefined}),
      distributed: flag,
      ha: flag,
      flavor_id: fc.option(id),
    }),
    {selector: r => r.id},
  ),
  ports: fc.array(
    fc.record({
      id: fc.uuid(),
      device_id: id,
      device_owner: owner,
      fixed_ips: fc.array(ip, {maxLength: 2}),
      'binding:host_id': host,
      description: fc.option(
        fc.constantFrom(
          'rack 5',
          'os-ssh-lsnat/1 2026-11-29T06:29:00Z per-router local=1 other=0',
          'os-ssh-lsnat/1 2026-11-29T06:29:30Z per-node local=2 other=3 0a1b2c3d:fallback +2',
        ),
        {nil: undefined},
      ),
    }),
    {maxLength: 12},
  ),
  agents: fc.array(
    fc.record({
      id,
      agent_type: fc.constantFrom(
        'L3 agent',
        'OVN Controller agent',
        'OVN Controller Gateway agent',
        'Open vSwitch agent',
      ),
      host: fc.constantFrom('h1', 'h2'),
      alive: fc.boolean(),
      configurations: fc.constantFrom(
        {},
        {agent_mode: 'dvr'},
        {agent_mode: 7},
        {'bridge-mappings': 'x:y'},
        {agent_mode: 'dvr_snat'},
      ),
    }),
    {maxLength: 4},
  ),
  floatingIps: fc.array(
    fc.record({
      id,
      floating_ip_address: fc.constant('192.0.2.9'),
      floating_network_id: id,
      port_id: fc.option(id),
      router_id: fc.option(id),
    }),
    {maxLength: 3},
  ),
  networks: fc.uniqueArray(
    fc.record({
      id,
      name,
      'provider:network_type': fc.constantFrom('flat', 'vlan', 'geneve'),
      'provider:physical_network': fc.option(id),
    }),
    {selector: n => n.id},
  ),
  subnets: fc.uniqueArray(
    fc.record({
      id,
      name,
      network_id: id,
      ip_version: fc.constantFrom(4 as const, 6 as const),
      cidr: fc.constantFrom('10.0.0.0/24', 'x'),
      gateway_ip: fc.option(fc.constant('10.0.0.1')),
      subnetpool_id: fc.option(id),
    }),
    {selector: s => s.id},
  ),
  availabilities: fc.constant([]),
  logs: fc.array(
    fc.record({
      id,
      resource_type: fc.constantFrom('snat', 'security_group'),
      resource_id: fc.option(id),
      enabled: fc.boolean(),
    }),
    {maxLength: 2},
  ),
  subnetPools: fc.array(fc.record({id, address_scope_id: fc.option(id)}), {maxLength: 2}),
  gaps: fc.constant([]),
}) as unknown as fc.Arbitrary<Facts>

describe('any facts', () => {
  it('give every router exactly one row and one known mode, and never throw', () => {
    fc.assert(
      fc.property(facts, all => {
        const answer = status(all)
        expect(answer.rows.map(r => r.id).sort()).toEqual(all.routers.map(r => r.id).sort())
        for (const row of answer.rows) expect(MODES).toContain(row.mode)
        prometheus(answer)
        for (const router of all.routers) show(all, router.id)
        for (const port of all.ports.filter(p => p.device_owner === 'compute:nova')) {
          const way = trace(all, port.device_id, {to: '198.51.100.1'})
          expect(isWellFormed(traceSvg(way))).toBe(true)
        }
        const q = measure(all)
        expect(compare(q)).toHaveLength(7)
        expect(isWellFormed(compareSvg(q, 1024))).toBe(true)
      }),
      {numRuns: 600},
    )
  })
})

describe('hostile names', () => {
  it.each([
    ['an escape sequence', '\u001b[2J\u001b]0;owned\u0007', 'rm'],
    ['a line of its own', 'a\nos_ssh_snat_routers 99', 'b'],
    ['a bidirectional override', 'abc\u202egpj.exe', 'c'],
    ['a lone surrogate', 'x\ud800y', 'd'],
    ['markup', '<script>alert(1)</script>&"', 'e'],
  ])('%s does nothing', (_, hostile) => {
    const clean = plain(hostile)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
    expect(clean).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/)
    expect(clean.isWellFormed()).toBe(true)
  })

  it('cuts 255 characters, and counts astral ones as one', () => {
    expect(shortened('x'.repeat(255), 32)).toBe(`${'x'.repeat(31)}…`)
    expect(shortened('😀'.repeat(40), 32)).toBe(`${'😀'.repeat(31)}…`)
  })
})

/** Enough of a check for what tag() writes: every element closed, no bare markup in text or attributes. */
function isWellFormed(svg: string): boolean {
  const open: string[] = []
  const rest = svg.replace(
    /<(\/?)([a-z]+)((?: [\w:-]+="[^"<>]*")*)(\/?)>/g,
    (_, end, element, _attributes, own) => {
      if (end) return open.pop() === element ? '' : '<'
      if (!own) open.push(element)
      return ''
    },
  )
  return open.length === 0 && !/[<>]|&(?!(amp|lt|gt|quot);)/.test(rest)
}
