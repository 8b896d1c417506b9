import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {some} from '../../support/evidence.ts'
import {GateClient} from '../../support/gate-client.ts'
import {cutStream} from '../../support/gate-watch.ts'
import {type Granted, Load} from '../../support/load.ts'
import {Pair} from '../../support/pair.ts'
import {eventually, type Result} from '../../support/run.ts'

/* Two replicas of the service on one gate and one database: what either is asked is done once, whatever becomes of the other. */

jest.setTimeout(240_000)

/** A lease is another's after so long without its holder, ms; with it everybody who asked must have been answered after: */
const LEASE_MS = 10_000
const TAKEN_OVER_MS = 30_000
/** How often a script is cut on its way; more find more. */
const CUTS = some(Array.from({length: 10}, (_, n) => n)).length
const VMS = ['t1-web', 't1-app', 't1-db'] as const

let pair: Pair
let load: Load
beforeAll(async () => {
  pair = await Pair.open('e2e-replicas', ['--paths-per-vm', '0', '--grace', '1'])
}, 120_000)
afterAll(() => pair?.close())
afterEach(() => load?.stop())

const alice = () => `${pair.world.home}/.ssh/id_alice`
const uname = (path: Granted) => new GateClient(pair.world, path).vm(alice(), ['uname', '-n'])
const both = () => [pair.a, pair.b]
const newLoad = () => new Load(both(), pair.token)
const busy = async () => (await pair.gate.state()).busy

/** A session of that path which is open when this returns; it ends by itself after so many seconds. */
async function openSession(path: Granted, seconds: number): Promise<Promise<Result>[]> {
  const session = new GateClient(pair.world, path).vm(
    alice(),
    ['sleep', `${seconds};`, 'echo', 'lived'],
    seconds * 1000 + 30_000,
  )
  const open = eventually(busy, accounts => accounts.includes(path.login))
  const ended = session.then(result => [JSON.stringify(result)])
  expect(await Promise.race([open, ended])).toContain(path.login)
  // In an array: a promise that is given back is waited for.
  return [session]
}

/** What nobody can log in by, and what is dead: nothing of a path on the gate. */
const traces = ({id, login}: Granted) =>
  pair.gate.ask(`grep -rl path-${id} /etc/os-ssh/principals; ps -o args= -u ${login} 2>/dev/null`)

/** Nothing lost and nothing doubled: what the clients were answered, the rows, the gate and the cloud are one. */
async function expectSettled(): Promise<void> {
  const {is, should, state} = await pair.settled(load)
  expect(is).toEqual(should)
  for (const column of ['login', 'alias'] as const) {
    const all = [...load.granted.values()].map(path => path[column])
    expect(new Set(all).size).toBe(all.length)
  }
  const logins = new Set([...load.granted.values()].map(path => path.login))
  expect(state.busy.filter(login => !logins.has(login))).toEqual([])
  const fresh = [...load.granted.values()].slice(-2)
  for (const path of fresh) expect(await uname(path)).toMatchObject({status: 0, stderr: ''})
}

/** A fence as it must be on the gate: whose, and its number. */
async function expectHolder(): Promise<number> {
  const {holder} = await pair.gate.state()
  expect({holder, leases: await pair.leases()}).toEqual({
    // Its number, then which copy of the service wrote it, and where that one runs.
    holder: expect.stringMatching(/^([\w-]+) \d+\n\1 \S+ on \S+$/),
    leases: expect.stringMatching(/"fence"/),
  })
  return Number(/ (\d+)$/m.exec(holder)?.[1])
}

it('a replica that starts takes nothing away from what the other one has just granted', async () => {
  const {holder} = await pair.starting()
  for (const name of ['t1-web', 't1-db', 't1-web', 't1-db']) {
    const path = await pair.grant(holder, name)
    expect(await uname(path)).toMatchObject({status: 0, stdout: `${name}\n`, stderr: ''})
    await pair.end(holder, path)
  }
})

it('the gate knows by whose number it was last written, and the database who has the lease', async () => {
  await pair.roles()
  expect(await expectHolder()).toBeGreaterThan(0)
})

