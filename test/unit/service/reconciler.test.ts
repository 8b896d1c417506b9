import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {OpenStack} from '../../../src/openstack/index.ts'
import {Account} from '../../../src/service/account.ts'
import type {ServiceContext} from '../../../src/service/context.ts'
import {Copy} from '../../../src/service/copy.ts'
import type {Fleet} from '../../../src/service/deploy/fleet.ts'
import {PathEvents} from '../../../src/service/events.ts'
import type {Gates} from '../../../src/service/gates/gates.ts'
import {Jobs} from '../../../src/service/jobs.ts'
import {Leases} from '../../../src/service/leases.ts'
import {Reconciler} from '../../../src/service/reconciler.ts'
import {attachment} from '../../../src/service/store/attachments.ts'
import {auditPage} from '../../../src/service/store/audit.ts'
import {bar} from '../../../src/service/store/bars.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path} from '../../../src/service/store/paths.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* What only time brings about, by the clock of the test: a tick of it is one call. */

let db: Store
let now: number
let jobs: Jobs
let events: PathEvents
let woken: string[]
let surveyed: number
let reconciler: Reconciler
/** When the account's last token ends, where it gets no other. */
let until: number | undefined

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000_000
  woken = []
  surveyed = 0
  until = undefined
  const log = pino({level: 'silent'})
  const clock = () => now
  const cloud = {
    identity: {
      async token() {
        surveyed++
        return {project: {id: 'infra'}}
      },
      get until() {
        return until ?? Number.POSITIVE_INFINITY
      },
    },
    network: {
      ports: async ({id}: {id?: string[]}) => (id ? [{id: 'port', device_id: 'gate-server'}] : []),
      networks: async () => [],
      securityGroups: async () => [],
    },
  } as unknown as OpenStack
  jobs = new Jobs(log)
  events = new PathEvents()
  const leases = new Leases(db, 'replica', clock)
  const context = {
    db,
    cloud,
    log,
    clock,
    jobs,
    events,
    leases,
    serviceId: 'service',
    copy: new Copy(db, {id: 'copy'}),
    account: new Account(cloud, clock, false),
  }
  const gates = {
    tend: async (id: string) => woken.push(id),
    regroup: async (_: string, id: string) => woken.push(`regroup ${id}`),
    wakeFor: (paths: {gate_id: string}[]) => woken.push(...paths.map(one => one.gate_id)),
    reconnect: () => woken.push('reconnect'),
    forget: (id: string) => woken.push(`forget ${id}`),
  }
  const limits = {maxLife: 9, defaultLife: 9, certLife: 9, attachments: 9, paths: 9}
  const intervals = {tick: 1000, grace: 200_000_000, resync: 60_000, survey: 20_000, retention: 86_400_000}
  reconciler = new Reconciler(
    context as unknown as ServiceContext,
    gates as unknown as Gates,
    {tick: async () => undefined, hurry: () => undefined} as Fleet,
    limits,
    intervals,
  )
  await gateRow(db)
  await attachmentRow(db, {state: 'ready', port_id: 'port', groups: {own: 'own'}})
  await reconciler.tick()
  await quiet()
  woken = []
})
afterEach(async () => {
  await jobs.stop()
  await db.destroy()
})

/** Until the jobs that a tick has begun are over: they end within a few turns of the loop, since nothing is far away here. */
const quiet = () => new Promise(resolve => setTimeout(resolve, 20))

async function tick(ms: number) {
  now += ms
  woken = []
  await reconciler.tick()
  await quiet()
  return woken
}

it('a path ends when its time is over: told, audited, and its gate is to cut it', async () => {
  await pathRow(db, {state: 'active', expires_at: now + 3000, applied: 1})
  expect(await tick(2999)).toEqual([])
  expect(await tick(1)).toEqual(['g'])
  expect(await path(db, 'path')).toMatchObject({state: 'ended', ended_at: now})
  expect(await auditPage(db, {limit: 1, denials: false})).toMatchObject([{action: 'expire', at: now}])
})

it('who waits for a path hears of its end at once', async () => {
  await pathRow(db, {expires_at: now + 1})
  const waiting = events.wait({db, clock: () => now}, 'path', now + 60_000)
  await tick(1)
  expect(await waiting).toMatchObject({state: 'ended'})
})

it('a gate is asked again until it has cut what is over, and when its account has rested', async () => {
  await pathRow(db, {state: 'ended'})
  expect(await tick(1000)).toEqual(['g'])
  await db.updateTable('paths').set({state: 'cut', cut_at: now, applied: 1}).execute()
  expect(await tick(34_999)).not.toContain('g')
  expect(await tick(1)).toContain('g')
})

it('every gate is looked at whole now and then', async () => {
  expect(await tick(59_999)).not.toContain('forget g')
  expect(await tick(1)).toEqual(['forget g', 'g'])
  expect(await tick(1000)).toEqual([])
})

it('a network that nobody needs goes after its grace, when its gate is asked to let go', async () => {
  expect((await attachment(db, 'a'))?.idle_since).toBe(now)
  await tick(199_999_999)
  expect((await attachment(db, 'a'))?.state).toBe('ready')
  await tick(1)
  expect((await attachment(db, 'a'))?.state).toBe('removing')
  expect(await tick(1000)).toEqual(['g'])
})

it('a grant that was left half done is taken up', async () => {
  await pathRow(db, {created_at: now, applied: 1})
  expect(await tick(999)).toEqual([])
  expect(await tick(1)).toContain('g')
})

it('what an operator has barred ends wherever it was granted', async () => {
  await pathRow(db, {state: 'active'})
  await bar(db, {user_id: 'u'}, now)
  expect(await tick(1)).toContain('g')
  expect((await path(db, 'path'))?.state).toBe('ended')
})

it('the cloud is asked what it has taken away: the path to a VM that is gone fails, and its network goes at once', async () => {
  await pathRow(db, {state: 'active', project_id: 'infra'})
  expect(surveyed).toBe(1)
  await tick(19_999)
  expect(surveyed).toBe(1)
  expect(await tick(1)).toContain('g')
  expect(surveyed).toBe(2)
  expect(await path(db, 'path')).toMatchObject({
    state: 'failed',
    error: {code: 'NOT_FOUND', message: 'the VM, or its address on that network, is gone'},
  })
  expect((await attachment(db, 'a'))?.idle_since).toBe(0)
})

it('what nobody asks for any more is forgotten, once an hour', async () => {
  await pathRow(db, {state: 'released', ended_at: now})
  await tick(86_400_000)
  expect((await path(db, 'path'))?.id).toBe('path')
  await tick(3_600_000)
  expect(await path(db, 'path')).toBeUndefined()
})

it('stops, and then begins nothing', async () => {
  reconciler.start()
  await jobs.stop()
  let begun = 0
  jobs.once('x', async () => void begun++)
  jobs.later(0, () => begun++)
  await quiet()
  expect(begun).toBe(0)
})

it('a network that nobody uses stays plugged in, but for an account whose last token ends', async () => {
  await tick(1000)
  expect(await attachment(db, 'a')).toMatchObject({state: 'ready'})
  until = now + 302_000
  await tick(1000)
  expect(await attachment(db, 'a')).toMatchObject({state: 'ready'})
  await tick(1500)
  expect(await attachment(db, 'a')).toMatchObject({state: 'removing'})
})

it('after a sleep all is looked at anew, by new connections', async () => {
  await tick(1000)
  woken = []
  const before = surveyed
  reconciler.resume()
  expect(woken).toEqual(['reconnect'])
  expect(await tick(1000)).toEqual(['forget g', 'g'])
  expect(surveyed).toBe(before + 1)
})
