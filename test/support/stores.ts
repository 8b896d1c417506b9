import {afterAll, beforeAll} from '@jest/globals'
import pg from 'pg'

import {openStore, type Store} from '../../src/service/store/open.ts'
import {hasPostgres, startPostgres} from './postgres.ts'

/* The databases that the service runs on, each opened anew, for suites that run over both. */

export interface Dialect {
  readonly name: 'SQLite' | 'PostgreSQL'
  /** An empty database with today's tables; whatever was opened before is gone. */
  open(): Promise<Store>
}

let server: ReturnType<typeof startPostgres> | undefined
// Its start takes seconds on a busy machine, more than a test's first line may.
beforeAll(() => {
  if (hasPostgres()) server = startPostgres()
}, 120_000)
afterAll(() => server?.stop())

async function openPostgres(): Promise<Store> {
  const url = server?.url ?? ''
  const client = new pg.Client({connectionString: url})
  await client.connect()
  // Its tables stay: to make them anew, or a database a test, takes many times as long.
  const {rows} = await client.query<{name: string}>(
    `select quote_ident(tablename) as name from pg_tables where schemaname = 'public' and tablename not like 'kysely%'`,
  )
  if (rows.length > 0)
    await client.query(`truncate ${rows.map(row => row.name).join(', ')} restart identity cascade`)
  await client.end()
  return openStore(url)
}

export const dialects: readonly Dialect[] = [
  {name: 'SQLite', open: () => openStore(':memory:')},
  ...(hasPostgres() ? [{name: 'PostgreSQL' as const, open: openPostgres}] : []),
]
