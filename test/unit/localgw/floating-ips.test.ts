import {expect, it} from '@jest/globals'
import fc from 'fast-check'

import {memberOf, planRouter} from '../../../src/localgw/plan.ts'
import {routerRules} from '../../../src/localgw/render.ts'
import type {Facts, FloatingIpFact} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {cloudOf, EXTERNAL, idOf, outside, vmAddress} from '../../support/localgw.ts'

const ID = EXTERNAL[0]
/** All that looks like an IPv4 address. */
const addressesIn = (text: string) => text.match(/\d+\.\d+\.\d+\.\d+/g) ?? []

it('for any floating IPs and forwardings: a router’s rules do not know a VM with a floating IP, be it forwarded to or not', () => {
  const vm = fc.record({
    fip: fc.constantFrom('none', 'of the address', 'of the port'),
    isForwardedTo: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(vm, {maxLength: 20}), vms => {
      const bare = cloudOf([{vms: vms.map(() => ({host: 'compute1'}))}])
      const fip = (n: number, change: Partial<FloatingIpFact>): FloatingIpFact => ({
        id: `fip${n}`,
        floating_ip_address: outside(0, 200),
        floating_network_id: ID,
        router_id: idOf('router', 0),
        port_id: null,
        ...change,
      })
      const floatingIps = vms.flatMap(({fip: kind, isForwardedTo}, n) => [
        ...(kind === 'of the address'
          ? [fip(n, {port_id: `vm-0-${n}`, fixed_ip_address: vmAddress(n)})]
          : []),
        ...(kind === 'of the port' ? [fip(n, {port_id: `vm-0-${n}`})] : []),
        ...(isForwardedTo ? [fip(n, {port_forwardings: [forwarding(n)] as never})] : []),
      ])
      const text = rulesOn('compute1', {...bare, floatingIps})
      vms.forEach(({fip: kind, isForwardedTo}, n) => {
        const known = addressesIn(text).filter(said => said === vmAddress(n)).length
        expect(known).toBe(kind !== 'none' ? 0 : isForwardedTo ? 2 : 1)
      })
    }),
  )
})

const forwarding = (n: number) => ({protocol: 'tcp', internal_ip_address: vmAddress(n), internal_port: 80})

/** The rules of the only router of a cloud on a node; none when nothing leaves from there. */
function rulesOn(host: string, facts: Facts): string {
  const inv = inventory(facts)
  const [view] = inv.routers.values()
  const node = view && planRouter(inv, view).nodes.find(one => one.host === host)
  return view && node ? routerRules(memberOf(inv, view, node, 1)) : ''
}
