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
import {gateLease, Leases, SURVEY} from '../../../src/service/leases.ts'
import {type Intervals, Reconciler} from '../../../src/service/reconciler.ts'
import {attachment} from '../../../src/service/store/attachments.ts'
import {auditAct, auditPage} from '../../../src/service/store/audit.ts'
import {bar} from '../../../src/service/store/bars.ts'
import {takeLease} from '../../../src/service/store/leases.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path} from '../../../src/service/store/paths.ts'
import {keepFacts} from '../../../src/service/store/place.ts'
import {attachmentRow, gateRow, groupRows, pathRow} from '../../support/rows.ts'
import {eventually} from '../../support/run.ts'

/* What only time brings about, by the clock of the test: a tick of it is one call. */

let db: Store
let now: number
let jobs: Jobs
let events: PathEvents
let woken: string[]
let begun: Promise<unknown>[]
/** Names of the jobs that were begun. */
let named: string[]
let surveyed: number
/** What the gates' maker was told. */
let fleet: string[]
/** Our ports that Neutron has beside those of rows; and what was taken away there. */
let stray: string[]
let removed: string[]
let copy: Copy
let reconciler: Reconciler
let made: (change?: Partial<Intervals>) => Reconciler
let leases: Leases
/** When the account's last token ends, where it gets no other. */
let until: number | undefined

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000_000
  ;[woken, fleet, stray, removed] = [[], [], [], []]
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
      async ports({id, description}: {id?: string[]; description?: string}) {
        if (description === undefined) return id ? [{id: 'port', device_id: 'gate-server'}] : []
        return stray.map(port => ({id: port, name: 'os-ssh-x', project_id: 'infra', device_id: ''}))
      },
      deletePort: async (port: string) => void removed.push(port),
      networks: async () => [],
      securityGroups: async () => [],
    },
  } as unknown as OpenStack
  jobs = observed(new Jobs(log))
  events = new PathEvents()
  leases = new Leases(db, 'replica', clock)
  copy = new Copy(db, {id: 'copy'})
  const context = {
    db,
    cloud,
    log,
    clock,
    jobs,
    events,
    leases,
    serviceId: 'service',
    copy,
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
  const makes = {
    tick: async () => void fleet.push('tick'),
    hurry: () => void fleet.push('hurry'),
    zoneFor: () => null,
    ask: async () => undefined,
  }
  made = (change = {}) =>
    new Reconciler(
      context as unknown as ServiceContext,
      gates as unknown as Gates,
      makes as unknown as Fleet,
      limits,
      {...intervals, ...change},
    )
  reconciler = made()
  await gateRow(db)
  await attachmentRow(db, {state: 'ready', port_id: 'port', groups: {own: 'own'}})
  await reconciler.tick()
  await quiet()
  woken = []
})
/** Keeps what was begun, so that a test knows when it is over. */
function observed(own: Jobs): Jobs {
  ;[begun, named] = [[], []]
  const kept = (task: () => Promise<unknown>) => async () => {
    const running = task()
    begun.push(running.catch(() => undefined))
    await running
  }
  const {once, run} = own
  return Object.assign(own, {
    once(name: string, task: () => Promise<void>) {
      named.push(name)
      once.call(own, name, kept(task))
    },
    run: (task: () => Promise<unknown>) => run.call(own, kept(task)),
  })
}
afterEach(async () => {
  await jobs.stop()
  await db.destroy()
})

/** Until all that a tick has begun is over. */
async function quiet() {
  while (begun.length > 0) await begun.shift()
}

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
  let heard: unknown
  void events.wait({db, clock: () => now}, 'path', now + 60_000).then(row => {
    heard = row
  })
  await tick(1)
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
  expect(heard).toMatchObject({state: 'ended'})
})

it('a gate is asked again until it has cut what is over, and when its account has rested', async () => {
  await pathRow(db, {state: 'ended'})
  expect(await tick(1000)).toEqual(['g'])
  await db.updateTable('paths').set({state: 'cut', cut_at: now, applied: 1}).execute()
  expect(await tick(34_999)).not.toContain('g')
  expect(await tick(1)).toContain('g')
})

it('a gate is told again what it has not acknowledged', async () => {
  await pathRow(db, {state: 'active', version: 2, applied: 1})
  expect(await tick(1)).toEqual(['g'])
  await db.updateTable('paths').set({applied: 2}).execute()
  expect(await tick(1)).toEqual([])
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
  await pathRow(db, {state: 'active', applied: 1})
  await bar(db, {user_id: 'u'}, now)
  expect(await tick(1)).toContain('g')
  expect((await path(db, 'path'))?.state).toBe('ended')
})

