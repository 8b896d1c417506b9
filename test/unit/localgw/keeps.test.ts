import {expect, it} from '@jest/globals'
import fc from 'fast-check'

import type {Keep} from '../../../src/localgw/desired.ts'
import {memberOf, planRouter} from '../../../src/localgw/plan.ts'
import type {FloatingIpFact} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {cloudOf, EXTERNAL, idOf, outside, vmAddress} from '../../support/localgw.ts'

const HERE = 'compute1'
interface Forwarding {
  readonly vm: number
  readonly protocol: 'tcp' | 'udp'
  readonly ports: readonly [number, number]
}

/** What is kept of floating IPs, each with one of these forwardings. */
function keepsOf(forwardings: readonly Forwarding[]): readonly Keep[] {
  const floatingIps = forwardings.map(
    ({vm, protocol, ports}, n): FloatingIpFact => ({
      id: `fip${n}`,
      floating_ip_address: outside(0, 200),
      floating_network_id: EXTERNAL[0],
      router_id: idOf('router', 0),
      port_id: null,
      port_forwardings: [
        {protocol, internal_ip_address: vmAddress(vm), internal_port_range: ports.join(':')},
      ] as never,
    }),
  )
  const inv = inventory({...cloudOf([{vms: [{host: HERE}, {host: HERE}]}]), floatingIps})
  const [view] = inv.routers.values()
  const [node] = view ? planRouter(inv, view).nodes : []
  if (!view || !node) throw new Error('nothing leaves')
  return memberOf(inv, view, node, 1).keeps
}

it('forwardings that overlap are kept as one: nft refuses intervals that do', () => {
  const one = {vm: 0, protocol: 'tcp'} as const
  const kept = {address: vmAddress(0), protocol: 'tcp'}
  expect(
    keepsOf([
      {...one, ports: [85, 95]},
      {...one, ports: [80, 90]},
      {...one, ports: [85, 85]},
      {...one, ports: [96, 96]},
    ]),
  ).toEqual([
    {...kept, ports: [80, 95]},
    {...kept, ports: [96, 96]},
  ])
})

it('for any forwardings: all that is forwarded is kept, nothing else, and nothing twice', () => {
  const forwarding = fc.record({
    vm: fc.nat(1),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    ports: fc
      .tuple(fc.integer({min: 1, max: 30}), fc.nat(8))
      .map(([first, more]) => [first, first + more] as const),
  })
  const each = (address: string, protocol: string, [first, last]: readonly [number, number]) =>
    Array.from({length: last - first + 1}, (_, n) => `${address} ${protocol} ${first + n}`)
  fc.assert(
    fc.property(fc.array(forwarding, {maxLength: 12}), all => {
      const kept = keepsOf(all).flatMap(keep => each(keep.address, keep.protocol, keep.ports))
      const wanted = all.flatMap(({vm, protocol, ports}) => each(vmAddress(vm), protocol, ports))
      expect(new Set(kept)).toEqual(new Set(wanted))
      expect(kept).toHaveLength(new Set(kept).size)
    }),
  )
})
