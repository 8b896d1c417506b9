import {describe, expect, it} from '@jest/globals'

import {foresee} from '../../../src/localgw/agent/foresee.ts'
import type {Seen} from '../../../src/localgw/agent/node.ts'
import type {Desire, Wanted} from '../../../src/localgw/desire.ts'
import {legDevice, memberDevice, routerDevice} from '../../../src/localgw/names.ts'
import {REASONS, type Reason} from '../../../src/snat/reasons.ts'
import {EXTERNAL, idOf, memberWith, outside} from '../../support/localgw.ts'

const ID = EXTERNAL[0]
const [ONE, TWO] = [idOf('router', 0), idOf('router', 1)]
const gateway: Wanted = {
  id: ID,
  network: ID,
  port: {
    id: idOf('leg', 0),
    mac: 'fa:16:3e:00:00:01',
    address: outside(0, 50),
    prefix: 24,
    gateway: outside(0),
  },
  members: [memberWith(0, {locals: ['10.0.0.10', '10.0.0.11']}), memberWith(1)],
}
const NOTHING: Desire = {gateways: [], central: new Map(), spare: []}
const EMPTY: Seen = {routers: new Map(), legs: new Map(), strays: []}
const wish = (change: Partial<Wanted> = {}): Desire => ({...NOTHING, gateways: [{...gateway, ...change}]})
const whole: Seen = {
  ...EMPTY,
  routers: new Map([ONE, TWO].map(id => [id, {devices: ['lo', 'qr-1', routerDevice(id)], hasTable: true}])),
  legs: new Map([
    [ID, {devices: ['lo', legDevice(ID), memberDevice(ONE), memberDevice(TWO)], hasTable: true}],
  ]),
}

it('nothing when all is as it shall be, or nothing is and nothing shall be', () => {
  expect(foresee(wish(), whole)).toEqual([])
  expect(foresee(NOTHING, EMPTY)).toEqual([])
  const plain = new Map([[ONE, {devices: ['lo', 'qr-1'], hasTable: false}]])
  expect(foresee(NOTHING, {...EMPTY, routers: plain})).toEqual([])
})

describe('what is missing', () => {
  it('all of it, and an address', () => {
    expect(foresee(wish({port: undefined}), EMPTY)).toEqual([
      `take an address of network ${ID} for local gateway ${ID}`,
      `make local gateway ${ID}`,
      `let 10.0.0.10, 10.0.0.11 of router ${ONE} leave by it`,
      `let 10.0.0.10 of router ${TWO} leave by it`,
    ])
  })

  it('all but the address', () => {
    expect(foresee(wish(), EMPTY)[0]).toBe(`make local gateway ${ID}, ${outside(0, 50)}`)
  })

  it('a member', () => {
    const legs = new Map([[ID, {devices: [legDevice(ID), memberDevice(TWO)], hasTable: true}]])
    expect(foresee(wish(), {...whole, legs})).toEqual([
      `let 10.0.0.10, 10.0.0.11 of router ${ONE} leave by it`,
    ])
  })

  it('the device of a leg, or a router’s table', () => {
    const legs = new Map([[ID, {devices: [memberDevice(ONE), memberDevice(TWO)], hasTable: true}]])
    expect(foresee(wish(), {...whole, legs})).toEqual([`make local gateway ${ID}, ${outside(0, 50)}`])
    const bare = {devices: ['lo', 'qr-1', routerDevice(TWO)], hasTable: false}
    expect(foresee(wish(), {...whole, routers: new Map([...whole.routers, [TWO, bare]])})).toEqual([
      `let 10.0.0.10 of router ${TWO} leave by it`,
    ])
  })
})

describe('what is too much', () => {
  it('a member', () => {
    expect(foresee(wish({members: [memberWith(0)]}), whole)).toEqual([`let router ${TWO} leave centrally`])
  })

  it('a local gateway with all its members', () => {
    expect(foresee(NOTHING, whole)).toEqual([
      `let router ${ONE} leave centrally`,
      `let router ${TWO} leave centrally`,
      `remove local gateway ${ID}`,
    ])
  })

  it('a port', () => {
    expect(foresee({...NOTHING, spare: [idOf('leg', 3)]}, EMPTY)).toEqual([
      `give back the address of port ${idOf('leg', 3)}`,
    ])
  })
})

it.each(Object.keys(REASONS) as Reason[])('a router that stays central is told, and why: %s', reason => {
  expect(foresee({...NOTHING, central: new Map([[ONE, reason]])}, EMPTY)).toEqual([
    `leave router ${ONE} central: ${REASONS[reason]}`,
  ])
})
