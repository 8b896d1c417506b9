import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {gatesConfig} from '../../../src/service/deploy/config.ts'
import {type Care, care, isExpected, room, verdict, wishOf} from '../../../src/service/deploy/policy.ts'
import type {MachineState} from '../../../src/service/store/lifecycle.ts'

/* How many gates there shall be, and what is done with one that has gone silent: tables, and any order of events. */

const NOW = 10_000_000
const machine = (state: MachineState, change: object = {}) => ({
  ...{state, scope: 'project' as const, serves: null as string | null, zone: 'a' as string | null},
  ...{since: 0, created_at: 0, reason: null as string | null, ...change},
})
type Row = ReturnType<typeof machine>
const limits = {max: 4, perZone: 2, perProject: 1, scope: 'project'} as const
const need = {zone: 'a', serves: null}

describe('may a gate be deployed?', () => {
  const no = (why: string) => ({no: why})
  it.each<[string, Row[], object, unknown]>([
    ['there is none', [], {}, {deploy: true}],
    ['one is wanted', [machine('wanted', {created_at: 7})], {}, {booting: 7}],
    ['one boots', [machine('booting', {created_at: 8})], {}, {booting: 8}],
    [
      'one boots elsewhere, for somebody else',
      [machine('booting', {zone: 'b', serves: 't'})],
      {},
      {deploy: true},
    ],
    [
      'one boots here, for somebody else',
      [machine('booting', {serves: 't', created_at: 9})],
      {},
      {booting: 9},
    ],
    ['the project has one', [machine('running')], {}, no('the project has its 1 gates (gates.per_project)')],
    [
      'the project has one elsewhere',
      [machine('running', {zone: 'b'})],
      {},
      no('the project has its 1 gates (gates.per_project)'),
    ],
    ['another project has one', [machine('running', {serves: 't'})], {}, {deploy: true}],
    ['its own one is shared', [machine('running', {scope: 'shared'})], {}, {deploy: true}],
    [
      'the zone is full of it',
      [machine('running'), machine('running')],
      {perProject: 3},
      no('the zone has its 2 gates (gates.per_zone)'),
    ],
    [
      'the zone is full of others',
      [machine('running', {serves: 't'}), machine('running', {serves: 'u'})],
      {},
      no('the zone has its 2 gates (gates.per_zone)'),
    ],
    [
      'other zones are full',
      [machine('running', {zone: 'b', serves: 't'}), machine('running', {zone: 'b', serves: 'u'})],
      {},
      {deploy: true},
    ],
    [
      'all are shared: projects do not count',
      [machine('running', {scope: 'shared'})],
      {scope: 'shared'},
      {deploy: true},
    ],
    [
      'all are shared: one that serves a project alone is not one of them',
      [machine('running')],
      {scope: 'shared'},
      {deploy: true},
    ],
    [
      'there are as many as may be',
      ['b', 'c', 'd', 'e'].map(zone => machine('running', {zone, serves: zone})),
      {},
      no('there are 4 gates, as many as there may be (gates.max)'),
    ],
    [
      'those that go count no more',
      [machine('deleting'), machine('deleting'), machine('deleting'), machine('deleting')],
      {},
      {deploy: true},
    ],
  ])('%s', (_, rows, change, said) => {
    expect(verdict(rows, need, {...limits, ...change}, NOW)).toEqual(said)
  })

  it('has room for what is not alive yet, too', () => {
    const rows = (['wanted', 'booting', 'running', 'failed', 'deleting'] as const).map(state =>
      machine(state),
    )
    expect(room(rows, {max: 5})).toBe(2)
  })
})

