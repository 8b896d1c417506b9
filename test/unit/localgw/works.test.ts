import {beforeEach, describe, expect, it, jest} from '@jest/globals'
import {pino} from 'pino'

import type {Plugged, Seen} from '../../../src/localgw/agent/node.ts'
import type {Errand, Visitor} from '../../../src/localgw/agent/visitor.ts'
import type {Desire, Wanted} from '../../../src/localgw/desire.ts'
import type {LegPort, LocalGateway, Member} from '../../../src/localgw/desired.ts'
import {legDevice, memberDevice, routerDevice} from '../../../src/localgw/names.ts'
import {localRefresh} from '../../../src/localgw/render.ts'
import {OpenStackError} from '../../../src/openstack/index.ts'
import type {Reason} from '../../../src/snat/reasons.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

/* What the kernel and Neutron are told, and in which order; the node itself is played here. */

const told: string[] = []
const broken = new Set<string>()
let plugs: Plugged[] = []
/** Whose links the leg was told of last. */
let joined = ''
const short = (id: string) => id.slice(0, 8)
const locals = (members: readonly Member[]) => members.map(one => one.locals.join('+') || '-').join(' ')
jest.unstable_mockModule('../../../src/localgw/agent/node.ts', () => ({
  plugged: async () => plugs,
  applyNamespace: async (id: string) => void told.push(`namespace ${short(id)}`),
  applyMember: async (_: Visitor, __: Seen, {id}: LocalGateway, member: Member) => {
    if (broken.has(member.router)) throw new Error('nft says no')
    told.push(`member ${short(member.router)} of ${short(id)}: ${locals([member])}`)
  },
  applyLeg: async (_: Visitor, __: Seen, {id, members}: LocalGateway, isKnown: boolean) => {
    told.push(`leg ${short(id)}${isKnown ? ', its rules are known' : ''}`)
    joined = members.map(one => short(one.router)).join(' ')
  },
  dropLink: async (router: string) => void told.push(`no link of ${short(router)}`),
  dropLeg: async (id: string) => void told.push(`no leg ${short(id)}`),
  dropRules: async (_: Visitor, router: string) => void told.push(`no rules of ${short(router)}`),
}))
const {Works} = await import('../../../src/localgw/agent/works.ts')

const NETWORK = EXTERNAL[0]
const router = (n: number) => idOf('router', n)
const [R0, R1, LEG] = [short(router(0)), short(router(1)), short(NETWORK)]
const port: LegPort = {
  id: idOf('leg', 0),
  mac: 'fa:16:3e:00:00:01',
  address: outside(0, 50),
  prefix: 24,
  gateway: outside(0),
}
const member = (n: number): Member => memberWith(n, {locals: [`10.0.0.${10 + n}`]})
/** One leg for all routers of the node. */
const wish = (members: readonly Member[], change: Partial<Wanted> = {}): Desire => ({
  gateways: [{id: NETWORK, network: NETWORK, port, members, ...change}],
  central: new Map(),
  spare: [],
})
const nothing = (central: [string, Reason][] = []): Desire => ({
  gateways: [],
  central: new Map(central),
  spare: [],
})
/** A node where these routers are, and those of them that have a local way. */
function node(routers: readonly number[], made: readonly number[] = []): Seen {
  const inside = ['lo', legDevice(NETWORK), ...made.map(n => memberDevice(router(n)))]
  const space = (n: number) =>
    made.includes(n)
      ? {devices: ['qr-1', routerDevice(router(n))], hasTable: true}
      : {devices: ['qr-1'], hasTable: false}
  return {
    routers: new Map(routers.map(n => [router(n), space(n)])),
    legs: new Map(made.length > 0 ? [[NETWORK, {devices: inside, hasTable: true}]] : []),
    strays: [],
  }
}

const addresses: unknown[] = []
let refusal: OpenStackError | undefined
const network = {
  createPort: async (wanted: unknown) => {
    addresses.push(wanted)
    if (refusal) throw refusal
  },
} as never
const visitor = {
  visit: async (errands: readonly Errand[]) => {
    for (const [namespace, text] of errands)
      told.push(`${namespace.slice(0, 16)} ${text === localRefresh({locals: []}) ? 'has none' : text}`)
    return []
  },
} as unknown as Visitor
const make = (grace = 300) =>
  new Works({network, host: 'compute1', log: pino({level: 'silent'}), grace, visitor})
const alive = () => {}
/** What was told since the last time. */
const heard = () => told.splice(0)

beforeEach(() => {
  jest.useFakeTimers()
  told.length = 0
  addresses.length = 0
  broken.clear()
  plugs = []
  refusal = undefined
})

