import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {compare, shards} from '../../../src/snat/compare.ts'
import {compareSvg} from '../../../src/snat/compare-svg.ts'
import {type Facts, NO_FACTS, type PortFact} from '../../../src/snat/facts.ts'
import {expectedPairs, grow, measure, occupied, parseGrowth} from '../../../src/snat/measure.ts'
import {COMPARE_TABLE} from '../../../src/snat/parts.ts'
import {render} from '../../../src/ui/output.ts'
import {expectGolden} from '../../support/golden.ts'
import {factsOf, printed} from '../../support/snat.ts'

/** The cloud of the posts: one router a tenant, and VMs of tenant t on the first `spread(t)` nodes. */
function textbook(nodes: number, tenants: number, spread: (tenant: number) => number): Facts {
  const ids = Array.from({length: tenants}, (_, t) => `t${t}`)
  const port = (
    device_id: string,
    device_owner: string,
    subnet: string,
    last: number,
    host: string,
  ): PortFact => ({
    id: `${device_id} ${device_owner} ${last}`,
    device_id,
    device_owner,
    fixed_ips: [{subnet_id: subnet, ip_address: `10.0.0.${last}`}],
    'binding:host_id': host,
  })
  return {
    ...NO_FACTS,
    extensions: [{alias: 'router'}, {alias: 'l3_agent_scheduler'}],
    agents: Array.from({length: nodes}, (_, n) => ({
      id: `n${n}`,
      agent_type: 'L3 agent',
      host: `n${n}`,
      alive: true,
      configurations: {agent_mode: 'dvr'},
    })),
    networks: [{id: 'ext', name: 'ext', 'router:external': true}],
    subnets: ids.map(t => ({
      id: t,
      network_id: t,
      ip_version: 4 as const,
      cidr: '10.0.0.0/24',
      gateway_ip: '10.0.0.1',
    })),
    routers: ids.map(t => ({
      id: t,
      name: t,
      project_id: t,
      distributed: true,
      ha: false,
      external_gateway_info: {
        network_id: 'ext',
        enable_snat: true,
        external_fixed_ips: [{subnet_id: 'e', ip_address: '192.0.2.9'}],
      },
    })),
    ports: ids.flatMap((t, index) => [
      port(t, 'network:router_interface_distributed', t, 1, ''),
      port(t, 'network:router_centralized_snat', t, 2, 'net'),
      port(t, 'network:router_gateway', 'e', 3, 'net'),
      ...Array.from({length: spread(index)}, (_, n) =>
        port(`${t}vm${n}`, 'compute:nova', t, 10 + n, `n${n}`),
      ),
    ]),
  }
}

const byName = (facts: Facts) => new Map(compare(measure(facts)).map(row => [row.alternative, row]))

describe('the numbers of the posts', () => {
  it('[# compute nodes] x [# tenants] at most, when every tenant has a VM on every node', () => {
    const rows = byName(textbook(20, 30, () => 20))
    expect(rows.get('per (router, node)')).toMatchObject({addresses_max: 20 * 30, addresses_lazy: 20 * 30})
    expect(rows.get('per node, double NAT')).toMatchObject({addresses_max: 20, addresses_lazy: 20})
    expect(rows.get('central SNAT (DVR), as today')).toMatchObject({
      addresses_max: 30 + 20,
      addresses_lazy: 30,
    })
  })

  it('less when allocated lazily: a pair counts from its first VM on', () => {
    const rows = byName(textbook(20, 30, tenant => (tenant < 10 ? 2 : 0)))
    expect(rows.get('per (router, node)')).toMatchObject({
      addresses_max: 600,
      addresses_lazy: 20,
      hops_saved_vms: 20,
    })
    expect(rows.get('per node, double NAT')).toMatchObject({addresses_lazy: 2, blast_vms: 10})
    expect(rows.get('a floating IP per VM')).toMatchObject({addresses_max: 20, blast_vms: 1})
  })

  it('a VM with a floating IP needs no pair', () => {
    const facts = textbook(4, 1, () => 4)
    const vm = facts.ports.find(p => p.device_id === 't0vm3')
    const fip = {
      id: 'f',
      floating_ip_address: '192.0.2.50',
      floating_network_id: 'ext',
      port_id: vm?.id ?? '',
      router_id: 't0',
    }
    expect(byName({...facts, floatingIps: [fip]}).get('per (router, node)')?.addresses_lazy).toBe(3)
  })

  it('holds for any size: lazily never more than at most', () => {
    fc.assert(
      fc.property(
        fc.integer({min: 1, max: 8}),
        fc.integer({min: 1, max: 8}),
        fc.nat(8),
        (nodes, tenants, vms) => {
          const rows = byName(textbook(nodes, tenants, t => Math.min(nodes, (t * 7 + vms) % 9)))
          expect(rows.get('per (router, node)')?.addresses_max).toBe(nodes * tenants)
          for (const row of rows.values())
            expect(row.addresses_lazy ?? 0).toBeLessThanOrEqual(row.addresses_max ?? 0)
        },
      ),
    )
  })
})

