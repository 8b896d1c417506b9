import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import type {Keep, LegPort, LocalGateway, Member} from '../../../src/localgw/desired.ts'
import {legDevice, MAX_MEMBERS, memberDevice, pairOf} from '../../../src/localgw/names.ts'
import {
  legRules,
  legWays,
  localRefresh,
  routerRules,
  routerWays,
  type Ways,
} from '../../../src/localgw/render.ts'
import {expectGolden} from '../../support/golden.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

const ID = EXTERNAL[0]
const port: LegPort = {
  id: idOf('leg', 0),
  mac: 'fa:16:3e:00:00:01',
  address: outside(0, 50),
  prefix: 24,
  gateway: outside(0),
}
const keeps: readonly Keep[] = [
  {address: '10.0.0.10', protocol: 'tcp', ports: [80, 80]},
  {address: '10.0.0.11', protocol: 'udp', ports: [5000, 5010]},
]
const full = memberWith(0, {locals: ['10.0.0.10', '10.0.0.11'], keeps, central: ['10.0.0.2', '10.0.1.2']})
const empty = memberWith(0, {locals: [], keeps: [], central: []})
const gatewayWith = (members: readonly Member[], change: Partial<LegPort> = {}): LocalGateway => ({
  id: ID,
  port: {...port, ...change},
  members,
})

const address = fc.ipV4()
const keep = fc.record({
  address,
  protocol: fc.constantFrom('tcp' as const, 'udp' as const),
  ports: fc.tuple(fc.integer({min: 1, max: 65_535}), fc.integer({min: 1, max: 65_535})),
})
const member: fc.Arbitrary<Member> = fc.record({
  router: fc.uuid(),
  number: fc.integer({min: 1, max: MAX_MEMBERS}),
  mtu: fc.constantFrom(1280, 1450),
  locals: fc.array(address, {maxLength: 4}),
  keeps: fc.array(keep, {maxLength: 3}),
  central: fc.array(address, {maxLength: 3}),
})
const gateway = fc
  .record({
    id: fc.uuid(),
    address,
    gateway: address,
    members: fc.uniqueArray(member, {maxLength: 6, selector: one => one.number}),
  })
  .map(({id, members, ...ends}): LocalGateway => ({id, port: {...port, ...ends}, members}))

/** All that looks like an IPv4 address. */
const addressesIn = (text: string) => text.match(/\d+\.\d+\.\d+\.\d+/g) ?? []
const linesOf = ({addresses, routes, rules}: Ways) => [...addresses, ...routes, ...rules]

/** The chains of a text: by name their hooks and rules, without comments. */
function chainsOf(text: string): Map<string, readonly string[]> {
  const plain = text.replace(/^\s*#.*$/gm, '')
  return new Map(
    [...plain.matchAll(/chain (\w+) \{([^}]*)\}/g)].map(([, name = '', body = '']) => [
      name,
      body
        .split('\n')
        .map(line => line.trim())
        .filter(line => line !== ''),
    ]),
  )
}

describe('what the kernel is told', () => {
  it('of a router: its rules and its way', () => {
    expectGolden('localgw/router.nft', routerRules(full))
    expectGolden('localgw/router-empty.nft', routerRules(empty))
    expectGolden('localgw/router.ip', `${linesOf(routerWays(full)).join('\n')}\n`)
  })

  it('of a leg: its rules and its ways', () => {
    const two = gatewayWith([full, memberWith(1)])
    expectGolden('localgw/leg.nft', legRules(two))
    expectGolden('localgw/leg.ip', `${linesOf(legWays(two)).join('\n')}\n`)
  })

  it('again and again: who is local, and nothing else', () => {
    expect(localRefresh(full)).toBe(
      'flush set ip os-ssh-lsnat local\nadd element ip os-ssh-lsnat local { 10.0.0.10, 10.0.0.11 }\n',
    )
    expect(localRefresh(empty)).toBe('flush set ip os-ssh-lsnat local\n')
  })

  it('to begin with: as much as to go on, so that a text may be told at any time', () => {
    for (const text of [routerRules(full), legRules(gatewayWith([full]))])
      expect(text).toContain(
        '\ntable ip os-ssh-lsnat\ndelete table ip os-ssh-lsnat\ntable ip os-ssh-lsnat {\n',
      )
  })
})

