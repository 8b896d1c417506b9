import {type Kysely, sql} from 'kysely'
import type {Migration} from 'kysely/migration'

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
  }
}