describe('ports', () => {
  it('64,512 an address, and 537.6 new connections a second with TIME_WAIT of 120 s', () => {
    const rows = byName(textbook(1, 1, () => 1))
    expect(rows.get('per (router, node)')).toMatchObject({ports_per_vm: 64_512, rate_per_vm: 537.6})
  })

  it('63 VMs share an address by ranges of 1,024', () => {
    expect([shards([63], 1024), shards([64], 1024), shards([0], 1024), shards([1, 1], 1024)]).toEqual([
      1, 2, 0, 2,
    ])
    expect([shards([1], 64_512), shards([2], 64_512), shards([2], 40_000)]).toEqual([1, 2, 2])
  })

  it.each([0, -1, 1.5, 64_513, Number.NaN])('%d ports a VM is a wrong command line', ports => {
    expect(() => compare(measure(NO_FACTS), ports)).toThrow(
      expect.objectContaining({code: 'USAGE'}) as unknown as Error,
    )
  })
})

describe('growth', () => {
  const now = measure(textbook(10, 20, () => 5))

  it('factors, increments, totals', () => {
    const then = grow(now, parseGrowth('nodes=x2,tenants=+20,vms=400'))
    expect(then).toMatchObject({nodes: 20, tenants: 40, routers: 40, vms: 400})
    expect(compare(then).find(r => r.alternative === 'per (router, node)')?.addresses_max).toBe(20 * 40)
  })

  it('is nothing when nothing grows', () => expect(grow(now, parseGrowth('nodes=x1'))).toEqual(now))

  it.each(['', 'nodes', 'nodes=', 'nodes=-1', 'nodes=x', 'hosts=2', 'nodes=2,nodes=3', 'nodes=99999999'])(
    '"%s" is a wrong command line',
    text => {
      expect(() => parseGrowth(text)).toThrow(expect.objectContaining({code: 'USAGE'}) as unknown as Error)
    },
  )

  it('random placement: never more pairs than VMs or than nodes', () => {
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(500), (vms, nodes) => {
        expect(occupied(vms, nodes)).toBeLessThanOrEqual(Math.min(vms, nodes) + 1e-6)
        expect(expectedPairs([vms, vms], nodes)).toBeCloseTo(2 * occupied(vms, nodes))
      }),
    )
  })
})

describe('what is shown', () => {
  it('table and picture', async () => {
    const q = measure(factsOf('zed-ovs'))
    expectGolden(
      'snat/compare.txt',
      await printed(screen => render(compare(q), COMPARE_TABLE, {format: 'table'}, {screen})),
    )
    const grown = grow(q, parseGrowth('nodes=50,tenants=40,vms=2000'))
    expectGolden('snat/compare.svg', compareSvg(grown, 1024))
  })

  it('a member gets what is known, and no invented figure', () => {
    const q = measure(factsOf('zed-ovs-member'))
    expect(q).toMatchObject({routers: 1, vms: 3, nodes: null, pairs: null, crossing_vms: null})
    expect(compare(q).find(r => r.alternative === 'per (router, node)')).toMatchObject({
      addresses_max: null,
      fits: null,
    })
    expect(compareSvg(q, 1024)).toContain('needs admin')
  })
})

it('DVR has gateways for floating IPs on network nodes too: at most is never less than today (seen on a real Zed)', () => {
  const q = {...measure(factsOf('zed-ovs')), fip_gateways: 3}
  expect(compare(q)[0]).toMatchObject({addresses_max: 5, addresses_lazy: 5})
})
