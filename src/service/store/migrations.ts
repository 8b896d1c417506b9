import {type Kysely, sql} from 'kysely'
import type {Migration} from 'kysely/migration'

import type {Database, Reach} from './schema.ts'

type Dialect = 'sqlite' | 'postgres'

/** Auto-numbered keys are the one thing the two databases spell differently. */
const serial = (dialect: Dialect) =>
  dialect === 'sqlite' ? sql`integer primary key autoincrement` : sql`bigserial primary key`

async function createTables(db: Kysely<unknown>, dialect: Dialect): Promise<void> {
  await db.schema
    .createTable('gates')
    .addColumn('id', 'text', c => c.primaryKey())
    .addColumn('name', 'text', c => c.notNull().unique())
    .addColumn('server_id', 'text', c => c.notNull().unique())
    .addColumn('project_id', 'text', c => c.notNull())
    .addColumn('scope', 'text', c => c.notNull())
    .addColumn('host', 'text', c => c.notNull())
    .addColumn('port', 'integer', c => c.notNull())
    .addColumn('login', 'text', c => c.notNull())
    .addColumn('host_key', 'text', c => c.notNull())
    .addColumn('state', 'text', c => c.notNull())
    .addColumn('reason', 'text')
    .addColumn('created_at', 'bigint', c => c.notNull())
    .execute()
  await db.schema
    .createTable('attachments')
    .addColumn('id', 'text', c => c.primaryKey())
    .addColumn('gate_id', 'text', c => c.notNull().references('gates.id'))
    .addColumn('slot', 'integer', c => c.notNull())
    .addColumn('network_id', 'text', c => c.notNull())
    .addColumn('project_id', 'text', c => c.notNull())
    .addColumn('mtu', 'integer', c => c.notNull())
    .addColumn('reach', 'text', c => c.notNull())
    .addColumn('port_id', 'text')
    .addColumn('mac', 'text')
    .addColumn('addresses', 'text', c => c.notNull())
    .addColumn('groups', 'text', c => c.notNull())
    .addColumn('state', 'text', c => c.notNull())
    .addColumn('idle_since', 'bigint')
    .addColumn('created_at', 'bigint', c => c.notNull())
    .addUniqueConstraint('attachments_slot', ['gate_id', 'slot'])
    .addUniqueConstraint('attachments_network', ['gate_id', 'network_id'])
    .execute()
  await createPaths(db, dialect)
  await db.schema
    .createTable('host_keys')
    .addColumn('server_id', 'text', c => c.primaryKey())
    .addColumn('keys', 'text', c => c.notNull())
    .addColumn('seen_at', 'bigint', c => c.notNull())
    .execute()
  await sql`create table audit (id ${serial(dialect)}, at bigint not null, action text not null,
    user_id text not null, user_name text not null, project_id text not null, server_id text, path_id text,
    source text, until bigint, detail text)`.execute(db)
  await db.schema.createIndex('audit_at').on('audit').column('at').execute()
}

async function createPaths(db: Kysely<unknown>, dialect: Dialect): Promise<void> {
  await sql`create table paths (serial ${serial(dialect)}, id text not null unique, state text not null,
    user_id text not null, user_name text not null, project_id text not null,
    server_id text not null, server_name text not null, network_id text not null, route text not null,
    address text not null, groups text not null,
    gate_id text not null, attachment_id text not null,
    alias text not null, login text not null, public_key text not null, fingerprint text not null,
    created_at bigint not null, expires_at bigint not null, ended_at bigint, killed_at bigint, released_at bigint,
    error text)`.execute(db)
  // What must never be given twice at the same time is the database's to refuse, not ours to remember.
  const held = 'released_at is null'
  await sql`create unique index paths_alias on paths (gate_id, alias) where ${sql.raw(held)}`.execute(db)
  await sql`create unique index paths_login on paths (gate_id, login) where ${sql.raw(held)}`.execute(db)
  await sql`create unique index paths_owner on paths (user_id, server_id, fingerprint)
    where state in ('pending', 'active')`.execute(db)
  await sql`create index paths_expiry on paths (expires_at) where state in ('pending', 'active')`.execute(db)
}

/**
 * Certificates that are shorter than their paths, host keys that know of rebuilds, interfaces that stay, bars. And what an
 * attachment reached by a router was the first caller's to say: what was planned by that ends, and is planned anew.
 */
async function isolate(db: Kysely<Database>, dialect: Dialect): Promise<void> {
  const bigint = (table: 'paths' | 'host_keys', name: string) =>
    db.schema.alterTable(table).addColumn(name, 'bigint').execute()
  await bigint('paths', 'certificate_until')
  const hour = Date.now() + 3_600_000
  await sql`update paths set certificate_until =
    case when expires_at < ${hour} then expires_at else ${hour} end`.execute(db)
  await db.schema.alterTable('host_keys').addColumn('rebuild', 'text').execute()
  await bigint('host_keys', 'rebuilt_at')
  await db.schema.alterTable('host_keys').addColumn('rebuilt_by', 'text').execute()
  await db.schema
    .alterTable('gates')
    .addColumn('keep_nics', 'text', c => c.notNull().defaultTo('[]'))
    .execute()
  await sql`create table bars (id ${serial(dialect)}, kind text not null, value text not null,
    until bigint not null)`.execute(db)
  for (const {id, reach} of await db.selectFrom('attachments').select(['id', 'reach']).execute()) {
    const link = (JSON.parse(reach) as Reach[]).filter(one => one.via === null)
    const change = {reach: JSON.stringify(link)}
    await db.updateTable('attachments').set(change).where('id', '=', id).execute()
  }
  await sql`update paths set state = 'ended', ended_at = created_at
    where route = 'routed' and state in ('pending', 'active')`.execute(db)
}

/** Every change of the tables since the beginning, in order; an ended one is never edited. */
export function migrations(dialect: Dialect): Record<string, Migration> {
  return {
    '2026-11-23-first': {up: db => createTables(db as Kysely<unknown>, dialect)},
    '2026-11-24-wired-at': {
      up: db => db.schema.alterTable('attachments').addColumn('wired_at', 'bigint').execute(),
    },
    '2026-11-24b-own-groups': {
      up: db => db.schema.alterTable('attachments').addColumn('own_groups', 'text').execute(),
    },
    '2026-11-24c-isolation': {up: db => isolate(db as Kysely<Database>, dialect)},
  }
}
