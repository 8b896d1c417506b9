import {expect, it} from '@jest/globals'
import fc from 'fast-check'

import {OsSshError} from '../../../src/errors.ts'
import type {Candidate, Nic} from '../../../src/service/planner/facts.ts'
import {
  type GateChoice,
  type Plan,
  planDirect,
  planNew,
  planReuse,
} from '../../../src/service/planner/plan.ts'

/* Which gates a plan may take at all, and which of them first. */

const nic: Nic = {network_id: 'n', address: '10.0.0.10', groups: []}
const reach = [{network_id: 'n', cidr: '10.0.0.0/24', via: null}]
const option: Candidate = {network_id: 'n', project_id: 't1', mtu: 1450, vms: 1, reach}
const plugged = {id: 'a', network_id: 'n', project_id: 't1', removing: false, idle_since: null, reach}
const limits = {attachments: 2, paths: 3}
const ways = (gates: readonly GateChoice[], zone?: string) => {
  const asker = {project_id: 't1', zone}
  return [
    () => planReuse([nic], gates, asker, limits),
    () => planNew(nic, [option], gates, asker, limits),
    () => planDirect(nic, gates, asker, limits),
  ]
}

const some = fc.record({
  id: fc.uuid(),
  project_id: fc.constantFrom('t1', 't2', 'infra'),
  scope: fc.constantFrom('project' as const, 'shared' as const),
  serves: fc.constantFrom(null, 't1', 't2'),
  zone: fc.constantFrom(null, 'a', 'b'),
  draining: fc.boolean(),
  state: fc.constantFrom('new' as const, 'ready' as const, 'down' as const),
  paths: fc.nat(4),
  held: fc.constant(new Map<string, number>()),
  attachments: fc.constantFrom([], [plugged]),
})

it('no plan takes a stranger’s gate, one that is drained, down or full', () => {
  let planned = 0
  const property = fc.property(
    fc.array(some, {maxLength: 5}),
    fc.constantFrom('a', undefined),
    (gates, zone) => {
      const mayServe = (gate: GateChoice) =>
        gate.scope === 'shared' || (gate.serves === null ? gate.project_id === 't1' : gate.serves === 't1')
      for (const way of ways(gates, zone)) {
        let plan: Plan | undefined
        try {
          plan = way()
        } catch (error) {
          expect(error).toBeInstanceOf(OsSshError)
        }
        const gate = gates.find(one => one.id === plan?.gate_id)
        if (gate === undefined) continue
        planned++
        expect([mayServe(gate), gate.draining, gate.state === 'down', gate.paths < 3]).toEqual([
          ...[true, false, false, true],
        ])
      }
    },
  )
  fc.assert(property, {numRuns: 500})
  expect(planned).toBeGreaterThan(100)
})

const gate = (id: string, change: Partial<GateChoice> = {}): GateChoice => ({
  ...{
    id,
    project_id: 'infra',
    scope: 'shared',
    state: 'ready',
    paths: 0,
    held: new Map(),
    attachments: [plugged],
  },
  ...change,
})

it.each<[string, GateChoice[]]>([
  ['near before emptier', [gate('1', {zone: 'b'}), gate('2', {zone: 'a', paths: 2})]],
  ['near or unknown before far', [gate('1', {zone: 'b'}), gate('2', {zone: null, paths: 2})]],
  [
    'the project’s own before a shared one that is near',
    [gate('1', {zone: 'a'}), gate('2', {zone: 'b', scope: 'project', serves: 't1'})],
  ],
  ['emptier among equals', [gate('1', {zone: 'a', paths: 1}), gate('2', {zone: 'a'})]],
])('%s', (_, gates) => {
  for (const order of [gates, gates.toReversed()])
    for (const way of ways(order, 'a')) expect(way()).toMatchObject({gate_id: '2'})
})

it.each([null, 'a'])('far counts for nothing where the VM’s zone is not known, beside one in %p', zone => {
  const gates = [gate('1', {zone: 'b'}), gate('2', {zone, paths: 1})]
  for (const way of ways(gates)) expect(way()).toMatchObject({gate_id: '1'})
})

it('among equals it is the same one, in whatever order they come', () => {
  for (const order of [
    ['1', '2'],
    ['2', '1'],
  ])
    for (const way of ways(order.map(id => gate(id)))) expect(way()).toMatchObject({gate_id: '1'})
})

it('one that has not been up yet is taken as well: it may be in a moment', () => {
  for (const way of ways([gate('1', {state: 'new'})])) expect(way()).toMatchObject({gate_id: '1'})
})
