import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {Leg} from '../../../src/localgw/agent/leg.ts'
import {desire} from '../../../src/localgw/desire.ts'
import type {Sharing} from '../../../src/localgw/desired.ts'
import {MAX_MEMBERS} from '../../../src/localgw/names.ts'
import type {Port} from '../../../src/openstack/index.ts'
import type {Facts, SubnetFact} from '../../../src/snat/facts.ts'
import {inventory} from '../../../src/snat/inventory.ts'
import {
  AGENTS,
  agentOn,
  cloudOf,
  EXTERNAL,
  idOf,
  legPort,
  outside,
  type RouterOf,
  vmAddress,
} from '../../support/localgw.ts'

const HERE = 'compute1'
const here = {host: HERE}
const there = {host: 'compute2'}
const gateway = cloudOf([{vms: []}]).routers[0]?.external_gateway_info

interface Asked {
  readonly sharing?: Sharing
  readonly legs?: readonly Port[]
  readonly numbers?: ReadonlyMap<string, number>
  readonly host?: string
}
const ask = (facts: Facts, {sharing = 'per-router', legs = [], numbers, host = HERE}: Asked = {}) =>
  desire({inv: inventory(facts), legs}, host, sharing, numbers)
const wanted = (routers: readonly RouterOf[], asked?: Asked) => ask(cloudOf(routers), asked)

/** The number of each router, by the router's own place. */
const numbersIn = (routers: readonly RouterOf[], before: readonly (readonly [number, number])[]) => {
  const numbers = new Map(before.map(([router, number]) => [idOf('router', router), number]))
  const [one] = wanted(routers, {sharing: 'per-node', numbers}).gateways
  return new Map(one?.members.map(member => [member.router, member.number]))
}
const all = (count: number): RouterOf[] => Array.from({length: count}, () => ({vms: [here]}))

describe('which local gateways a node shall have', () => {
  it('one a router, or one that all share; of two networks two', () => {
    const routers = [{vms: [here]}, {vms: [here]}, {vms: [here], external: 1 as const}]
    const own = wanted(routers).gateways
    expect(own.map(one => [one.id, one.network, one.members.map(m => m.router)])).toEqual([
      [idOf('router', 0), EXTERNAL[0], [idOf('router', 0)]],
      [idOf('router', 1), EXTERNAL[0], [idOf('router', 1)]],
      [idOf('router', 2), EXTERNAL[1], [idOf('router', 2)]],
    ])
    const shared = wanted(routers, {sharing: 'per-node'}).gateways
    expect(shared.map(one => [one.id, one.network, one.members.map(m => m.router)])).toEqual([
      [EXTERNAL[0], EXTERNAL[0], [idOf('router', 0), idOf('router', 1)]],
      [EXTERNAL[1], EXTERNAL[1], [idOf('router', 2)]],
    ])
  })

  it('for the VMs of this node alone', () => {
    const {gateways, central} = wanted([{vms: [here, there, here]}, {vms: [there]}])
    expect(gateways.map(one => one.members.map(member => member.locals))).toEqual([
      [[vmAddress(0), vmAddress(2)]],
    ])
    expect([...central]).toEqual([])
  })

  it('none for a router whose VMs here all have floating IPs, and no word of it', () => {
    expect(wanted([{vms: [{...here, fip: true}, there]}])).toEqual({
      gateways: [],
      central: new Map(),
      spare: [],
    })
  })
})

