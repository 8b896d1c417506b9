import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {Leg} from '../../../src/localgw/agent/leg.ts'
import type {Seen} from '../../../src/localgw/agent/node.ts'
import type {Wanted} from '../../../src/localgw/desire.ts'
import type {LegPort} from '../../../src/localgw/desired.ts'
import {legDevice, memberDevice, routerDevice} from '../../../src/localgw/names.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

const ID = EXTERNAL[0]
const [ONE, TWO] = [idOf('router', 0), idOf('router', 1)]
const port: LegPort = {
  id: idOf('leg', 0),
  mac: 'fa:16:3e:00:00:01',
  address: outside(0, 50),
  prefix: 24,
  gateway: outside(0),
}
const want = (members: readonly number[], change: Partial<Wanted> = {}): Wanted => ({
  id: ID,
  network: ID,
  port,
  members: members.map(n => memberWith(n)),
  ...change,
})
const LATER = Number.POSITIVE_INFINITY
const legWith = (members: readonly number[], change?: Partial<Wanted>) => {
  const leg = new Leg(ID, ID)
  leg.want(want(members, change), () => LATER)
  return leg
}
/** What the leg thinks after each of these answers. */
const heard = (leg: Leg, ...answers: boolean[]) =>
  answers.map(answer => {
    leg.heard(answer)
    return leg.isUp
  })
const localsOf = ({gateway}: Leg) => gateway?.members.map(member => [member.router, member.locals.length])

describe('what is heard of the way out', () => {
  it('one answer is enough at first, however long nobody answered', () => {
    expect(heard(legWith([0]), true)).toEqual([true])
    expect(heard(legWith([0]), false, false, false, true)).toEqual([false, false, false, true])
  })

  it('one silence is enough to be down', () => {
    expect(heard(legWith([0]), true, true, true, true, false)).toEqual([true, true, true, true, false])
  })

  it('three answers in a row bring it up again, and a silence between them begins the count anew', () => {
    const leg = legWith([0])
    expect(heard(leg, true, false)).toEqual([true, false])
    expect(heard(leg, true, true, false)).toEqual([false, false, false])
    expect(heard(leg, true, true, true)).toEqual([false, false, true])
    expect(heard(leg, false, true, true, true)).toEqual([false, false, false, true])
  })

  it('tells whether that makes a difference', () => {
    const leg = legWith([0])
    const answers = [false, true, true, false, false, true, true, true]
    expect(answers.map(answer => leg.heard(answer))).toEqual([
      false,
      true,
      false,
      true,
      false,
      false,
      false,
      true,
    ])
  })

  it('for any answers: up after a silence only behind three in a row', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), {maxLength: 30}), answers => {
        const up = heard(legWith([0]), ...answers)
        const first = answers.indexOf(true)
        up.forEach((isUp, at) => {
          const last = answers.lastIndexOf(false, at)
          const inRow = at - last
          // Before the first answer ever, and of it, there is no failure to speak of.
          const hadFailed = first >= 0 && last > first
          expect(isUp).toBe(inRow > 0 && (hadFailed ? inRow >= 3 : at >= first && first >= 0))
        })
      }),
    )
  })
})

describe('states', () => {
  const stateOf = (leg: Leg) => leg.states().map(([, state]) => state)

  it('no-address, probing, waiting, local, fallback, local', () => {
    const leg = legWith([0], {port: undefined})
    expect(stateOf(leg)).toEqual(['no-address'])
    leg.want(want([0]), () => LATER)
    expect(stateOf(leg)).toEqual(['probing'])
    heard(leg, false)
    expect(stateOf(leg)).toEqual(['probing'])
    heard(leg, true)
    expect(stateOf(leg)).toEqual(['waiting'])
    leg.told.set(ONE, 'its rules')
    expect(stateOf(leg)).toEqual(['local'])
    heard(leg, false, true)
    expect(stateOf(leg)).toEqual(['fallback'])
    heard(leg, true, true)
    expect(stateOf(leg)).toEqual(['local'])
  })

  it('are of each router: one that has no VM any more drains, the others stay as they are', () => {
    const leg = legWith([0, 1])
    for (const router of [ONE, TWO]) leg.told.set(router, 'its rules')
    heard(leg, true)
    leg.want(want([1]), () => LATER)
    expect(leg.states()).toEqual([
      [TWO, 'local'],
      [ONE, 'draining'],
    ])
    leg.want(want([0, 1]), () => LATER)
    expect(Object.fromEntries(leg.states())).toEqual({[ONE]: 'local', [TWO]: 'local'})
  })
})

