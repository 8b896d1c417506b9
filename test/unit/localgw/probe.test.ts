import {beforeEach, describe, expect, it, jest} from '@jest/globals'
import {pino} from 'pino'

import {Leg} from '../../../src/localgw/agent/leg.ts'
import type {LegPort} from '../../../src/localgw/desired.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

/** Local gateways that get no answer, and those that were asked, in order. */
const silent = new Set<string>()
const asked: string[] = []

jest.unstable_mockModule('../../../src/localgw/agent/node.ts', () => ({
  answers: async ({id}: {id: string}) => {
    asked.push(id)
    return !silent.has(id)
  },
}))
const {probe} = await import('../../../src/localgw/agent/probe.ts')

const log = pino({level: 'silent'})
const idOfLeg = (n: number) => idOf('router', n)
const portOf = (n: number): LegPort => ({
  id: idOf('leg', n),
  mac: 'fa:16:3e:00:00:01',
  address: outside(0, 50),
  prefix: 24,
  gateway: outside(0),
})
/** A leg that has been heard of, or not yet. */
function leg(n: number, isUp: boolean, network: string = EXTERNAL[0]): Leg {
  const made = new Leg(idOfLeg(n), network)
  made.want({id: made.id, network, port: portOf(n), members: [memberWith(n)]}, () => 0)
  if (isUp) made.heard(true)
  return made
}
const legs = (count: number, isUp: boolean) => Array.from({length: count}, (_, n) => leg(n, isUp))
const up = (all: readonly Leg[]) => all.filter(one => one.isUp).map(one => one.id)
const ids = (...of: number[]) => of.map(idOfLeg)

beforeEach(() => {
  silent.clear()
  asked.length = 0
})

describe('legs that are in use', () => {
  it('are asked by one of them, each in its turn', async () => {
    const all = legs(3, true)
    for (let turn = 0; turn < 4; turn++) expect(await probe(all, turn, log)).toBe(false)
    expect(asked).toEqual(ids(0, 1, 2, 0))
  })

  it('stay in use when the one that got no answer gets one at the second time', async () => {
    const all = legs(2, true)
    silent.add(idOfLeg(0))
    const asking = probe(all, 0, log)
    silent.clear()
    expect(await asking).toBe(false)
    expect(up(all)).toEqual(ids(0, 1))
  })

  it('lose those alone that are silent while others are answered', async () => {
    const all = legs(4, true)
    silent.add(idOfLeg(1)).add(idOfLeg(3))
    expect(await probe(all, 1, log)).toBe(true)
    expect(up(all)).toEqual(ids(0, 2))
    // The silent one once more, and with it all the others.
    expect(asked).toEqual(ids(1, 1, 0, 2, 3))
  })

  it('are all lost when none is answered, those that were not asked as well', async () => {
    const all = legs(40, true)
    for (const one of all) silent.add(one.id)
    expect(await probe(all, 0, log)).toBe(true)
    expect(up(all)).toEqual([])
    expect(asked).toHaveLength(1 + 16)
  })

  it('of another network are not concerned, nor do they speak for this one', async () => {
    const other = leg(77, true, EXTERNAL[1])
    const here = legs(20, true)
    for (const one of here) silent.add(one.id)
    expect(await probe([other, ...here], 0, log)).toBe(true)
    expect(up([other, ...here])).toEqual([other.id])
    expect(asked.filter(id => id === other.id)).toHaveLength(1)
  })
})

describe('legs that are not in use', () => {
  it('are all asked each time: one that is new is up with its first answer', async () => {
    const all = [leg(0, true), leg(1, false), leg(2, false)]
    silent.add(idOfLeg(2))
    expect(await probe(all, 0, log)).toBe(true)
    expect(up(all)).toEqual(ids(0, 1))
    expect(asked.toSorted()).toEqual(ids(0, 1, 2))
  })

  it('are up again with the third answer when they have failed', async () => {
    const one = leg(0, true)
    one.heard(false)
    const changes = [await probe([one], 0, log), await probe([one], 1, log), await probe([one], 2, log)]
    expect([...changes, one.isUp]).toEqual([false, false, true, true])
  })

  it('are not asked without an address', async () => {
    const one = new Leg(idOfLeg(0), EXTERNAL[0])
    expect(await probe([one], 0, log)).toBe(false)
    expect([asked, one.isUp]).toEqual([[], false])
  })

  it('are asked 16 at once, and none has to wait for others that are never answered', async () => {
    const all = legs(40, false)
    for (const one of all.slice(0, 39)) silent.add(one.id)
    for (let turn = 0; turn < 40 && up(all).length === 0; turn++) {
      asked.length = 0
      await probe(all, turn, log)
      expect(new Set(asked).size).toBe(16)
      expect(asked).toHaveLength(16)
    }
    expect(up(all)).toEqual(ids(39))
  })
})

it('without legs nobody is asked, and nothing changes', async () => {
  expect(await probe([], 3, log)).toBe(false)
  expect(asked).toEqual([])
})