describe('why a router stays central', () => {
  const legacy = {distributed: false}
  const noSnat = {external_gateway_info: {...gateway, enable_snat: false} as never}

  it('is told of routers that have a VM here, and of no other', () => {
    const {gateways, central} = wanted([
      {vms: [here, there], change: legacy},
      {vms: [there], change: legacy},
      {vms: [here], change: noSnat},
      {vms: [], change: noSnat},
      {vms: [here]},
    ])
    expect([...central]).toEqual([
      [idOf('router', 0), 'not-distributed'],
      [idOf('router', 2), 'no-snat'],
    ])
    expect(gateways.map(one => one.id)).toEqual([idOf('router', 4)])
  })

  it('is a node’s own where the node is why', () => {
    const agents = [agentOn(HERE, 'dvr_no_external'), ...AGENTS.filter(one => one.host !== HERE)]
    const facts = cloudOf([{vms: [here, there]}, {vms: [there]}], agents)
    expect(ask(facts)).toMatchObject({
      gateways: [],
      central: new Map([[idOf('router', 0), 'no-external-leg']]),
    })
    expect(ask(facts, {host: 'compute2'})).toMatchObject({central: new Map(), gateways: [{}, {}]})
  })
})

describe('numbers', () => {
  it('are the lowest that are free, in the order of the routers’ ids', () => {
    expect([...numbersIn(all(3), []).values()]).toEqual([1, 2, 3])
    expect([
      ...numbersIn(all(4), [
        [2, 1],
        [1, 3],
      ]).values(),
    ]).toEqual([2, 3, 1, 4])
  })

  it('begin anew in each local gateway', () => {
    expect(wanted(all(3)).gateways.map(one => one.members[0]?.number)).toEqual([1, 1, 1])
  })

  it('are kept, but for one that another has, too, or that is above the last', () => {
    expect([
      ...numbersIn(all(2), [
        [0, MAX_MEMBERS],
        [1, 7],
      ]).values(),
    ]).toEqual([MAX_MEMBERS, 7])
    expect([
      ...numbersIn(all(2), [
        [0, 7],
        [1, 7],
      ]).values(),
    ]).toEqual([7, 1])
    expect([...numbersIn(all(2), [[0, MAX_MEMBERS + 1]]).values()]).toEqual([1, 2])
  })

  it('never end above the last: the routers that get none stay central', () => {
    const numbers = numbersIn(all(MAX_MEMBERS + 2), [[MAX_MEMBERS + 1, 1]])
    expect(numbers.size).toBe(MAX_MEMBERS)
    expect(Math.max(...numbers.values())).toBe(MAX_MEMBERS)
    expect(numbers.get(idOf('router', MAX_MEMBERS + 1))).toBe(1)
    expect(numbers.has(idOf('router', MAX_MEMBERS))).toBe(false)
    const {central} = ask(cloudOf(all(MAX_MEMBERS + 2)), {sharing: 'per-node'})
    expect([...central]).toEqual([
      [idOf('router', MAX_MEMBERS), 'too-many'],
      [idOf('router', MAX_MEMBERS + 1), 'too-many'],
    ])
  })

  it('of a router whose way still drains is nobody else’s', () => {
    const two = [{vms: []}, {vms: [here]}]
    const leg = new Leg(EXTERNAL[0], EXTERNAL[0])
    const numbers = () => new Map(leg.gateway?.members.map(({router, number}) => [router, number]))
    const round = (routers: readonly RouterOf[]) => {
      const {gateways} = wanted(routers, {
        sharing: 'per-node',
        legs: [legPort(0, EXTERNAL[0])],
        numbers: numbers(),
      })
      if (gateways[0]) leg.want(gateways[0], () => Number.POSITIVE_INFINITY)
    }
    round([{vms: [here]}, {vms: []}])
    round(two)
    expect([...numbers()]).toEqual([
      [idOf('router', 0), 1],
      [idOf('router', 1), 2],
    ])
    round([{vms: [here]}, {vms: [here]}])
    expect([...numbers()]).toEqual([
      [idOf('router', 0), 1],
      [idOf('router', 1), 2],
    ])
  })

  it('for any that there were: each once, between the first and the last, kept where they may be, the lowest otherwise', () => {
    const before = fc.array(fc.tuple(fc.nat(11), fc.integer({min: 1, max: 14})), {maxLength: 12})
    fc.assert(
      fc.property(fc.integer({min: 1, max: 12}), before, (count, had) => {
        const old = new Map(had.map(([router, number]) => [idOf('router', router), number]))
        const numbers = numbersIn(all(count), had)
        const given = [...numbers.values()]
        expect(given).toHaveLength(count)
        expect(new Set(given).size).toBe(count)
        const kept = [...numbers].filter(([router, number]) => old.get(router) === number)
        const mine = [...numbers.keys()].flatMap(router => old.get(router) ?? [])
        expect(new Set(kept.map(([, number]) => number))).toEqual(new Set(mine))
        const taken = new Set(old.values())
        const fresh = given.filter(number => !mine.includes(number)).sort((a, b) => a - b)
        const free = Array.from({length: 40}, (_, n) => n + 1).filter(number => !taken.has(number))
        expect(fresh).toEqual(free.slice(0, fresh.length))
      }),
    )
  })
})