describe('after failures', () => {
  const lost = (ago: number, change: object = {}) =>
    machine('failed', {since: NOW - ago, reason: 'no host', ...change})
  /** In how many s the next one may be tried; 0: now. */
  const pause = (rows: Row[]) => {
    const said = verdict(rows, need, limits, NOW)
    return 'no' in said ? Number(/in (\d+) s$/.exec(said.no)?.[1]) : 0
  }

  it('the next try waits, longer each time, up to a quarter of an hour', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 20].map(n =>
      pause(Array.from({length: n}, (_, k) => lost(k * 1000))),
    )
    expect(pauses).toEqual([30, 60, 120, 240, 480, 900, 900, 900])
  })

  it('counts from the last one', () => {
    expect(
      verdict([lost(9000, {reason: 'first'}), lost(4500, {reason: 'second'})], need, limits, NOW),
    ).toEqual({
      no: 'the last one could not be made; the next try is in 56 s',
    })
  })

  it.each([
    ['the pause is over', [lost(30_000)], 0],
    ['it is not quite', [lost(29_999)], 1],
    ['what is an hour ago is forgotten', [lost(1000), lost(3_600_000)], 29],
    ['what is not quite is not', [lost(1000), lost(3_599_999)], 59],
    ['one has succeeded since', [lost(2000), machine('running', {since: NOW - 1000, serves: 't'})], 0],
    ['one had succeeded before', [lost(1000), machine('running', {since: NOW - 2000, serves: 't'})], 29],
    ['another zone’s are its own', [lost(1000, {zone: 'b'})], 0],
  ] as const)('%s', (_, rows, seconds) => {
    expect(pause([...rows])).toBe(seconds)
  })
})

it('never more than max, per zone and per project, and one at a time in a zone, whatever happens', () => {
  const happens = fc.record({
    zone: fc.constantFrom('a', 'b', null),
    serves: fc.constantFrom(null, 't', 'u'),
    becomes: fc.constantFrom<MachineState>('running', 'failed', 'deleting'),
    which: fc.nat(20),
    asks: fc.boolean(),
  })
  const given = fc.record({
    max: fc.integer({min: 1, max: 5}),
    perZone: fc.integer({min: 1, max: 3}),
    perProject: fc.integer({min: 1, max: 3}),
    scope: fc.constantFrom('project' as const, 'shared' as const),
  })
  let made = 0
  const property = fc.property(given, fc.array(happens, {maxLength: 40}), (config, events) => {
    const rows: Row[] = []
    let now = NOW
    for (const {zone, serves, becomes, which, asks} of events) {
      now += 1_000_000
      const wants = {zone, serves: config.scope === 'shared' ? null : serves}
      if (!asks) {
        const row = rows[which % Math.max(1, rows.length)]
        if (row !== undefined && row.state !== 'failed' && row.state !== 'deleting')
          Object.assign(row, {state: becomes, since: now})
      } else if ('deploy' in verdict(rows, wants, config, now)) {
        rows.push(machine('wanted', {...wants, scope: config.scope, created_at: now}))
        made++
      }
      const alive = rows.filter(row => ['wanted', 'booting', 'running'].includes(row.state))
      const most = (key: (row: Row) => string, of = alive) =>
        Math.max(0, ...Object.values(Object.groupBy(of, key)).map(some => some?.length ?? 0))
      expect(alive.length).toBeLessThanOrEqual(config.max)
      expect(most(row => `${row.zone}`)).toBeLessThanOrEqual(config.perZone)
      if (config.scope === 'project')
        expect(most(row => `${row.serves}`)).toBeLessThanOrEqual(config.perProject)
      expect(
        most(
          row => `${row.zone}`,
          alive.filter(row => row.state === 'wanted'),
        ),
      ).toBeLessThanOrEqual(1)
    }
  })
  fc.assert(property, {numRuns: 200})
  expect(made).toBeGreaterThan(200)
})

