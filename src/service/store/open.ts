import {type Dialect, Kysely, SqliteDialect} from 'kysely'
import {Migrator} from 'kysely/migration'

import {migrations} from './migrations.ts'
import type {Database} from './schema.ts'

export type Store = Kysely<Database>

/**
 * Opens the database and brings its tables up to date.
 *
 * @param url a file path (or `:memory:`) for SQLite, `postgres://…` for PostgreSQL
 * @throws Error of the driver when it cannot be opened
 */
export async function openStore(url: string): Promise<Store> {
  const postgres = /^postgres(ql)?:/.test(url)
  const db: Store = new Kysely<Database>({
    dialect: postgres ? await postgresDialect(url) : await sqliteDialect(url),
  })
  const migrator = new Migrator({
    db,
    provider: {getMigrations: async () => migrations(postgres ? 'postgres' : 'sqlite')},
  })
  const {error} = await migrator.migrateToLatest()
  if (error !== undefined) {
    await db.destroy()
    throw error
  }
  return db
}

async function sqliteDialect(file: string): Promise<Dialect> {
  const {default: Sqlite} = await import('better-sqlite3')
  const database = new Sqlite(file)
  // WAL: a kill -9 loses nothing that was committed. FULL: neither does a power cut.
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.pragma('foreign_keys = ON')
  database.pragma('busy_timeout = 5000')
  return new SqliteDialect({database})
}

async function postgresDialect(url: string): Promise<Dialect> {
  const {PostgresDialect} = await import('kysely')
  const {default: pg} = await import('pg')
  // int8 arrives as text by default; our times and serials are far below 2^53
  const int8 = 20
  pg.types.setTypeParser(int8, Number)
  return new PostgresDialect({pool: new pg.Pool({connectionString: url, max: 8})})
}