it('the cloud is asked what it has taken away: the path to a VM that is gone fails, and its network goes at once', async () => {
  await pathRow(db, {state: 'active', project_id: 'infra', applied: 1})
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

it('what nobody asks for any more is forgotten, once an hour: paths and audit, but none that holds its account', async () => {
  const who = {id: 'op', name: 'op', project_id: ''}
  await pathRow(db, {state: 'released', ended_at: now})
  await pathRow(db, {id: 'cut', state: 'cut', applied: 1, ended_at: now, cut_at: 9e12, fingerprint: 'other'})
  const kept = async () => [
    (await db.selectFrom('paths').select('id').orderBy('id').execute()).map(row => row.id).join(' '),
    (await db.selectFrom('audit').select('detail').execute()).map(row => row.detail).join(' '),
  ]
  await auditAct(db, 'gate-add', who, {at: now, detail: 'old'})
  await auditAct(db, 'gate-add', who, {at: now + 3_600_000, detail: 'young'})
  const looks = []
  for (const pass of [86_400_000, 1, 3_599_998, 1]) {
    await tick(pass)
    looks.push(await kept())
  }
  const all = ['cut path', 'old young']
  expect(looks).toEqual([all, all, all, ['cut', 'young']])
})

it('a grant whose client is gone gets its place, and its gate is told', async () => {
  const reach = JSON.stringify([{network_id: 'n1', cidr: '10.0.0.0/24', via: null}])
  await db.updateTable('attachments').set({reach}).execute()
  await pathRow(db, {
    state: 'requested',
    gate_id: '',
    attachment_id: '',
    alias: '',
    login: '',
    created_at: now,
  })
  const nics = [{network_id: 'n1', address: '10.0.0.5', groups: []}]
  await keepFacts(db, 'path', {nics, zone: undefined}, now)
  expect(await tick(1)).toContain('g')
  expect(await path(db, 'path')).toMatchObject({state: 'pending', gate_id: 'g', attachment_id: 'a'})
})

it('a network of a gate that is down goes without its leave, and none of one that answers', async () => {
  await db.updateTable('attachments').set({state: 'removing'}).execute()
  await tick(1)
  expect(named).not.toContain('port a')
  await db.updateTable('gates').set({state: 'down'}).execute()
  await tick(1)
  expect(named).toContain('port a')
})

it.each([
  ['in groups that it shall not be in', () => groupRows(db, {})],
  ['gone', () => db.updateTable('attachments').set({port_id: 'gone'}).execute()],
])('a port that is %s is put right at the next survey', async (_, what) => {
  await what()
  expect(await tick(19_999)).not.toContain('regroup a')
  expect(await tick(1)).toContain('regroup a')
})

it('a port that no row names goes at the second survey that finds it', async () => {
  stray = ['stray']
  const looks = []
  for (const pass of [20_000, 1, 20_000]) {
    await tick(pass)
    looks.push([...removed])
  }
  expect(looks).toEqual([[], [], ['stray']])
})

it('what is another replica’s is left to it, and time passes all the same', async () => {
  await pathRow(db, {state: 'active', project_id: 'infra', expires_at: now + 60_001, applied: 1})
  await groupRows(db, {})
  now += 60_000
  for (const name of [gateLease('g'), SURVEY]) await takeLease(db, name, 'another', {now, life: 10_000})
  expect([await tick(1), surveyed]).toEqual([[], 1])
  expect((await path(db, 'path'))?.state).toBe('ended')
  expect(await tick(10_000)).toContain('g')
})

it('a copy that another one has taken over keeps no time', async () => {
  await pathRow(db, {state: 'active', expires_at: now})
  await copy.taken('bob on b')
  fleet = []
  expect([await tick(60_000), surveyed, fleet, (await path(db, 'path'))?.state]).toEqual([
    [],
    1,
    [],
    'active',
  ])
})

it('looks after what is to become gates at each tick', async () => {
  fleet = []
  for (const _ of [1, 2]) await tick(1)
  expect(fleet).toEqual(['tick', 'tick'])
})

it('ticks and renews its leases again and again, whatever goes wrong', async () => {
  let renewals = 0
  leases.renew = async () => {
    renewals++
    throw new Error('no database')
  }
  leases.hold = async () => Promise.reject(new Error('no database'))
  fleet = []
  made({tick: 1}).start()
  const counts = await eventually(
    async () => [renewals, fleet.length],
    all => all.every(n => n >= 3),
    5000,
  )
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(3)
})

it('stops, and then begins nothing', async () => {
  reconciler.start()
  await jobs.stop()
  let runs = 0
  jobs.once('x', async () => void runs++)
  jobs.later(0, () => runs++)
  await new Promise(resolve => setTimeout(resolve, 5))
  expect(runs).toBe(0)
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
  expect([woken, fleet.at(-1)]).toEqual([['reconnect'], 'hurry'])
  expect(await tick(1000)).toEqual(['forget g', 'g'])
  expect(surveyed).toBe(before + 1)
})