describe('a local way is made', () => {
  it('leg and rules first, and nobody is local', async () => {
    await make().round(wish([member(0)]), node([0]), alive)
    expect(heard()).toEqual([`namespace ${LEG}`, `member ${R0} of ${LEG}: -`, `leg ${LEG}`])
  })

  it('a router that comes to a leg in use is nobody’s before the leg knows it, and the others stay local', async () => {
    const works = make()
    await works.round(wish([member(0)]), node([0]), alive)
    works.legs.get(NETWORK)?.heard(true)
    heard()
    await works.round(wish([member(0), member(1)]), node([0, 1], [0]), alive)
    expect(heard()).toEqual([`member ${R1} of ${LEG}: -`, `leg ${LEG}`])
    expect(locals(works.members)).toBe('10.0.0.10 10.0.0.11')
  })

  it('a router without a namespace keeps nobody waiting, and is joined when it has one', async () => {
    const works = make()
    await works.round(wish([member(0), member(1)]), node([0]), alive)
    expect(heard()).toEqual([`namespace ${LEG}`, `member ${R0} of ${LEG}: -`, `leg ${LEG}`])
    expect(joined).toBe(R0)
    works.legs.get(NETWORK)?.heard(true)
    const states = () =>
      works.legs
        .get(NETWORK)
        ?.states()
        .map(([, state]) => state)
    expect(states()).toEqual(['local', 'waiting'])
    await works.round(wish([member(0), member(1)]), node([0, 1], [0]), alive)
    expect(heard()).toEqual([`member ${R1} of ${LEG}: -`, `leg ${LEG}`])
    expect(joined).toBe(`${R0} ${R1}`)
    expect(states()).toEqual(['local', 'local'])
    await works.round(wish([member(0), member(1)]), node([0], [0]), alive)
    expect(states()).toEqual(['local', 'waiting'])
  })

  it('told again is one router a round, and its leg without the rules that count', async () => {
    const works = make()
    const [all, seen] = [wish([member(0), member(1)]), node([0, 1], [0, 1])]
    await works.round(all, node([0, 1]), alive)
    heard()
    const leg = `leg ${LEG}, its rules are known`
    await works.round(all, seen, alive)
    expect(heard()).toEqual([`member ${R1} of ${LEG}: -`, leg])
    await works.round(all, seen, alive)
    expect(heard()).toEqual([`member ${R0} of ${LEG}: -`, leg])
  })

  it('what is not there any more is told at once, and has to prove itself again', async () => {
    const works = make()
    await works.round(wish([member(0)]), node([0]), alive)
    works.legs.get(NETWORK)?.heard(true)
    heard()
    await works.round(wish([member(0)]), node([0]), alive)
    expect(heard()).toEqual([
      `namespace ${LEG}`,
      `member ${R0} of ${LEG}: -`,
      `leg ${LEG}, its rules are known`,
    ])
    expect(works.legs.get(NETWORK)?.isUp).toBe(false)
  })

  it('a router whose namespace is not there yet is left for later', async () => {
    await make().round(wish([member(0), member(1)]), node([0]), alive)
    expect(heard().filter(line => line.startsWith('member'))).toEqual([`member ${R0} of ${LEG}: -`])
  })

  it('a fault in one does not keep the others waiting', async () => {
    const own = (n: number) => ({...wish([member(n)]).gateways[0], id: router(n)}) as Wanted
    broken.add(router(0))
    await make().round({...nothing(), gateways: [own(0), own(1)]}, node([0, 1]), alive)
    expect(heard()).toContain(`leg ${R1}`)
  })
})

describe('an address', () => {
  const none = wish([member(0)], {port: undefined})
  it('is asked for, bound to the node, and nothing is made without it', async () => {
    expect(await make().round(none, node([0]), alive)).toBe(true)
    expect(addresses).toEqual([
      {
        ...{network_id: NETWORK, device_owner: 'network:local_snat', device_id: NETWORK},
        ...{'binding:host_id': 'compute1', name: 'os-ssh-lsnat'},
      },
    ])
    expect(heard()).toEqual([])
  })

  it('that is refused is asked for again after a minute, and not before', async () => {
    refusal = new OpenStackError('exhausted', 'no more')
    const works = make()
    expect(await works.round(none, node([0]), alive)).toBe(false)
    jest.advanceTimersByTime(59_000)
    await works.round(none, node([0]), alive)
    expect(addresses).toHaveLength(1)
    jest.advanceTimersByTime(2000)
    await works.round(none, node([0]), alive)
    expect(addresses).toHaveLength(2)
    expect(works.legs.get(NETWORK)?.states()).toEqual([[router(0), 'no-address']])
  })
})

