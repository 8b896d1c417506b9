import {mkdtempSync, readdirSync, readFileSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {newKeys} from '../../../src/embedded/keys.ts'
import {
  type Bundle,
  bundleOf,
  openBundle,
  placeDatabase,
  placeForStart,
  sealBundle,
} from '../../../src/embedded/transfer.ts'
import {instanceOf, noteTaken} from '../../../src/service/store/instance.ts'
import {takeLease} from '../../../src/service/store/leases.ts'
import {openStore} from '../../../src/service/store/open.ts'
import {gateRow} from '../../support/rows.ts'

/* A service that goes from machine to machine. */

const home = mkdtempSync(join(tmpdir(), 'os-ssh-transfer-'))
afterAll(() => rmSync(home, {recursive: true}))

const mark = {service: '00000000-0000-4000-8000-000000000001', project: {id: 'p', name: 'tenant1'}}
const keys = newKeys()
let place: {state: string; run: string}
beforeEach(() => {
  place = {state: mkdtempSync(join(home, 'state-')), run: home}
})

async function bundle(): Promise<Bundle> {
  const db = await openStore(join(place.state, 'service.db'))
  await gateRow(db)
  await takeLease(db, 'gate g', 'laptop', {now: 1000, life: 10_000})
  // Not in the file itself yet: what a kill leaves in the WAL comes along.
  const one = await bundleOf(place, mark, keys)
  await db.destroy()
  return one
}

it('opens by its passphrase, and by no other', async () => {
  const one = await bundle()
  const text = await sealBundle(one, 'correct horse')
  expect(await openBundle(text, 'correct horse')).toEqual(one)
  for (const wrong of ['', 'correct horse ', 'Correct horse'])
    await expect(openBundle(text, wrong)).rejects.toMatchObject({
      code: 'USAGE',
      message: 'the passphrase does not open this file, or it is damaged',
    })
})

it('opens no file that was changed, and none that is something else', async () => {
  const text = await sealBundle(await bundle(), 'secret')
  const [format, salt = '', sealed = ''] = text.split('\n')
  for (const damaged of [
    [format, salt, `${sealed.slice(0, -8)}AAAA${sealed.slice(-4)}`],
    [format, `A${salt.slice(1)}`.replace(salt, `B${salt.slice(1)}`), sealed],
    [format, salt, ''],
  ])
    await expect(openBundle(damaged.join('\n'), 'secret')).rejects.toMatchObject({code: 'USAGE'})
  await expect(openBundle('gates: {}\n', 'secret')).rejects.toMatchObject({
    message: 'this is no file of os-ssh service export, or one of a newer os-ssh',
  })
})

it('is another copy of the same service, ahead of the one before and taken over by nobody', async () => {
  const one = await bundle()
  const file = join(place.state, 'other.db')
  await placeDatabase(one, file)
  const [before, after] = [await openStore(join(place.state, 'service.db')), await openStore(file)]
  const id = async (db: typeof before) => (await db.selectFrom('service').select('id').executeTakeFirst())?.id
  expect(await id(after)).toBe(await id(before))
  expect((await instanceOf(after)).id).not.toBe((await instanceOf(before)).id)
  expect(await after.selectFrom('leases').selectAll().execute()).toMatchObject([
    {name: 'gate g', until: 0, fence: 1_000_001},
  ])
  await noteTaken(before, 'bob on b')
  expect(await instanceOf(before)).toMatchObject({takenBy: 'bob on b'})
  expect(await instanceOf(after)).toMatchObject({takenBy: undefined})
  for (const db of [before, after]) await db.destroy()
})

it('each copy is one of its own: which one has the gates is told by that', async () => {
  const one = await bundle()
  const ids = new Set<string>()
  for (const name of ['a', 'b', 'c']) {
    await placeDatabase(one, join(place.state, name))
    const db = await openStore(join(place.state, name))
    ids.add((await instanceOf(db)).id)
    await db.destroy()
  }
  expect(ids.size).toBe(3)
  expect(ids).not.toContain(mark.service)
})

it('is put where service start finds all of it, its secrets 0600', async () => {
  const directory = join(place.state, 'server')
  const config = await placeForStart({...(await bundle()), settings: 'gates:\n  max: 2\n'}, directory)
  expect(readFileSync(config, 'utf8')).toBe('state: .\nmanagement_key: management_key\ngates:\n  max: 2\n')
  expect(readFileSync(join(directory, 'management_key'), 'utf8')).toBe(keys.management)
  expect(readFileSync(join(directory, 'ca', 'host_ca'), 'utf8')).toBe(keys.host_ca)
  const files = readdirSync(directory, {recursive: true, encoding: 'utf8'}).sort()
  expect(files).toEqual(['ca', 'ca/host_ca', 'ca/user_ca', 'management_key', 'service.db', 'service.yaml'])
  for (const name of files.filter(one => one !== 'ca'))
    expect([name, statSync(join(directory, name)).mode & 0o777]).toEqual([name, 0o600])
})
