import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {Leases} from '../../../src/service/leases.ts'
import type {Store} from '../../../src/service/store/open.ts'
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
})