it('numbers go on above the gate’s when the database is an older one', async () => {
  const {holder, other} = await pair.roles()
  const number = await expectHolder()
  await pair.gate.ask(`sed -i '1s/ ${number}$/ ${number + 1000}/' /etc/os-ssh/holder`)
  for (const at of [holder, other]) await pair.end(at, await pair.grant(at, 't1-web'))
  expect(await expectHolder()).toBeGreaterThan(number + 1000)
})

describe('either replica', () => {
  it('lists what the other one has granted, and its answer opens the same path', async () => {
    await pair.roles()
    const path = await pair.grant(pair.a, 't1-web')
    expect((await pair.listed(pair.b)).map(one => one.id)).toEqual([path.id])
    const same = await pair.grant(pair.b, 't1-web', path.key)
    expect({id: same.id, login: same.login, alias: same.alias}).toEqual({
      ...{id: path.id, login: path.login, alias: path.alias},
    })
    expect(await uname(same)).toMatchObject({status: 0, stdout: 't1-web\n', stderr: ''})
    await pair.end(pair.b, path)
    expect(await pair.listed(pair.a)).toEqual([])
  })

  it.each(some([1, 2, 3]))(
    'that has no lease answers a DELETE when the gate has cut the session (%i)',
    async () => {
      const {holder, other} = await pair.roles()
      const path = await pair.grant(holder, 't1-web')
      const [session] = await openSession(path, 60)
      const asked = Date.now()
      await pair.end(other, path)
      expect(await traces(path)).toBe('')
      expect(Date.now() - asked).toBeLessThan(3000)
      expect((await session)?.status).toBe(255)
    },
  )

  it('asked for the same path at the same moment makes one, twenty times', async () => {
    await pair.roles()
    load = newLoad()
    for (let n = 0; n < 20; n++) {
      const key = generateKeyPair('alice')
      const answers = await Promise.all(both().map(at => pair.grant(at, 't1-web', key)))
      expect(new Set(answers.map(({id, login, alias}) => `${id} ${login} ${alias}`)).size).toBe(1)
      for (const path of answers) load.granted.set(path.id, path)
    }
    const rows = await pair.rows<{n: number}>(
      `select count(*)::int as n from paths where state in ('pending', 'active') group by fingerprint`,
    )
    expect(rows).toEqual(Array.from({length: 20}, () => ({n: 1})))
    await expectSettled()
  })
})

describe('under load', () => {
  it.each(some(['holder', 'other'] as const))('kill -9 of the %s of the lease', async which => {
    const {holder, other} = await pair.roles()
    const [killed, left] = which === 'holder' ? [holder, other] : [other, holder]
    load = newLoad()
    const [stays, goes] = [await load.grant(pair.world.server('t1-web')), await pair.grant(holder, 't1-web')]
    const [staying] = await openSession(stays as Granted, 45)
    const [going] = await openSession(goes, 60)
    load.start([...VMS, ...VMS].map(name => pair.world.server(name)))
    await sleep(4000)

    const at = Date.now()
    await killed.stop('SIGKILL')
    await pair.end(left, goes)
    expect(Date.now() - at).toBeLessThan(TAKEN_OVER_MS)
    expect(await traces(goes)).toBe('')
    expect(await going).toMatchObject({status: 255, stdout: ''})
    await sleep(Math.max(0, at + LEASE_MS + 5000 - Date.now()))
    const since = Date.now()
    await load.stop()
    expect(Date.now() - since).toBeLessThan(TAKEN_OVER_MS - LEASE_MS)

    expect([...load.unexpected]).toEqual([])
    expect(load.slowest).toBeLessThan(TAKEN_OVER_MS)
    expect(load.granted.size).toBeGreaterThan(10)
    expect(load.revoked.size).toBeGreaterThan(10)
    await expectSettled()
    expect(await staying).toMatchObject({status: 0, stdout: 'lived\n'})
  })
})

