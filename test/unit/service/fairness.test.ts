import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {PathEvents} from '../../../src/service/events.ts'
import {askerOf, giveWay, makeRoom, spare} from '../../../src/service/fairness.ts'
import type {GateChoice} from '../../../src/service/planner/plan.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import type {PathRow} from '../../../src/service/store/schema.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* What one user or project may take: whose paths count, and which of them give way. */

let db: Store
let now: number
let busy: Set<string> | undefined
let woken: string[]
let rows: number

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000_000
  ;[busy, woken, rows] = [new Set(), [], 0]
  await gateRow(db)
})
afterEach(() => db.destroy())

const context = () => ({
  ...{db, clock: () => now, events: new PathEvents()},
  fleet: {ask: async () => undefined, zoneFor: () => null},
  gates: {
    sessions: async () => busy,
    wakeFor: (paths: readonly {gate_id: string}[]) => void woken.push(...paths.map(path => path.gate_id)),
    check: async () => undefined,
  },
})
/** A path of the user to the VM; its login. */
async function path(given: Partial<PathRow> = {}): Promise<string> {
  const n = rows++
  const login = `osp${String(n).padStart(4, '0')}`
  const own = {id: `p${n}`, login, alias: `100.64.0.${n}`, fingerprint: `f${n}`, attachment_id: ''}
  const over = given.state === 'ended' || given.state === 'cut' ? {ended_at: now} : {}
  await pathRow(db, {...own, state: 'active', created_at: now - 15_000, ...over, ...given})
  return login
}
const states = async () =>
  (await db.selectFrom('paths').select('state').orderBy('serial').execute()).map(row => row.state).join(' ')
const owner = {user_id: 'u', server_id: 's1', fingerprint: 'new'}
const none = {perVm: 0, perUser: 0, share: 0, waiting: new Map<string, number>()}
const limited = {code: 'RATE_LIMITED'}

describe('a user', () => {
  it('has so many paths, those whose accounts rest included, and not those of others', async () => {
    for (const state of ['pending', 'active', 'ended', 'cut', 'released'] as const) await path({state})
    await path({user_id: 'another'})
    await expect(giveWay(context(), owner, {...none, perUser: 4})).rejects.toMatchObject({
      ...{...limited, message: 'you have 4 paths, as many as one user may', retryAfter: 40},
    })
    await expect(giveWay(context(), owner, {...none, perUser: 5})).resolves.toBeUndefined()
    expect(await states()).toBe('pending active ended cut released active')
  })

  it('gives up the oldest to that VM alone, and only when there are so many', async () => {
    for (const server_id of ['s2', 's1', 's1']) await path({server_id})
    await giveWay(context(), owner, {...none, perVm: 3})
    expect([await states(), woken]).toEqual(['active active active', []])
    await giveWay(context(), owner, {...none, perVm: 2})
    expect([await states(), woken]).toEqual(['active ended active', ['g']])
  })

  it.each([
    ['younger than 15 s', {created_at: 1_000_000_000 - 14_999}],
    ['not made yet', {state: 'pending'}],
  ] as [string, Partial<PathRow>][])('gives up none that is %s', async (_, given) => {
    await path(given)
    await expect(giveWay(context(), owner, {...none, perVm: 1})).rejects.toMatchObject({
      ...{...limited, message: 'you have 1 paths to this VM, all new or with a session', retryAfter: 30},
    })
    expect(await states()).toBe(given.state ?? 'active')
  })

  it('gives up none in use, nor where nobody knows', async () => {
    busy = new Set([await path()])
    await expect(giveWay(context(), owner, {...none, perVm: 1})).rejects.toMatchObject(limited)
    busy = undefined
    await expect(giveWay(context(), owner, {...none, perVm: 1})).rejects.toMatchObject(limited)
    expect(await states()).toBe('active')
  })

  it('waits when five times as many rest, whatever is live', async () => {
    for (let n = 0; n < 4; n++) await path({state: 'cut'})
    await giveWay(context(), owner, {...none, perVm: 1})
    await path({state: 'ended'})
    await expect(giveWay(context(), owner, {...none, perVm: 1})).rejects.toMatchObject({
      ...{...limited, message: 'too many paths of yours to this VM have ended just now', retryAfter: 40},
    })
  })
})