describe('a local way goes', () => {
  async function made(grace?: number) {
    const works = make(grace)
    await works.round(wish([member(0)]), node([0]), alive)
    await works.round(wish([member(0)]), node([0], [0]), alive)
    works.legs.get(NETWORK)?.heard(true)
    heard()
    return works
  }
  const gone = [`qrouter-${R0} has none`, `no link of ${R0}`, `no leg ${LEG}`]

  it('after its time, when the last VM has left; nobody is local from the first moment', async () => {
    const works = await made(300)
    await works.round(nothing(), node([0], [0]), alive)
    expect(heard().filter(line => line.startsWith('no'))).toEqual([])
    expect(locals(works.members)).toBe('-')
    jest.advanceTimersByTime(299_000)
    await works.round(nothing(), node([0], [0]), alive)
    expect(heard().filter(line => line.startsWith('no'))).toEqual([])
    jest.advanceTimersByTime(2000)
    await works.round(nothing(), node([0], [0]), alive)
    expect(heard()).toEqual(gone)
  })

  it('at once, when the router may not leave locally any more', async () => {
    const works = await made(300)
    await works.round(nothing([[router(0), 'no-snat']]), node([0], [0]), alive)
    expect(heard()).toEqual(gone)
  })

  it('at once, when its namespace is gone: the router was deleted, or Neutron has taken it off the node', async () => {
    const works = await made(300)
    await works.round(nothing(), node([0], [0]), alive)
    heard()
    await works.round(nothing(), {...node([0], [0]), routers: new Map()}, alive)
    expect(heard()).toEqual(gone)
  })

  it('and comes back as if nothing had been, when a VM does', async () => {
    const works = await made(300)
    await works.round(nothing(), node([0], [0]), alive)
    jest.advanceTimersByTime(200_000)
    await works.round(wish([member(0)]), node([0], [0]), alive)
    jest.advanceTimersByTime(200_000)
    heard()
    await works.round(wish([member(0)]), node([0], [0]), alive)
    expect(heard().filter(line => line.startsWith('no'))).toEqual([])
    expect(locals(works.members)).toBe('10.0.0.10')
  })

  it('its rules stay five minutes more: they end what is left of its flows', async () => {
    const works = await made(0)
    const seen: Seen = {...node([0]), routers: new Map([[router(0), {devices: ['qr-1'], hasTable: true}]])}
    await works.round(nothing(), node([0], [0]), alive)
    expect(heard()).toEqual(gone)
    jest.advanceTimersByTime(299_000)
    await works.round(nothing(), seen, alive)
    expect(heard()).toEqual([])
    jest.advanceTimersByTime(2000)
    await works.round(nothing(), seen, alive)
    expect(heard()).toEqual([`no rules of ${R0}`])
  })
})

describe('another network', () => {
  const OTHER = EXTERNAL[1]
  const NEXT = short(OTHER)

  it('a leg that is another port is made anew', async () => {
    const works = make()
    await works.round(wish([member(0)]), node([0]), alive)
    works.legs.get(NETWORK)?.heard(true)
    heard()
    const moved = wish([member(0)], {port: {...port, id: idOf('leg', 7)}})
    expect(await works.round(moved, node([0], [0]), alive)).toBe(true)
    expect(heard()).toEqual([`no leg ${LEG}`])
    expect(locals(works.members)).toBe('-')
    await works.round(moved, node([0]), alive)
    expect(heard()).toEqual([`namespace ${LEG}`, `member ${R0} of ${LEG}: -`, `leg ${LEG}`])
  })

  it('a leg whose port somebody has deleted goes, and another address is asked for', async () => {
    const works = make()
    await works.round(wish([member(0)]), node([0]), alive)
    heard()
    const none = wish([member(0)], {port: undefined})
    expect(await works.round(none, node([0], [0]), alive)).toBe(true)
    expect(heard()).toEqual([`qrouter-${R0} has none`, `no link of ${R0}`, `no leg ${LEG}`])
    await works.round(none, node([0]), alive)
    expect(addresses).toHaveLength(1)
  })

  it('a router that has moved to another leg is not taken back by the one before', async () => {
    const works = make()
    await works.round(wish([member(0)]), node([0]), alive)
    heard()
    const moved = wish([member(0)], {id: OTHER, network: OTHER, port: {...port, id: idOf('leg', 7)}})
    for (let round = 0; round < 3; round++) await works.round(moved, node([0], [0]), alive)
    const said = heard()
    expect(said.filter(line => line.startsWith('member'))).toEqual(
      Array(3).fill(`member ${R0} of ${NEXT}: -`),
    )
    expect(said).toContain(`no leg ${LEG}`)
    expect([...works.legs.keys()]).toEqual([OTHER])
  })
})

describe('what an agent before has left', () => {
  it('goes: links, legs, also those that only OVS knows, and later rules', async () => {
    plugs = [{device: 'lg-x', gateway: router(3), port: idOf('leg', 3)}]
    await make().round(nothing(), node([0], [0]), alive)
    expect(heard()).toEqual([
      `qrouter-${R0} has none`,
      `no link of ${R0}`,
      `no leg ${LEG}`,
      `no leg ${short(router(3))}`,
    ])
  })

  it('stays, when it is what shall be', async () => {
    plugs = [{device: legDevice(NETWORK), gateway: NETWORK, port: port.id}]
    await make().round(wish([member(0)]), node([0], [0]), alive)
    expect(heard().filter(line => line.startsWith('no'))).toEqual([])
  })

  it('is made anew, when its leg is another port', async () => {
    plugs = [{device: legDevice(NETWORK), gateway: NETWORK, port: idOf('leg', 9)}]
    await make().round(wish([member(0)]), node([0], [0]), alive)
    expect(heard()).toContain(`no leg ${LEG}`)
  })
})