describe('for any members, nothing but the leg’s own address leaves by it', () => {
  const check = (
    then: (one: LocalGateway, chains: ReadonlyMap<string, readonly string[]>, device: string) => void,
  ) => fc.assert(fc.property(gateway, one => then(one, chainsOf(legRules(one)), legDevice(one.id))))

  it('the guard is there behind the translation, and lets nobody by', () => {
    check((one, chains, device) => {
      expect(chains.get('guard')).toEqual([
        'type filter hook postrouting priority 110; policy accept;',
        `oifname "${device}" ip saddr != ${one.port.address} counter name leaked drop`,
      ])
      expect(chains.get('nat')).toEqual([
        'type nat hook postrouting priority srcnat; policy accept;',
        `oifname "${device}" ip saddr != ${one.port.address} counter snat to ${one.port.address} fully-random`,
      ])
    })
  })

  it('nothing is forwarded but from a router to the leg, and the replies', () => {
    check((_, chains, device) => {
      expect(chains.get('forwarding')).toEqual([
        'type filter hook forward priority filter; policy drop;',
        `iifname "ls-*" oifname "${device}" accept`,
        `iifname "${device}" oifname "ls-*" ct state established,related accept`,
      ])
    })
  })

  it('no other rule accepts, jumps or translates', () => {
    check((_, chains) => {
      expect([...chains.keys()]).toEqual(['zones', 'way', 'forwarding', 'nat', 'guard'])
      for (const name of ['zones', 'way'])
        for (const rule of chains.get(name)?.slice(1) ?? [])
          expect(rule).toMatch(/^iifname "l[gs]-[0-9a-f-]{11}" (ct|meta) [a-z0-9 ]*set (\d+|ct mark)$/)
    })
  })

  it('every member has a zone, a mark, an address and a way of its own number', () => {
    check((one, chains, device) => {
      const each = one.members.map(
        ({router, number}) => [`iifname "${memberDevice(router)}"`, number] as const,
      )
      const [zones = [], way = []] = [chains.get('zones'), chains.get('way')]
      expect(zones.slice(1)).toEqual(each.map(([from, number]) => `${from} ct original zone set ${number}`))
      expect(way.slice(1)).toEqual([
        ...each.map(([from, number]) => `${from} ct state new ct mark set ${number}`),
        `iifname "${device}" meta mark set ct mark`,
      ])
      const {addresses, routes, rules} = legWays(one)
      for (const all of [addresses, routes, rules, zones]) expect(new Set(all).size).toBe(all.length)
      const priorities = rules.map(rule => Number(rule.split(' ')[1]))
      expect(new Set(priorities).size).toBe(2 * one.members.length)
    })
  })
})

