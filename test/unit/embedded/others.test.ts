import {expect, it} from '@jest/globals'
import fc from 'fast-check'

import {comesFirst, otherServices} from '../../../src/embedded/others.ts'
import type {Server} from '../../../src/openstack/index.ts'
import {machineMetadata} from '../../../src/service/deploy/names.ts'

/* Gates of somebody else in one's project. */

const gate = (service: string, name: string, created: string, by: string) =>
  ({name, created, metadata: machineMetadata(service, {id: name, name}, by)}) as unknown as Server
const vm = {name: 'web', created: '2026-01-01T00:00:00Z', metadata: {'os-ssh': 'mine'}} as unknown as Server

const found = (...servers: Server[]) =>
  otherServices({compute: {servers: async () => servers}} as never, 'mine')

it('are found by what is written on them, whoever made them, and one’s own are none', async () => {
  const [first, later] = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z']
  expect(
    await found(
      vm,
      gate('mine', 'm', first, 'alice on one'),
      gate('theirs', 'b', later, 'bob on two'),
      gate('theirs', 'a', first, 'bob on two'),
      gate('third', 'c', later, 'carol on three'),
    ),
  ).toEqual([
    {id: 'theirs', by: 'bob on two', servers: ['b', 'a'], since: first},
    {id: 'third', by: 'carol on three', servers: ['c'], since: later},
  ])
})

it('what they say of themselves is shown harmlessly', async () => {
  const [one, other] = await found(
    gate('theirs', 'n\u001b[31m', '', `\u001b]0;x\u0007${'l'.repeat(500)}`),
    gate('third', 'c', '', ''),
  )
  expect(JSON.stringify(one?.servers)).toBe('["n\\\\u001b[31m"]')
  expect(one?.by).toMatch(/^\\u001b\]0;x\\u0007l+…$/)
  expect(one?.by.length).toBeLessThanOrEqual(100)
  expect(other?.by).toBe('somebody')
})

it('of two that were begun at once both say the same one stays', () => {
  const one = fc.record({
    id: fc.uuid(),
    since: fc.constantFrom('', '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
  })
  fc.assert(
    fc.property(one, one, (a, b) => {
      expect(comesFirst(a, b) !== comesFirst(b, a)).toBe(a.id !== b.id || a.since !== b.since)
    }),
  )
  fc.assert(
    fc.property(one, one, one, (a, b, c) => {
      if (comesFirst(a, b) && comesFirst(b, c)) expect(comesFirst(a, c)).toBe(true)
    }),
  )
})
