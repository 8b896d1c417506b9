import {expect, it} from '@jest/globals'

import {contains, normalized, overlap} from '../../../src/service/planner/prefix.ts'
import {renewed} from '../../../src/service/planner/reach.ts'

/* Prefixes, and what an attachment reaches when something new is known of it. */

it.each<[string, string, boolean]>([
  ['10.0.0.0/24', '10.0.0.255', true],
  ['10.0.0.0/24', '10.0.1.0', false],
  ['0.0.0.0/0', '192.0.2.1', true],
  ['0.0.0.0/0', 'fd00::1', false],
  ['::/0', '192.0.2.1', false],
  ['fd00::/64', 'fd00::ffff', true],
])('%s has %s: %p', (prefix, address, is) => {
  expect(contains(prefix, address)).toBe(is)
})

it.each<[string, string, boolean]>([
  ['10.0.0.0/24', '10.0.0.128/25', true],
  ['10.0.0.0/24', '10.0.1.0/24', false],
  ['10.0.0.0/8', '10.200.0.0/16', true],
  ['0.0.0.0/0', 'fd00::/64', false],
])('%s and %s overlap: %p', (a, b, is) => {
  expect([overlap(a, b), overlap(b, a)]).toEqual([is, is])
})

it.each([
  ['10.0.0.77/24', '10.0.0.0/24'],
  ['fd00:0:0:0::5/64', 'fd00::/64'],
])('%s is spelt %s', (prefix, one) => {
  expect(normalized(prefix)).toBe(one)
})

const link = (cidr: string) => ({network_id: 'n', cidr, via: null})
const way = (network_id: string, cidr: string, via = '10.0.0.1') => ({network_id, cidr, via})
const was = [link('10.0.0.0/24'), way('a', '10.1.0.0/24'), way('b', '10.2.0.0/24')]

it('an owner’s new ways come behind those that paths use, instead of the old ones to the same network', () => {
  const now = [link('10.0.0.0/24'), link('10.9.0.0/24'), way('a', '10.1.0.0/24', '10.0.0.2')]
  expect(renewed(was, now, {target: 'a', byOwner: true})).toEqual([
    ...[link('10.0.0.0/24'), link('10.9.0.0/24')],
    ...[way('b', '10.2.0.0/24'), way('a', '10.1.0.0/24', '10.0.0.2')],
  ])
})

it('no new way takes over what a path goes by', () => {
  const now = [link('10.0.0.0/24'), way('c', '10.2.0.0/25', '10.0.0.66')]
  expect(renewed(was, now, {target: 'c', byOwner: true})).toEqual(was)
})

it('whoever does not own the network says what is on the link, and nothing of routers', () => {
  const now = [
    link('10.9.0.0/24'),
    way('a', '10.1.0.0/24', '10.9.0.66'),
    way('c', '10.3.0.0/24', '10.9.0.66'),
  ]
  expect(renewed(was, now, {target: 'a', byOwner: false})).toEqual([link('10.9.0.0/24'), was[1], was[2]])
})