describe('who is told to be local', () => {
  it('nobody while there is no address', () => {
    const leg = legWith([0], {port: undefined})
    heard(leg, true)
    expect(leg.gateway).toBeUndefined()
  })

  it('nobody while the way out is not known to work', () => {
    const leg = legWith([0, 1])
    const nobody = [
      [ONE, 0],
      [TWO, 0],
    ]
    expect(localsOf(leg)).toEqual(nobody)
    heard(leg, true)
    expect(localsOf(leg)).toEqual([
      [ONE, 1],
      [TWO, 1],
    ])
    heard(leg, false)
    expect(localsOf(leg)).toEqual(nobody)
    heard(leg, true, true)
    expect(localsOf(leg)).toEqual(nobody)
  })

  it('not one that drains: its way stays, with its number, and nobody begins there', () => {
    const leg = legWith([0, 1])
    heard(leg, true)
    leg.want(want([1]), router => (router === ONE ? 77 : 0))
    expect(leg.gateway?.members).toEqual([memberWith(0, {locals: []}), memberWith(1)])
    expect(leg.draining.get(ONE)?.until).toBe(77)
    expect(leg.members.has(ONE)).toBe(false)
  })

  it('one that drains and comes back is local at once, with what it is now', () => {
    const leg = legWith([0])
    heard(leg, true)
    leg.want(want([]), () => LATER)
    expect(localsOf(leg)).toEqual([[ONE, 0]])
    const member = memberWith(0, {locals: ['10.0.0.77']})
    leg.want(want([], {members: [member]}), () => LATER)
    expect(leg.draining.size).toBe(0)
    expect(leg.gateway?.members).toEqual([member])
  })

  it('a second look at one that drains does not give it more time', () => {
    const leg = legWith([0])
    leg.want(want([]), () => 100)
    leg.want(want([]), () => 200)
    expect(leg.draining.get(ONE)?.until).toBe(100)
  })
})

describe('another port', () => {
  const told = (leg: Leg) => {
    leg.told.set(ONE, 'all')
    leg.toldLeg = 'all'
    heard(leg, true)
    return leg
  }

  it.each<[string, LegPort | undefined]>([
    ['one with another id', {...port, id: idOf('leg', 1)}],
    ['none', undefined],
  ])('%s: all that was told and heard is forgotten', (_, other) => {
    const leg = told(legWith([0]))
    leg.want(want([0], {port: other}), () => LATER)
    expect([leg.told.size, leg.toldLeg, leg.isUp]).toEqual([0, undefined, false])
    // Nor has this one failed: one answer is enough.
    expect(heard(leg, true)).toEqual([true])
  })

  it('the same one: nothing is forgotten', () => {
    const leg = told(legWith([0]))
    leg.want(want([0], {port: {...port}}), () => LATER)
    expect([leg.told.get(ONE), leg.toldLeg, leg.isUp]).toEqual(['all', 'all', true])
  })

  it('a leg made anew has to be heard of again', () => {
    const leg = told(legWith([0]))
    heard(leg, false)
    leg.unproven()
    expect(leg.states()).toEqual([[ONE, 'probing']])
    expect(heard(leg, true)).toEqual([true])
  })
})

describe('what is there', () => {
  const whole: Seen = {
    routers: new Map([[ONE, {devices: ['lo', routerDevice(ONE)], hasTable: true}]]),
    legs: new Map([[ID, {devices: ['lo', legDevice(ID), memberDevice(ONE)], hasTable: true}]]),
    strays: [],
  }
  const leg = legWith([0])

  it('the leg is whole when its device is in its namespace and not outside as well', () => {
    expect(leg.isWhole(whole)).toBe(true)
    expect(leg.isWhole({...whole, strays: [legDevice(TWO)]})).toBe(true)
    expect(leg.isWhole({...whole, strays: [legDevice(ID)]})).toBe(false)
    expect(
      leg.isWhole({...whole, legs: new Map([[ID, {devices: ['lo', memberDevice(ONE)], hasTable: true}]])}),
    ).toBe(false)
    expect(leg.isWhole({...whole, legs: new Map([[ID, {devices: [legDevice(ID)], hasTable: false}]])})).toBe(
      false,
    )
    expect(leg.isWhole({...whole, legs: new Map()})).toBe(false)
  })

  it('a member is there with both ends of its link and its table', () => {
    expect(leg.hasMember(whole, ONE)).toBe(true)
    expect(leg.hasMember(whole, TWO)).toBe(false)
    const router = (change: object) => ({
      ...whole,
      routers: new Map([[ONE, {devices: [routerDevice(ONE)], hasTable: true, ...change}]]),
    })
    expect(leg.hasMember(router({}), ONE)).toBe(true)
    expect(leg.hasMember(router({hasTable: false}), ONE)).toBe(false)
    expect(leg.hasMember(router({devices: ['lo']}), ONE)).toBe(false)
    expect(
      leg.hasMember({...whole, legs: new Map([[ID, {devices: [legDevice(ID)], hasTable: true}]])}, ONE),
    ).toBe(false)
  })
})