describe('a holder that was paused for longer than its lease', () => {
  it('cuts nothing, brings nothing back and lowers no number when it goes on', async () => {
    const {holder, other} = await pair.roles()
    load = newLoad()
    const stays = (await load.grant(pair.world.server('t1-web'))) as Granted
    const goes = await pair.grant(holder, 't1-db')
    const [staying] = await openSession(stays, 45)
    const [going] = await openSession(goes, 60)
    const at = Date.now()
    holder.signal('SIGSTOP')
    try {
      await pair.end(other, goes)
      expect(await traces(goes)).toBe('')
      expect(await going).toMatchObject({status: 255, stdout: ''})
      const comes = await pair.grant(other, 't1-web')
      load.granted.set(comes.id, comes)
      expect(Date.now() - at).toBeLessThan(2 * LEASE_MS)
      await sleep(Math.max(0, at + 1.5 * LEASE_MS - Date.now()))
    } finally {
      holder.signal('SIGCONT')
    }
    await expectNothingBack([goes], 10)
    await expectSettled()
    expect(await staying).toMatchObject({status: 0, stdout: 'lived\n'})
    for (const at of both()) await pair.end(at, await pair.grant(at, 't1-app'))
  })

  it(
    'and whose script was half way to the gate',
    async () => {
      let next = pair.a
      for (let round = 0; round < CUTS; round++) {
        const {holder, other} = await pair.roles(next)
        load = newLoad()
        // With many paths a script is some packets long.
        for (let n = 0; n < 60; n++) await load.grant(pair.world.server('t1-web'), holder)
        const goes = await pair.grant(holder, 't1-web')
        // What is looked for below would be seen.
        expect((await pair.gate.watch([goes], 1)).back).toHaveLength(2)
        const bytes = 300 + Math.floor(Math.random() * 6000)
        const stream = cutStream(holder.pid ?? 0, pair.world.site.gates[0]?.host ?? '', bytes)
        try {
          const asked = load.grant(pair.world.server('t1-app'), holder)
          expect(await eventually(async () => stream.losing(), Boolean)).toBe(true)
          await sleep(Math.random() * 300)
          holder.signal('SIGSTOP')
          await pair.end(other, goes)
          expect(await traces(goes)).toBe('')
          await asked
        } finally {
          stream.heal()
          holder.signal('SIGCONT')
        }
        // TCP sends again what was lost after as long as it was silent.
        await expectNothingBack([goes], 15)
        await expectSettled()
        next = other
      }
    },
    CUTS * 120_000,
  )

  async function expectNothingBack(over: readonly Granted[], seconds: number): Promise<void> {
    const {back, numbers, holders} = await pair.gate.watch(over, seconds)
    expect(back).toEqual([])
    expect({holders, numbers}).toEqual({
      holders: holders.map(() => expect.stringMatching(/^[\w-]+ \d+$/)),
      numbers: [...numbers].sort((x, y) => x - y),
    })
  }
})

describe('a database that is away for 20 s', () => {
  it('ends no session, and both replicas serve again without a restart', async () => {
    await pair.roles()
    load = newLoad()
    const stays = (await load.grant(pair.world.server('t1-web'))) as Granted
    const [staying] = await openSession(stays, 60)
    load.start(
      VMS.map(name => pair.world.server(name)),
      {pause: 500},
    )
    await sleep(3000)
    const pids = both().map(service => service.pid)
    pair.postgres.crash()
    try {
      await sleep(20_000)
      expect(await busy()).toContain(stays.login)
    } finally {
      pair.postgres.start()
    }
    const at = Date.now()
    await Promise.all(
      both().map(async service => {
        const path = await eventually(
          () => pair.grant(service, 't1-web').catch(String),
          answer => typeof answer !== 'string',
          TAKEN_OVER_MS,
        )
        expect(path).toMatchObject({state: 'active'})
        await pair.end(service, path as Granted)
      }),
    )
    expect(Date.now() - at).toBeLessThan(TAKEN_OVER_MS)
    await load.stop()
    expect(both().map(service => service.pid)).toEqual(pids)
    expect(await staying).toMatchObject({status: 0, stdout: 'lived\n'})
  })

  it('and nobody has lost what they were told', expectSettled)

  it('and nobody was told anything but to try again', () => {
    expect([...load.unexpected]).toEqual([])
  })
})
