import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import type {KyselyPlugin} from 'kysely'

import {Leases} from '../../../src/service/leases.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {dialects} from '../../support/stores.ts'

/* Who may do what only one replica may. PostgreSQL judges by its own clock, SQLite by that of the only replica. */

let db: Store
let now: number
const clock = () => now
const replica = (name: string) => new Leases(db, name, clock)
/** As if the lease had run out. */
const over = () => db.updateTable('leases').set({until: 0}).execute()

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    now = Date.now()
  })
  afterEach(() => db.destroy())

  it('one replica has it at a time, with a number that only grows', async () => {
    const [a, b] = [replica('a'), replica('b')]
    expect(await a.hold('x')).toBe(1)
    expect(await b.hold('x')).toBeUndefined()
    expect(await b.hold('y')).toBe(1)
    await over()
    expect(await b.hold('x')).toBe(2)
  })

  it('of many who ask at once one gets it', async () => {
    const all = Array.from({length: 10}, (_, n) => replica(`replica ${n}`))
    const got = await Promise.all(all.map(one => one.hold('x')))
    expect(got.filter(fence => fence !== undefined)).toEqual([1])
  })

  it('is kept as long as it is renewed, and not a moment longer', async () => {
    const a = replica('a')
    await a.hold('x')
    now += 9999
    await a.renew()
    now += 9999
    // Still without asking anybody.
    await over()
    expect(await a.hold('x')).toBe(1)
    now += 1
    expect(await a.hold('x')).toBe(2)
  })

  it('who was paused finds out by itself that it is another’s', async () => {
    const [a, b] = [replica('a'), replica('b')]
    await a.hold('x')
    await over()
    await b.hold('x')
    await a.renew()
    expect(await a.hold('x')).toBeUndefined()
  })

  it('a replica that starts again goes on at once, and its earlier life cannot', async () => {
    const [before, after] = [replica('a'), replica('a')]
    expect(await before.hold('x')).toBe(1)
    expect(await after.hold('x')).toBe(2)
    await before.renew()
    // It would take it once more; what it had is not its any more.
    expect(await before.hold('x')).toBe(3)
  })

  it('what is given back is anybody’s at once', async () => {
    const [a, b] = [replica('a'), replica('b')]
    await a.hold('x')
    await a.release()
    expect(await a.hold('x')).toBeUndefined()
    // The renewal of a moment later takes nothing back.
    await a.renew()
    expect(await b.hold('x')).toBe(2)
    await a.release()
    expect(await b.hold('x')).toBe(2)
  })

  it('a number that a gate has seen is another’s, or ours of before the database was restored', async () => {
    const [a, b] = [replica('a'), replica('b')]
    await a.hold('x')
    await a.seen('x', 41)
    expect(await a.hold('x')).toBe(42)
    await over()
    await b.hold('x')
    await a.seen('x', 43)
    expect(await a.hold('x')).toBeUndefined()
    expect(await b.hold('x')).toBe(43)
  })

  it('a number that somebody has seen makes no lease of what is not ours, and none last longer', async () => {
    const [a, b] = [replica('a'), replica('b')]
    await a.seen('x', 41)
    expect(await b.hold('x')).toBe(1)
    await a.hold('y')
    now += 9999
    await a.seen('y', 41)
    expect(await a.hold('y')).toBe(42)
    now += 1
    expect(await a.hold('y')).toBe(43)
  })

  it('a renewal that is late does not bring back the number of before', async () => {
    /** When what is asked now is answered. */
    let answer = Promise.resolve()
    const answers = new WeakMap<object, Promise<void>>()
    const plugin: KyselyPlugin = {
      transformQuery({node, queryId}) {
        answers.set(queryId, answer)
        return node
      },
      async transformResult({result, queryId}) {
        await answers.get(queryId)
        return result
      },
    }
    const a = new Leases(db.withPlugin(plugin), 'a', clock)
    expect(await a.hold('x')).toBe(1)
    const late = Promise.withResolvers<void>()
    answer = late.promise
    const renewal = a.renew()
    answer = Promise.resolve()
    await a.seen('x', 41)
    late.resolve()
    await renewal
    expect(await a.hold('x')).toBe(42)
  })

  it('renewed and given back are ours and no other, also of the same name', async () => {
    const [a, b] = [replica('a'), replica('b')]
    await a.hold('x')
    await b.hold('y')
    await a.renew()
    await a.release()
    const rows = await db.selectFrom('leases').select(['name', 'owner', 'until']).orderBy('name').execute()
    expect(rows.map(row => [row.name, row.owner, row.until > 0])).toEqual([
      ['x', 'a', false],
      ['y', 'b', true],
    ])
  })

  it('an earlier life neither raises nor gives back what the later one has', async () => {
    const [raises, gives, after] = [replica('a'), replica('a'), replica('a')]
    expect([await raises.hold('x'), await gives.hold('x'), await after.hold('x')]).toEqual([1, 2, 3])
    await raises.seen('x', 41)
    await gives.release()
    const [row] = await db.selectFrom('leases').select(['fence', 'until']).execute()
    expect([row?.fence, Number(row?.until) > 0]).toEqual([3, true])
    expect([await after.hold('x'), await replica('b').hold('x')]).toEqual([3, undefined])
  })

  it('one that is dropped is nobody’s, and begins anew', async () => {
    const [a, b] = [replica('a'), replica('b')]
    for (const name of ['x', 'y']) await a.hold(name)
    await a.drop('x')
    expect([await b.hold('x'), await b.hold('y')]).toEqual([1, undefined])
    expect(await a.hold('x')).toBeUndefined()
  })
})

it('is another’s from the moment on at which it ends', async () => {
  db = await openStore(':memory:')
  now = 1_000_000
  const [a, b] = [replica('a'), replica('b')]
  await a.hold('x')
  now += 9999
  expect(await b.hold('x')).toBeUndefined()
  now += 1
  expect(await b.hold('x')).toBe(2)
  await db.destroy()
})
