import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {sql} from 'kysely'
import {pino} from 'pino'

import {PathEvents} from '../../../src/service/events.ts'
import {gate, gateDown} from '../../../src/service/store/gates.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {type News, openWire, type Wire} from '../../../src/service/store/wire.ts'
import {hasPostgres, startPostgres} from '../../support/postgres.ts'
import {gateRow, pathRow} from '../../support/rows.ts'
import {eventually} from '../../support/run.ts'

/* What replicas tell each other, by a real PostgreSQL. */

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const nothing = {paths: [], gates: [], doubts: [], settled: []}
const onPostgres = hasPostgres() ? describe : describe.skip

onPostgres('LISTEN and NOTIFY', () => {
  let postgres: ReturnType<typeof startPostgres>
  let db: Store
  let heard: (News | undefined)[]
  let wires: Wire[]
  const log = pino({level: 'silent'})
  const open = async (hear: (news: News | undefined) => void = () => undefined) => {
    const wire = await openWire(postgres.url, db, log, hear)
    wires.push(wire)
    return wire
  }
  const here = (news: News | undefined) => heard.push(news)

  beforeAll(() => {
    postgres = startPostgres()
  }, 60_000)
  afterAll(() => postgres.stop())
  beforeEach(async () => {
    db = await openStore(postgres.url)
    ;[heard, wires] = [[], []]
  })
  afterEach(async () => {
    for (const wire of wires) await wire.close()
    await db.destroy()
  })

  it('the others hear it, and who has said it does not', async () => {
    const mine: (News | undefined)[] = []
    const a = await open(news => mine.push(news))
    await open(here)
    a.send({paths: [id(1), id(2)], gates: [id(3)], doubts: [`${id(3)}/${id(1)}`]})
    expect(
      await eventually(
        async () => heard.length,
        n => n === 4,
        5000,
      ),
    ).toBe(4)
    // Each goes by a connection of its own, and any may be first.
    expect(heard.slice(1)).toEqual(
      expect.arrayContaining([
        {...nothing, gates: [id(3)]},
        {...nothing, doubts: [`${id(3)}/${id(1)}`]},
        {...nothing, paths: [id(1), id(2)]},
      ]),
    )
    expect(mine).toEqual([undefined])
  })

  it('any number goes, in messages that PostgreSQL takes', async () => {
    const a = await open()
    await open(here)
    const paths = Array.from(
      {length: 1000},
      (_, n) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
    )
    a.send({paths})
    const all = async () => heard.flatMap(news => news?.paths ?? [])
    expect((await eventually(all, some => some.length === 1000, 5000)).sort()).toEqual(paths)
  })

  it('what is not ours is not heard', async () => {
    await open(here)
    for (const text of [
      'no json',
      '{}',
      '{"from":"x","paths":["error",7],"gates":{"0":"g"},"doubts":["a/b"]}',
    ])
      await sql`select pg_notify('os_ssh', ${text})`.execute(db)
    expect(
      await eventually(
        async () => heard.length,
        n => n >= 3,
        5000,
      ),
    ).toBe(3)
    expect(heard.slice(1)).toEqual([nothing, nothing])
  })

  it('after a loss it listens again, and says that something may have been missed', async () => {
    await open(here)
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen os_ssh'`.execute(
      db,
    )
    await eventually(
      async () => heard.length,
      n => n === 2,
      10_000,
    )
    expect(heard).toEqual([undefined, undefined])
    ;(await open()).send({gates: [id(3)]})
    expect(
      await eventually(
        async () => heard.length,
        n => n === 3,
        5000,
      ),
    ).toBe(3)
  })

  it('a replica that is paused within a transaction holds up the others for five seconds, not for ever', async () => {
    await gateRow(db, {id: 'paused', name: 'paused', server_id: 'paused'})
    const other = await openStore(postgres.url)
    const [locked, paused] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const stuck = db.transaction().execute(async tx => {
      await gateDown(tx, 'paused', 'paused')
      locked.resolve()
      await paused.promise
      await gateDown(tx, 'paused', 'paused still')
    })
    const failed = expect(stuck).rejects.toMatchObject({code: 'SERVICE_DOWN'})
    await locked.promise
    await gateDown(other, 'paused', 'goes on')
    paused.resolve()
    await failed
    expect((await gate(other, 'paused'))?.reason).toBe('goes on')
    // Its connection is nobody's any more.
    await gateDown(db, 'paused', 'and so does it')
    expect((await gate(other, 'paused'))?.reason).toBe('and so does it')
    await other.destroy()
  })

  it('who waits for a path hears at once what another replica has done', async () => {
    const [waiting, telling] = [new PathEvents(), new PathEvents()]
    await open(news => waiting.hear(news))
    telling.connect(await open())
    await gateRow(db)
    await pathRow(db, {id: id(1)})
    const begun = performance.now()
    const row = waiting.wait({db, clock: Date.now}, id(1), Date.now() + 60_000)
    await db.updateTable('paths').set({state: 'active'}).execute()
    telling.emit(id(1))
    expect((await row)?.state).toBe('active')
    // Otherwise it would have looked by itself after 5 s.
    expect(performance.now() - begun).toBeLessThan(4000)
  })
})