describe('what is done with a gate', () => {
  const SILENCE = 120_000
  const nothing: Care = {do: 'nothing'}
  const ago = (ms: number) => NOW - ms
  const noOther =
    'it does not answer, nor does any other gate: is the way out of the service open? os-ssh gate delete replaces it'
  /* Server's status, does it answer, silent since, told to boot at, do others answer. */
  it.each<[string, string | undefined, boolean, number | null, number | null, boolean, Care]>([
    ['gone', undefined, false, ago(5), null, false, {do: 'replace', why: 'its server is gone'}],
    ['gone a moment ago', undefined, true, null, null, false, {do: 'replace', why: 'its server is gone'}],
    ['deleted', 'DELETED', false, null, null, false, {do: 'replace', why: 'its server is gone'}],
    ['deleted softly', 'SOFT_DELETED', false, null, null, false, {do: 'replace', why: 'its server is gone'}],
    ['in ERROR', 'ERROR', false, null, null, false, {do: 'replace', why: 'its server is in ERROR'}],
    ['well', 'ACTIVE', true, null, null, false, nothing],
    ['heard again', 'ACTIVE', true, ago(5), null, true, {do: 'heard'}],
    ['heard again after a reboot', 'ACTIVE', true, ago(9), ago(5), true, {do: 'heard'}],
    ['silent from now on', 'ACTIVE', false, null, null, true, {do: 'silent'}],
    ['stopped, and nobody has noticed', 'SHUTOFF', false, null, null, true, {do: 'silent'}],
    ['stopped', 'SHUTOFF', false, ago(5), null, true, {do: 'start'}],
    ['stopped though it answers', 'SHUTOFF', true, null, null, true, nothing],
    ['told to start', 'SHUTOFF', false, ago(90_000), ago(59_999), true, nothing],
    ['told to start, in vain', 'SHUTOFF', false, ago(90_000), ago(60_000), true, {do: 'start'}],
    ['being rebooted', 'REBOOT', false, ago(5), ago(5), true, {do: 'wait', why: 'its server is REBOOT'}],
    ['paused', 'PAUSED', false, ago(SILENCE * 9), null, true, {do: 'wait', why: 'its server is PAUSED'}],
    ['silent for less', 'ACTIVE', false, ago(SILENCE - 1), null, true, nothing],
    ['silent for as long', 'ACTIVE', false, ago(SILENCE), null, true, {do: 'reboot'}],
    ['silent, and no other answers', 'ACTIVE', false, ago(SILENCE), null, false, {do: 'reboot'}],
    [
      'silent, rebooted for an earlier silence',
      'ACTIVE',
      false,
      ago(SILENCE),
      ago(SILENCE * 3),
      true,
      {do: 'reboot'},
    ],
    ['rebooted just now', 'ACTIVE', false, ago(SILENCE * 2), ago(SILENCE - 1), true, nothing],
    [
      'rebooted in vain',
      'ACTIVE',
      false,
      ago(SILENCE * 2),
      ago(SILENCE),
      true,
      {do: 'replace', why: 'it does not answer, not even after a reboot'},
    ],
    [
      'rebooted in vain, and no other answers',
      'ACTIVE',
      false,
      ago(SILENCE * 2),
      ago(SILENCE),
      false,
      {do: 'wait', why: noOther},
    ],
  ])('%s', (_, status, answers, silent_since, rebooted_at, others, what) => {
    const seen = {machine: {id: 'm', silent_since, rebooted_at}, isDown: !answers, status, isRebuilt: false}
    expect(care(seen, others, {now: NOW, silence: SILENCE})).toEqual(what)
  })

  it('nothing is destroyed while no other gate answers, unless Nova says that it is gone or broken', () => {
    const time = fc.option(fc.integer({min: 0, max: NOW}))
    const property = fc.property(
      ...[fc.constantFrom('ACTIVE', 'SHUTOFF', 'PAUSED', 'REBOOT'), fc.boolean()],
      ...([time, time] as const),
      (status, isDown, silent_since, rebooted_at) => {
        const seen = {machine: {id: 'm', silent_since, rebooted_at}, isDown, status, isRebuilt: false}
        expect(care(seen, false, {now: NOW, silence: SILENCE}).do).not.toBe('replace')
      },
    )
    fc.assert(property)
  })
})

it('one that somebody has had rebuilt is replaced, though no other answers', () => {
  const machine = {id: 'm', silent_since: null, rebooted_at: null}
  const seen = {machine, isDown: true, status: 'ACTIVE', isRebuilt: true}
  expect(care(seen, false, {now: NOW, silence: 120_000})).toEqual({
    ...{do: 'replace', why: 'its server was rebuilt'},
  })
})

it.each([
  ['one that nobody has looked at yet', null, null, true],
  ['one that went silent a moment ago', 59_999, null, true],
  ['one that was silent for long', 60_000, null, false],
  ['one that was told to start', 500_000, 59_999, true],
  ['one that was told, and is not back', 500_000, 60_000, false],
])('paths wait for %s: not for ever', (_, silent, told, expected) => {
  const before = (ms: number | null) => (ms === null ? null : NOW - ms)
  expect(isExpected({silent_since: before(silent), rebooted_at: before(told)}, NOW)).toBe(expected)
})

it('what is configured is wished, and nothing else', () => {
  expect(wishOf(gatesConfig({image: 'debian', address: 'direct', max: 9}), 'a')).toEqual({
    ...{image: 'debian', address: 'direct', zone: 'a'},
  })
  expect(wishOf(gatesConfig({flavor: 'f', network: 'n', external: 'e'}), null)).toEqual({
    ...{flavor: 'f', network: 'n', external: 'e'},
  })
})
