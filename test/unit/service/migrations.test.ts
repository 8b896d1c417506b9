import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, it} from '@jest/globals'
import Sqlite from 'better-sqlite3'
import {Kysely, SqliteDialect} from 'kysely'
import {Migrator} from 'kysely/migration'

import {migrations} from '../../../src/service/store/migrations.ts'
import {openStore} from '../../../src/service/store/open.ts'
import type {Database} from '../../../src/service/store/schema.ts'

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
      '[]', '[]', 'ready', null, 0, null, null);
    insert into host_keys values ('vm', '["k"]', 1);`)
  for (const [n, route] of ['attached', 'routed'].entries())
    database.exec(`insert into paths values (${n + 1}, '${route}', 'active', 'u', 'alice', 't1', 'vm${n}', 'web', 'n1',
      '${route}', '10.0.0.5', '[]', 'g', 'a', '100.64.0.${16 + n}', 'osp000${n}', 'k', 'f', 5, 9000, null, null, null, null)`)
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
  ])
  const {reach} = await db.selectFrom('attachments').select('reach').executeTakeFirstOrThrow()
  expect(JSON.parse(reach)).toEqual([link])
  expect(await db.selectFrom('gates').select('keep_nics').executeTakeFirst()).toEqual({keep_nics: '[]'})
  expect(await db.selectFrom('host_keys').select('rebuild').executeTakeFirst()).toEqual({rebuild: null})
  await db.destroy()
})
