import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {auditAct, auditDenial, auditPage} from '../../../src/service/store/audit.ts'
import {bar, barred, refuseBarred} from '../../../src/service/store/bars.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {dialects} from '../../support/stores.ts'

/* What is written of refusals, and what an operator's revocation refuses for a while. */

let db: Store
let now: number
const context = () => ({db, clock: () => now})
const who = {id: 'u1', name: 'alice', project_id: 't1', source: '192.0.2.7'}

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    now = 1_000_000_000
  })
  afterEach(() => db.destroy())

  describe('a refusal', () => {
    const what = {detail: 'DENIED', server_id: 's1'}
    const count = async () => (await auditPage(db, {limit: 99, denials: true})).length

    it('is written once a minute, whole', async () => {
      const counts = []
      for (const pass of [0, 0, 59_999, 1, 59_999, 1]) {
        now += pass
        await auditDenial(context(), who, what)
        counts.push(await count())
      }
      expect(counts).toEqual([1, 1, 1, 2, 2, 3])
      expect(await auditPage(db, {limit: 1, denials: true})).toMatchObject([
        {
          ...{action: 'deny', at: now, user_id: 'u1', user_name: 'alice', project_id: 't1', server_id: 's1'},
          ...{path_id: null, source: '192.0.2.7', until: null, detail: 'DENIED'},
        },
      ])
    })

    it.each([
      ['another user', {...who, id: 'u2'}, what],
      ['another VM', who, {...what, server_id: 's2'}],
      ['no VM', who, {detail: 'DENIED'}],
      ['another reason', who, {...what, detail: 'NOT_FOUND'}],
    ])('of %s is another one', async (_, other, else_) => {
      await auditDenial(context(), who, what)
      for (const __ of [1, 2]) await auditDenial(context(), other, else_)
      expect(await count()).toBe(2)
    })

    it('is apart from what was done, and neither buries the other', async () => {
      for (const detail of ['one', 'two', 'three']) {
        await auditAct(db, 'gate-add', who, {at: now, detail})
        await auditDenial(context(), who, {detail})
      }
      const page = async (denials: boolean, before?: number) => {
        const rows = await auditPage(db, {limit: 2, denials, before})
        return [rows.map(row => row.detail), rows.at(-1)?.id ?? 0] as const
      }
      for (const denials of [true, false]) {
        const [first, last] = await page(denials)
        const [second] = await page(denials, last)
        expect([first, second]).toEqual([['three', 'two'], ['one']])
      }
    })
  })

  describe('what an operator has revoked', () => {
    const mine = {user_id: 'u1', server_id: 's1', project_id: 't1'}
    const refused = (whose: typeof mine) =>
      refuseBarred(context(), whose).then(
        () => undefined,
        fault => [fault.code, fault.suggestions[0]],
      )

    it.each([
      [{user_id: 'u1'}, {...mine, user_id: 'u2'}],
      [{server_id: 's1'}, {...mine, server_id: 's2'}],
      [{project_id: 't1'}, {...mine, project_id: 't2'}],
    ])('%j is barred for a minute, and nobody else', async (which, other) => {
      await bar(db, which, now)
      const hint = (s: number) => `new ones are granted again in ${s} s, if Keystone still says so`
      expect(await refused(mine)).toEqual(['DENIED', hint(60)])
      expect([await refused(other), await barred(db, now)]).toEqual([undefined, [which]])
      now += 59_999
      expect([await refused(mine), await barred(db, now)]).toEqual([['DENIED', hint(1)], [which]])
      now += 1
      expect([await refused(mine), await barred(db, now)]).toEqual([undefined, []])
    })

    it('is nothing of another kind with the same id', async () => {
      await bar(db, {user_id: 'x'}, now)
      expect(await refused({...mine, server_id: 'x', project_id: 'x'})).toBeUndefined()
    })

    it('again is barred from then on, and known once', async () => {
      await bar(db, {user_id: 'u1'}, now)
      now += 30_000
      await bar(db, {user_id: 'u1'}, now)
      expect(await barred(db, now)).toEqual([{user_id: 'u1'}])
      now += 59_999
      expect((await refused(mine))?.[0]).toBe('DENIED')
      // What is over goes with the next.
      now += 1
      await bar(db, {user_id: 'u2'}, now)
      expect(await db.selectFrom('bars').select('value').execute()).toEqual([{value: 'u2'}])
    })
  })
})
