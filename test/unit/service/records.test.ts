import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {auditAct, auditDenial, auditPage} from '../../../src/service/store/audit.ts'
import {bar, barred, refuseBarred} from '../../../src/service/store/bars.ts'
import {addPin, dropPin, notePin, pin, replacePin} from '../../../src/service/store/host-keys.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {dialects} from '../../support/stores.ts'

/* What is written down beside the paths: who was refused, who is barred, which host keys a VM has. */

const alice = {id: 'u', name: 'alice', project_id: 't', source: '192.0.2.7'}
let db: Store
let now: number
const clock = () => now

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    now = 1_000_000
  })
  afterEach(() => db.destroy())

  const denials = () => auditPage(db, {limit: 99, denials: true})

  it('the same refusal is written once a minute, with whom, what and from where', async () => {
    const deny = (who = alice, what: {detail: string; server_id?: string} = {detail: 'no', server_id: 's'}) =>
      auditDenial({db, clock}, who, what)
    await deny()
    now += 59_999
    await deny()
    const row = {user_id: 'u', user_name: 'alice', project_id: 't', server_id: 's', source: '192.0.2.7'}
    const rest = {id: expect.any(Number), action: 'deny', detail: 'no', path_id: null, until: null}
    expect(await denials()).toEqual([{...row, ...rest, at: 1_000_000}])
    now += 1
    await deny()
    expect((await denials()).map(one => one.at)).toEqual([1_060_000, 1_000_000])
    // Anything else is another refusal.
    await deny({...alice, id: 'v'})
    await deny(alice, {detail: 'never', server_id: 's'})
    await deny(alice, {detail: 'no', server_id: 's2'})
    await deny(alice, {detail: 'no'})
    await deny(alice, {detail: 'no'})
    expect((await denials()).slice(0, -2).map(one => [one.user_id, one.detail, one.server_id])).toEqual([
      ...[
        ['u', 'no', null],
        ['u', 'no', 's2'],
        ['u', 'never', 's'],
        ['v', 'no', 's'],
      ],
    ])
  })

  it('is read page by page, the newest first; refusals apart', async () => {
    for (let n = 0; n < 3; n++) {
      await auditAct(db, 'gate-allow', alice, {at: n, detail: `${n}`})
      await auditAct(db, 'deny', alice, {at: n, detail: `no ${n}`})
    }
    const page = async (before?: number, refused = false) =>
      (await auditPage(db, {limit: 2, before, denials: refused})).map(row => [row.id, row.detail])
    const [[, first], [second, two]] = (await page()) as [[number, string], [number, string]]
    expect([first, two]).toEqual(['2', '1'])
    expect((await page(second)).map(([, detail]) => detail)).toEqual(['0'])
    expect((await page(undefined, true)).map(([, detail]) => detail)).toEqual(['no 2', 'no 1'])
  })

  const of = {user_id: 'x', server_id: 'y', project_id: 'z'}
  it.each([
    ['the user', {user_id: 'x'}],
    ['the VM', {server_id: 'y'}],
    ['the project', {project_id: 'z'}],
  ])(
    'whoever was revoked by %s is barred for a minute, and nobody of the same name in another place',
    async (_, which) => {
      await bar(db, which, now)
      expect(await barred(db, now)).toEqual([which])
      // As if users, VMs and projects had each other’s ids.
      const [value = ''] = Object.values(which)
      const others = Object.fromEntries(
        Object.keys(of)
          .filter(name => !(name in which))
          .map(name => [name, value]),
      )
      await expect(refuseBarred({db, clock}, others)).resolves.toBeUndefined()
      now += 59_001
      await expect(refuseBarred({db, clock}, of)).rejects.toMatchObject({
        code: 'DENIED',
        message: 'an operator has just revoked the paths of this user, VM or project',
        suggestions: ['new ones are granted again in 1 s, if Keystone still says so'],
      })
      now += 999
      await expect(refuseBarred({db, clock}, of)).resolves.toBeUndefined()
      expect(await barred(db, now)).toEqual([])
    },
  )

  it('the last of several bars counts, and one that is over is cleared away', async () => {
    await bar(db, {user_id: 'x'}, now)
    await bar(db, {user_id: 'x'}, now + 10_000)
    const again = {suggestions: [expect.stringContaining('in 70 s')]}
    await expect(refuseBarred({db, clock}, of)).rejects.toMatchObject(again)
    expect(await barred(db, now)).toEqual([{user_id: 'x'}])
    await bar(db, {server_id: 'w'}, now + 60_000)
    const left = await db.selectFrom('bars').select(['kind', 'value']).orderBy('id').execute()
    expect(left).toEqual([
      {kind: 'user', value: 'x'},
      {kind: 'vm', value: 'w'},
    ])
  })

  it('the first keys of a VM count, and are replaced by whoever saw the newest only', async () => {
    const blank = {rebuild: null, rebuilt_at: null, rebuilt_by: null}
    const row = (keys: string[], seen_at: number) => ({server_id: 's', keys, seen_at, ...blank})
    await addPin(db, row(['a'], 1))
    await addPin(db, row(['b'], 2))
    await addPin(db, {...row(['other'], 1), server_id: 's2'})
    expect(await pin(db, 's')).toEqual(row(['a'], 1))
    await replacePin(db, {server_id: 's', seen_at: 1}, {...blank, keys: ['c'], seen_at: 3})
    await replacePin(db, {server_id: 's', seen_at: 1}, {...blank, keys: ['late'], seen_at: 4})
    expect(await pin(db, 's')).toEqual(row(['c'], 3))
    const rebuild = {rebuild: 'req', rebuilt_at: 5, rebuilt_by: 'u'}
    await notePin(db, 's', rebuild)
    expect(await pin(db, 's')).toEqual({...row(['c'], 3), ...rebuild})
    for (const at of [7, 8]) await dropPin(db, 's', alice, at)
    const other = {...row(['other'], 1), server_id: 's2'}
    expect([await pin(db, 's'), await pin(db, 's2')]).toEqual([undefined, other])
    // The second time there was nothing to forget.
    expect(await auditPage(db, {limit: 9, denials: false})).toMatchObject([
      {action: 'forget-host-keys', at: 7, server_id: 's', user_id: 'u', source: '192.0.2.7'},
    ])
  })
})