describe('a project', () => {
  const limits = {attachments: 2, paths: 4}
  const half = () => ({...none, share: 0.5, waiting: new Map<string, number>()})
  const asker = {project_id: 't1'}
  const choice = (change: Partial<GateChoice> = {}): GateChoice => ({
    ...{id: 'g', project_id: 'infra', scope: 'shared', state: 'ready', paths: 4},
    ...{held: new Map([['t2', 4]]), attachments: [], ...change},
  })
  const rest = (id: string, idle_since: number) => ({
    ...{id, network_id: id, project_id: 't2', reach: [], removing: false, idle_since},
  })

  it.each([
    ['nobody waits', {}, {}],
    ['it waits itself', {t1: 1}, {}],
    ['another one did', {t2: 0}, {}],
    ['another one does', {t2: 1}, {share: 2, networks: 1}],
  ] as [string, Record<string, number>, object][])('has its share where %s', (_, waiting, share) => {
    const fairness = {...half(), waiting: new Map(Object.entries(waiting).map(([id, ms]) => [id, now + ms]))}
    expect(askerOf({...limits, fairness}, 't1', now)).toEqual({project_id: 't1', ...share})
  })

  it('has one place at least, and all where no share is set', () => {
    const waiting = new Map([['t2', now + 1]])
    const asked = (share: number) => askerOf({...limits, fairness: {...none, share, waiting}}, 't1', now)
    expect([asked(0.1), asked(0)]).toEqual([{project_id: 't1', share: 1, networks: 1}, {project_id: 't1'}])
  })

  it.each([
    ['that is down', {state: 'down'}],
    ['of another project', {scope: 'project'}],
    ['of its own that serves another one', {scope: 'project', project_id: 't1', serves: 't2'}],
    ['that takes no new paths', {draining: true}],
    [
      'where it has its share',
      {
        held: new Map([
          ['t1', 2],
          ['t2', 2],
        ]),
      },
    ],
  ] as [string, Partial<GateChoice>][])('gets no room on a gate %s', async (_, change) => {
    for (let n = 0; n < 4; n++) await path({project_id: 't2', created_at: 0})
    const fairness = half()
    expect(await makeRoom(context(), [choice(change)], asker, {...limits, fairness})).toBeUndefined()
    expect([await states(), [...fairness.waiting]]).toEqual(['active active active active', []])
  })

  it.each([
    ['shared', {}],
    ['its own', {scope: 'project', project_id: 't1'}],
    ['one that serves it', {scope: 'project', serves: 't1'}],
  ] as [string, Partial<GateChoice>][])(
    'gets room by what is older than a minute, and waits from then on: %s',
    async (_, change) => {
      for (const age of [60_000, 59_999, 60_000, 60_000])
        await path({project_id: 't2', created_at: now - age})
      const fairness = half()
      const said = await makeRoom(context(), [choice(change)], asker, {...limits, fairness})
      expect(said).toMatchObject({...limited, message: 'the gate is full; others are making room'})
      expect([await states(), [...fairness.waiting]]).toEqual([
        ...['ended active ended active', [['t1', now + 120_000]]],
      ])
    },
  )

  it('is waited for by the network that is idle for longest, on a gate of its own alone', async () => {
    for (const [slot, id] of ['short', 'long'].entries())
      await attachmentRow(db, {id, slot, network_id: id, state: 'ready', idle_since: slot === 0 ? 9 : 1})
    const attachments = [rest('short', 9), rest('long', 1)]
    const going = async () =>
      (await db.selectFrom('attachments').select('id').where('state', '=', 'removing').execute()).map(
        row => row.id,
      )
    const foreign = choice({paths: 0, attachments, scope: 'project'})
    expect([await spare(context(), [foreign], asker, limits), await going()]).toEqual([undefined, []])
    expect(await spare(context(), [choice({paths: 0, attachments})], asker, limits)).toMatchObject({
      ...{code: 'BUSY', retryAfter: 5},
    })
    expect([await going(), woken]).toEqual([['long'], ['g']])
  })
})
