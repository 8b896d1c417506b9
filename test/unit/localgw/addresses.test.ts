import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {desire} from '../../../src/localgw/desire.ts'
import type {Sharing} from '../../../src/localgw/desired.ts'
import {addressesOf, planRouter} from '../../../src/localgw/plan.ts'
import type {Facts} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {cloudOf, idOf, type RouterOf, vmAddress} from '../../support/localgw.ts'

const ask = (facts: Facts, {sharing, host}: {sharing: Sharing; host: string}) =>
  desire({inv: inventory(facts), legs: []}, host, sharing)

describe('for any routers and VMs', () => {
  const hosts = ['compute1', 'compute2', 'compute3']
  const vm = fc.record({host: fc.constantFrom(...hosts, 'network1', ''), fip: fc.boolean()})
  const router = fc.record({
    external: fc.constantFrom<0 | 1>(0, 1),
    vms: fc.array(vm, {maxLength: 6}),
    change: fc.constantFrom({}, {}, {distributed: false}),
  })
  /** Routers and hosts where a local gateway shall be, straight from what was generated. */
  const leaving = (routers: readonly RouterOf[]) =>
    routers.flatMap(({vms, change, external}, n) =>
      change?.distributed === false
        ? []
        : hosts.flatMap(host => {
            const locals = vms.flatMap((one, index) =>
              one.host === host && one.fip === false ? vmAddress(index) : [],
            )
            return locals.length === 0
              ? []
              : [{router: idOf('router', n), external: external ?? 0, host, locals}]
          }),
    )

  it('as many addresses as the formula says: one a router and node, or one a node and network', () => {
    fc.assert(
      fc.property(fc.array(router, {maxLength: 8}), routers => {
        const facts = cloudOf(routers)
        const inv = inventory(facts)
        const plans = [...inv.routers.values()].map(view => planRouter(inv, view))
        const places = leaving(routers)
        const formula = {
          'per-router': places.length,
          'per-node': new Set(places.map(({external, host}) => `${external} ${host}`)).size,
        }
        for (const sharing of ['per-router', 'per-node'] as const) {
          const made = hosts.flatMap(host => ask(facts, {sharing, host}).gateways)
          expect(made).toHaveLength(formula[sharing])
          expect(addressesOf(inv, plans, sharing)).toBe(formula[sharing])
        }
      }),
    )
  })

  it('every VM without a floating IP is local on its own node, in one member; no other one is', () => {
    fc.assert(
      fc.property(fc.array(router, {maxLength: 8}), fc.constantFrom(...hosts), (routers, host) => {
        const places = leaving(routers).filter(place => place.host === host)
        for (const sharing of ['per-router', 'per-node'] as const) {
          const members = ask(cloudOf(routers), {sharing, host}).gateways.flatMap(one => one.members)
          expect(new Map(members.map(member => [member.router, member.locals]))).toEqual(
            new Map(places.map(({router: id, locals}) => [id, locals.sort()])),
          )
          expect(members).toHaveLength(places.length)
        }
      }),
    )
  })
})