describe('for any members, all that is told was given', () => {
  it('every address of a router’s rules', () => {
    fc.assert(
      fc.property(member, one => {
        const given = [...one.locals, ...one.central, ...one.keeps.map(kept => kept.address), '169.254.0.0']
        for (const said of addressesIn(routerRules(one))) expect(given).toContain(said)
        for (const said of addressesIn(localRefresh(one))) expect(one.locals).toContain(said)
        const pair = pairOf(one.number)
        for (const said of linesOf(routerWays(one)).flatMap(addressesIn)) expect(pair).toContain(said)
      }),
    )
  })

  it('every address of a leg’s rules and ways', () => {
    fc.assert(
      fc.property(gateway, one => {
        for (const said of addressesIn(legRules(one))) expect(said).toBe(one.port.address)
        const pairs = one.members.flatMap(({number}) => pairOf(number))
        for (const said of linesOf(legWays(one)).flatMap(addressesIn))
          expect([one.port.address, one.port.gateway, ...pairs]).toContain(said)
      }),
    )
  })

  it('a router’s rules are the same for all: only the sets and the device differ', () => {
    const bare = (one: Member) => routerRules(one).replace(/ elements = \{[^}]*\};/g, '')
    fc.assert(
      fc.property(member, one => expect(bare({...one, router: empty.router})).toBe(routerRules(empty))),
    )
  })

  it('each set has all of its own, and each its own only', () => {
    fc.assert(
      fc.property(member, one => {
        const text = routerRules(one)
        const elements = (set: string) =>
          new RegExp(`set ${set} \\{.*? elements = \\{ (.*?) \\};`).exec(text)?.[1]?.split(', ') ?? []
        expect([elements('local'), elements('central')]).toEqual([one.locals, one.central])
        expect(elements('keep')).toEqual(
          one.keeps.map(
            ({address: from, protocol, ports: [first, last]}) =>
              `${from} . ${protocol} . ${first === last ? first : `${first}-${last}`}`,
          ),
        )
      }),
    )
  })
})

describe('what is no address, and what no id, is never told', () => {
  const wrong = fc.oneof(
    fc.string({unit: 'binary', maxLength: 40}).filter(text => !/^\d+\.\d+\.\d+\.\d+$/.test(text)),
    fc.constantFrom(
      '0.0.0.0/0',
      '10.0.0.1-10.0.0.9',
      '10.0.0.1, 10.0.0.2',
      '10.0.0.1\n',
      '::1',
      '@keep',
      '10.0.0.256',
    ),
  )
  const noAddress = (bad: string) => new Error(`${JSON.stringify(bad)} is no IPv4 address`)
  const noId = (bad: string) => new Error(`${JSON.stringify(bad)} is no UUID`)

  it('an address of a router', () => {
    fc.assert(
      fc.property(wrong, bad => {
        const fault = noAddress(bad)
        const all = ['10.0.0.10', bad]
        expect(() => routerRules({...full, locals: all})).toThrow(fault)
        expect(() => routerRules({...full, central: all})).toThrow(fault)
        expect(() => routerRules({...full, keeps: [{address: bad, protocol: 'tcp', ports: [1, 1]}]})).toThrow(
          fault,
        )
        expect(() => localRefresh({locals: all})).toThrow(fault)
      }),
    )
  })

  it('the address and the gateway of a leg', () => {
    fc.assert(
      fc.property(wrong, bad => {
        const fault = noAddress(bad)
        expect(() => legRules(gatewayWith([full], {address: bad}))).toThrow(fault)
        expect(() => legWays(gatewayWith([full], {address: bad}))).toThrow(fault)
        expect(() => legWays(gatewayWith([full], {gateway: bad}))).toThrow(fault)
      }),
    )
  })

  it('the id of a router or a local gateway', () => {
    const word = fc.oneof(wrong, fc.constantFrom(`${ID}"`, `${ID}\n`, ID.slice(1), ID.toUpperCase()))
    fc.assert(
      fc.property(word, bad => {
        const fault = noId(bad)
        const member = {...full, router: bad}
        expect(() => routerRules(member)).toThrow(fault)
        expect(() => routerWays(member)).toThrow(fault)
        expect(() => legRules(gatewayWith([full, member]))).toThrow(fault)
        expect(() => legWays(gatewayWith([full, member]))).toThrow(fault)
        expect(() => legRules({...gatewayWith([full]), id: bad})).toThrow(fault)
        expect(() => legWays({...gatewayWith([full]), id: bad})).toThrow(fault)
      }),
    )
  })

  it.each([0, MAX_MEMBERS + 1, 1.5])('a number that is none: %d', number => {
    const fault = new Error(`${number} is no number of a member`)
    expect(() => routerWays({...full, number})).toThrow(fault)
    expect(() => legWays(gatewayWith([{...full, number}]))).toThrow(fault)
  })
})
