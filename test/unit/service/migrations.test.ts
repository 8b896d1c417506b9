import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, describe, expect, it} from '@jest/globals'
import Sqlite from 'better-sqlite3'
import {Kysely, SqliteDialect, sql} from 'kysely'
import {Migrator} from 'kysely/migration'

import {migrations} from '../../../src/service/store/migrations.ts'
import {migrate, openStore} from '../../../src/service/store/open.ts'
import type {Database} from '../../../src/service/store/schema.ts'
import {dialects} from '../../support/stores.ts'

const home = mkdtempSync(join(tmpdir(), 'os-ssh-migrations-'))
afterAll(() => rmSync(home, {recursive: true}))

it('ends what an older version planned by the first caller’s view, and keeps the rest', async () => {
  const file = join(home, 'service.db')
  const old = new Kysely<Database>({dialect: new SqliteDialect({database: new Sqlite(file)})})
  const migrator = new Migrator({db: old, provider: {getMigrations: async () => migrations('sqlite')}})
  await migrator.migrateTo('2026-11-24b-own-groups')
  const link = {network_id: 'n1', cidr: '10.0.0.0/24', via: null}
  const beyond = {network_id: 'n2', cidr: '10.0.2.0/24', via: '10.0.0.77'}
  const database = new Sqlite(file)
  database.exec(`
    insert into gates values ('g', 'gate1', 's', 'infra', 'shared', 'h', 22, 'root', 'k', 'ready', null, 0);
    insert into attachments values ('a', 'g', 0, 'n1', 't1', 1450, '${JSON.stringify([link, beyond])}', null, null,
      '[]', '["own","vm"]', 'ready', null, 0, null, '["own"]');
    insert into host_keys values ('vm', '["k"]', 1);`)
  for (const [n, route] of ['attached', 'routed'].entries())
    database.exec(`insert into paths values (${n + 1}, '${route}', 'active', 'u', 'alice', 't1', 'vm${n}', 'web', 'n1',
      '${route}', '10.0.0.5', '["vm"]', 'g', 'a', '100.64.0.${16 + n}', 'osp000${n}', 'k', 'f', 5, 9000, null, null, null, null)`)
  for (const [n, released] of ['null', '8'].entries())
    database.exec(`insert into paths values (${n + 3}, 'old${n}', 'failed', 'u', 'alice', 't1', 'vm', 'web', 'n1',
      'attached', '10.0.0.5', '[]', 'g', 'a', '100.64.1.${n}', 'osp001${n}', 'k', 'f', 5, 9000, 6, 7, ${released}, '{}')`)
  database.close()
  await old.destroy()

  const db = await openStore(file)
  const paths = await db
    .selectFrom('paths')
    .select(['id', 'state', 'certificate_until'])
    .orderBy('serial')
    .execute()
  expect(paths).toEqual([
    {id: 'attached', state: 'active', certificate_until: 9000},
    {id: 'routed', state: 'ended', certificate_until: 9000},
    {id: 'old0', state: 'cut', certificate_until: 9000},
    {id: 'old1', state: 'released', certificate_until: 9000},
  ])
  expect(await db.selectFrom('attachment_groups').select(['group_id', 'own']).execute()).toEqual([
    {group_id: 'own', own: 1},
    {group_id: 'vm', own: 0},
  ])
  expect(await db.selectFrom('path_groups').selectAll().execute()).toEqual([
    {path_id: 'attached', group_id: 'vm'},
  ])
  const {reach} = await db.selectFrom('attachments').select('reach').executeTakeFirstOrThrow()
  expect(JSON.parse(reach)).toEqual([link])
  expect(await db.selectFrom('gates').select('keep_nics').executeTakeFirst()).toEqual({keep_nics: '[]'})
  expect(await db.selectFrom('host_keys').select('rebuild').executeTakeFirst()).toEqual({rebuild: null})
  await db.destroy()
})

it('a migration that is cut off anywhere leaves the database as it was', async () => {
  const file = join(home, 'cut.db')
  const old = new Kysely<Database>({dialect: new SqliteDialect({database: new Sqlite(file)})})
  const migrator = new Migrator({db: old, provider: {getMigrations: async () => migrations('sqlite')}})
  await migrator.migrateTo('2026-11-24c-isolation')
  await old.destroy()
  const database = new Sqlite(file)
  // In the way of its second table.
  database.exec('create table path_groups (x)')
  await expect(openStore(file)).rejects.toThrow('path_groups')
  database.exec('drop table path_groups')
  database.close()
  const db = await openStore(file)
  expect(await db.selectFrom('path_groups').selectAll().execute()).toEqual([])
  await db.destroy()
})

describe.each(dialects)('on $name', ({open}) => {
  /** Begins on a database that has seen this migration of a version to come. */
  const beginAfter = async (name: string) => {
    const db = await open()
    // Kysely's own times run ahead by a millisecond a migration.
    const later = new Date(Date.now() + 60_000).toISOString()
    await sql`insert into kysely_migration values (${name}, ${later})`.execute(db)
    try {
      await migrate(db, 'sqlite')
    } finally {
      await sql`delete from kysely_migration where name = ${name}`.execute(db)
      await db.destroy()
    }
  }

  it('works on the tables of the next version, which only added to them', async () => {
    await expect(beginAfter('2999-01-01-more')).resolves.toBeUndefined()
  })

  it('refuses tables that it would misread', async () => {
    await expect(beginAfter('2999-01-01-breaking-other')).rejects.toMatchObject({
      code: 'CONFIG',
      message: 'the database is of a newer os-ssh, whose tables this one does not understand',
    })
  })
})
