import {
  type Dialect,
  Kysely,
  PostgresAdapter,
  type PostgresPoolClient,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  sql,
} from 'kysely'
import {DEFAULT_MIGRATION_TABLE, Migrator} from 'kysely/migration'

import {OsSshError} from '../../errors.ts'
import {type Dialect as MigrationDialect, migrations} from './migrations.ts'
import type {Database} from './schema.ts'

export type Store = Kysely<Database>

/** Runs it in a transaction: of its own, or the one that there is. @throws what it throws, and then nothing has changed */
export function atomically<T>(db: Store, run: (tx: Store) => Promise<T>): Promise<T> {
  return db.isTransaction ? run(db) : db.transaction().execute(run)
}

/** One transaction at a time goes on from here; the next one then sees what this one has done. */
export async function alone(tx: Store, what: string): Promise<void> {
  // SQLite has one writer anyway.
  if (sharesTables(tx)) await sql`select pg_advisory_xact_lock(hashtextextended(${what}, 0))`.execute(tx)
}

/** Do replicas share it? */
export const sharesTables = (db: Store) => db.getExecutor().adapter instanceof PostgresAdapter

/** Is it the URL of one that replicas share? */
export const isPostgres = (url: string) => /^postgres(ql)?:/.test(url)

/**
 * Opens the database and brings its tables up to date.
 *
 * @param url a file path (or `:memory:`) for SQLite, `postgres://…` for PostgreSQL
 * @throws Error of the driver when it cannot be opened
 */
export async function openStore(url: string): Promise<Store> {
  const postgres = isPostgres(url)
  const db: Store = new Kysely<Database>({
    dialect: postgres ? await postgresDialect(url) : await sqliteDialect(url),
  })
  try {
    await migrate(db, postgres ? 'postgres' : 'sqlite')
  } catch (error) {
    await db.destroy()
    throw error
  }
  return db
}

/**
 * Brings the tables up to date. During an upgrade without downtime the version before this one works on them, too: what a newer
 * one has added is let be. A migration after which an older one would misread or miswrite something has `breaking` in its name.
 *
 * @throws OsSshError CONFIG for tables of a newer version that broke with this one, Error of the driver
 */
export async function migrate(db: Store, dialect: MigrationDialect): Promise<void> {
  const own = migrations(dialect)
  const tables = await db.introspection.getTables({withInternalKyselyTables: true})
  const done = tables.some(table => table.name === DEFAULT_MIGRATION_TABLE)
    ? await sql<{name: string}>`select name from ${sql.table(DEFAULT_MIGRATION_TABLE)}`.execute(db)
    : {rows: []}
  const newer = done.rows.map(row => row.name).filter(name => !(name in own))
  if (newer.some(name => name.includes('breaking')))
    throw new OsSshError(
      'CONFIG',
      'the database is of a newer os-ssh, whose tables this one does not understand',
      {hint: 'start that version, or restore the database from before the upgrade'},
    )
  const known = {...own, ...Object.fromEntries(newer.map(name => [name, {up: async () => undefined}]))}
  const {error} = await new Migrator({db, provider: {getMigrations: async () => known}}).migrateToLatest()
  if (error !== undefined) throw error
}

/** SQLite's changes of tables are part of transactions; the library, which knows other reasons, makes none for them. */
class TransactionalSqlite extends SqliteDialect {
  override createAdapter() {
    return new (class extends SqliteAdapter {
      override get supportsTransactionalDdl() {
        return true
      }
    })()
  }
}

async function sqliteDialect(file: string): Promise<Dialect> {
  const {default: Sqlite} = await import('better-sqlite3')
  const database = new Sqlite(file)
  // WAL: a kill -9 loses nothing that was committed. FULL: neither does a power cut.
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.pragma('foreign_keys = ON')
  database.pragma('busy_timeout = 5000')
  return new TransactionalSqlite({database: preparedOnce(database)})
}

/** Statements that are kept; those with lists of ids are many. */
const STATEMENTS = 300

const nothing: ReturnType<SqliteDatabase['prepare']> = {
  reader: false,
  all: () => [],
  run: () => ({changes: 0, lastInsertRowid: 0}),
  iterate: () => [].values(),
}

/** The same database, which compiles a statement when it is first asked for: that takes as long as to run it. */
function preparedOnce(database: SqliteDatabase & {readonly inTransaction: boolean}): SqliteDatabase {
  const prepared = new Map<string, ReturnType<SqliteDatabase['prepare']>>()
  return {
    close: () => database.close(),
    prepare(text) {
      // A full or broken disk has ended the transaction already; a rollback that fails would hide why.
      if (text === 'rollback' && !database.inTransaction) return nothing
      let statement = prepared.get(text)
      if (statement === undefined) {
        if (prepared.size >= STATEMENTS) prepared.clear()
        statement = database.prepare(text)
        prepared.set(text, statement)
      }
      return statement
    },
  }
}

/** What a database may take to answer, ms: one that is cut off says nothing at all. */
const QUERY_MS = 60_000
/** A replica that is paused within a transaction keeps its locks for so long, ms: then the database ends that. */
const PAUSE_MS = 5000
/** To connect, or until one of the pool is free, ms. */
const POOL_MS = 30_000
/** For pg: to connect, and to notice that nobody is there any more, ms. */
export const patience = {
  connectionTimeoutMillis: 10_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
} as const

async function postgresDialect(url: string): Promise<Dialect> {
  const {PostgresDialect} = await import('kysely')
  const {default: pg} = await import('pg')
  // int8 arrives as text by default; our times and serials are far below 2^53
  const int8 = 20
  pg.types.setTypeParser(int8, Number)
  const pool = new pg.Pool({
    connectionString: url,
    max: 8,
    query_timeout: QUERY_MS,
    ...patience,
    connectionTimeoutMillis: POOL_MS,
    idle_in_transaction_session_timeout: PAUSE_MS,
  })
  // A connection that the server ends is replaced when the next one is needed; unheard, it would end the service: an idle one is
  // the pool's to hear of, one in use its own.
  pool.on('error', () => undefined)
  pool.on('connect', client => client.on('error', () => undefined))
  const told = <T>(asked: Promise<T>, silent: () => void = () => undefined) =>
    asked.catch(cause => {
      // SQLSTATE 57P: the server is stopping or starting; 25P03: it has ended us. What has none is no answer of it.
      const answered = cause instanceof pg.DatabaseError && !/^57P|^25P03/.test(cause.code ?? '')
      if (answered) throw cause
      silent()
      throw new OsSshError('SERVICE_DOWN', 'the database of the SSH service does not answer', {cause})
    })
  return new PostgresDialect({
    pool: {
      options: {},
      end: () => pool.end(),
      async connect() {
        const client = await told(pool.connect())
        // What has not answered may be in a transaction still: nobody else gets it.
        let isBroken = false
        const query = (text: string, values: readonly unknown[]) =>
          told(client.query(text, [...values]), () => {
            isBroken = true
          })
        return {query, release: () => client.release(isBroken)} as unknown as PostgresPoolClient
      },
    },
  })
}

/** How many rows of a table there are, by state. */
export async function countByState(
  db: Store,
  table: 'paths' | 'gates' | 'attachments',
): Promise<ReadonlyMap<string, number>> {
  const rows = await db
    .selectFrom(table)
    .select(['state', e => e.fn.countAll<number>().as('n')])
    .groupBy('state')
    .execute()
  return new Map(rows.map(row => [row.state, Number(row.n)]))
}
