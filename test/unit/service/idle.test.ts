import {expect, it} from '@jest/globals'

import {type OpenStack, OpenStackError, type OpenStackFault} from '../../../src/openstack/index.ts'
import {Account} from '../../../src/service/account.ts'
import {Activity} from '../../../src/service/activity.ts'
import {Copy} from '../../../src/service/copy.ts'
import {instanceOf} from '../../../src/service/store/instance.ts'
import {openStore} from '../../../src/service/store/open.ts'

/* What a service on demand goes by: whether somebody needs it, whether its account can do anything, and whether it is the last copy. */

it('is quiet since the last answer, and never while anybody waits for one', () => {
  let now = 1000
  const activity = new Activity(() => now)
  const look = () => [activity.underWay, activity.quiet]
  now += 5
  expect(look()).toEqual([0, 5])
  activity.begin()
  activity.begin()
  now += 100
  activity.end()
  expect(look()).toEqual([1, 0])
  now += 100
  expect(look()).toEqual([1, 0])
  activity.end()
  expect(look()).toEqual([0, 0])
  now += 7
  expect(look()).toEqual([0, 7])
  // A clock that was set back.
  now -= 5000
  expect(look()).toEqual([0, 0])
})

it('a copy that was taken over says so from then on, after a restart, too', async () => {
  const db = await openStore(':memory:')
  const copy = new Copy(db, await instanceOf(db))
  expect([copy.takenBy, copy.mustRun()]).toEqual([undefined, undefined])
  const moved = {code: 'MOVED', message: 'the gates of this service are run by bob on b now'}
  expect(await copy.taken('bob on b')).toMatchObject(moved)
  for (const one of [copy, new Copy(db, await instanceOf(db))]) {
    expect([one.id, one.takenBy]).toEqual([copy.id, 'bob on b'])
    expect(() => one.mustRun()).toThrow(expect.objectContaining(moved))
  }
  await db.destroy()
})

it('who has taken it over without a name has done so all the same', async () => {
  const db = await openStore(':memory:')
  const copy = new Copy(db, {id: 'copy'})
  expect(await copy.taken('')).toMatchObject({
    message: 'the gates of this service are run by somebody else now',
  })
  expect([copy.takenBy, (await instanceOf(db)).takenBy]).toEqual(['somebody else', 'somebody else'])
  await db.destroy()
})

const account = (until: number | undefined, renews?: boolean) => {
  const at = {now: 1_000_000, renewed: 0}
  const cloud = {identity: {until, renew: () => at.renewed++}} as unknown as OpenStack
  return {at, account: new Account(cloud, () => at.now, renews)}
}

it.each([
  [300_000, false, false, false],
  [299_999, false, true, false],
  [0, false, true, false],
  [-1, false, true, true],
  [-1, true, false, false],
])('an account whose token ends in %d ms, and gets others: %p', (ms, renews, isEnding, hasEnded) => {
  const {account: one} = account(1_000_000 + ms, renews)
  expect([one.isEnding, one.hasEnded]).toEqual([isEnding, hasEnded])
})

it('an account that never had a token, and gets none, has ended', () => {
  expect(account(undefined, false).account.hasEnded).toBe(true)
})

const refused = (fault: OpenStackFault) => new OpenStackError(fault, 'no')

it.each([
  ['forbidden', 2, 1],
  ['not-found', 2, 1],
  ['quota', 1, 0],
  ['unreachable', 1, 0],
] as const)(
  'what the cloud answers with %s is asked %d times, with %d new tokens',
  async (fault, tries, renewals) => {
    const {at, account: one} = account(undefined)
    let asked = 0
    const task = async () => {
      asked++
      throw refused(fault)
    }
    await expect(one.retry(task)).rejects.toMatchObject({fault})
    expect([asked, at.renewed]).toEqual([tries, renewals])
  },
)

it('a role that was granted meanwhile is found, and what stays refused renews no token within 5 s', async () => {
  const {at, account: one} = account(undefined)
  const answers = [() => Promise.reject(refused('forbidden')), async () => 'done']
  expect(await one.retry(() => (answers.shift() as () => Promise<string>)())).toBe('done')
  const never = () => Promise.reject(refused('forbidden'))
  at.now += 4999
  await expect(one.retry(never)).rejects.toMatchObject({fault: 'forbidden'})
  expect(at.renewed).toBe(1)
  at.now += 1
  await expect(one.retry(never)).rejects.toMatchObject({fault: 'forbidden'})
  expect(at.renewed).toBe(2)
})