describe('the port that a leg is', () => {
  const facts = cloudOf([{vms: [here]}])
  const router = idOf('router', 0)
  const withOuter = (change: Partial<SubnetFact>): Facts => ({
    ...facts,
    subnets: facts.subnets.map(one => (one.network_id === EXTERNAL[0] ? {...one, ...change} : one)),
  })

  it('is the one of the local gateway and its network', () => {
    const others = [legPort(0, idOf('router', 7)), legPort(1, EXTERNAL[0]), legPort(2, router, 1)]
    const {gateways, spare} = ask(facts, {legs: [...others, legPort(3, router)]})
    expect(gateways[0]?.port).toEqual({
      id: idOf('leg', 3),
      mac: 'fa:16:3e:00:00:01',
      address: outside(0, 53),
      prefix: 24,
      gateway: outside(0),
    })
    expect(spare).toEqual(others.map(one => one.id))
    const shared = ask(facts, {legs: [...others, legPort(3, router)], sharing: 'per-node'})
    expect(shared.gateways[0]?.port?.id).toBe(idOf('leg', 1))
    expect(shared.spare).toContain(idOf('leg', 3))
  })

  it('is the first of two by its id, whoever was asked first; the other one is spare', () => {
    const two = [legPort(1, router), legPort(0, router)]
    for (const legs of [two, two.toReversed()])
      expect(ask(facts, {legs})).toMatchObject({
        gateways: [{port: {id: idOf('leg', 0)}}],
        spare: [idOf('leg', 1)],
      })
  })

  it('has an IPv4 address of a subnet with a gateway, be it its first or not', () => {
    const v6 = {subnet_id: idOf('subnet', 9), ip_address: '2001:db8::5'}
    const [v4] = legPort(0, router).fixed_ips
    const legs = [legPort(0, router, 0, {fixed_ips: v4 ? [v6, v4] : []})]
    const six = {id: v6.subnet_id, network_id: EXTERNAL[0], ip_version: 6, cidr: '2001:db8::/64'} as const
    const both = {...facts, subnets: [{...six, gateway_ip: '2001:db8::1'}, ...facts.subnets]}
    expect(ask(both, {legs}).gateways[0]?.port?.address).toBe(outside(0, 50))
    const none = [legPort(0, router, 0, {fixed_ips: [v6]}), legPort(1, router)]
    expect(ask(both, {legs: none})).toMatchObject({
      gateways: [{port: {id: idOf('leg', 1)}}],
      spare: [idOf('leg', 0)],
    })
  })

  it('is none without a subnet that leads out', () => {
    const legs = [legPort(0, router)]
    for (const given of [
      withOuter({gateway_ip: null}),
      withOuter({ip_version: 6}),
      {...facts, subnets: facts.subnets.slice(0, 1)},
    ])
      expect(ask(given, {legs})).toMatchObject({gateways: [{port: undefined}], spare: [idOf('leg', 0)]})
  })

  it('is spare when nobody needs it', () => {
    const legs = [legPort(0, router), legPort(1, EXTERNAL[0])]
    expect(ask(cloudOf([{vms: [there]}]), {legs})).toEqual({
      gateways: [],
      central: new Map(),
      spare: [idOf('leg', 0), idOf('leg', 1)],
    })
  })
})
