import {randomUUID} from 'node:crypto'

import {type Kysely, sql} from 'kysely'
import type {Migration} from 'kysely/migration'

export type Dialect = 'sqlite' | 'postgres'

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

/** What migrations read, as it was then: the types of schema.ts are today's. */
interface Then {
  attachments: {
    id: string
    network_id: string
    project_id: string
    reach: string
    groups: string
    own_groups: string | null
  }
  paths: {
    id: string
    network_id: string
    project_id: string
    attachment_id: string
    groups: string
    state: string
  }
  attachment_groups: {attachment_id: string; group_id: string; own: number}
  path_groups: {path_id: string; group_id: string}
}

/**
 * Certificates that are shorter than their paths, host keys that know of rebuilds, interfaces that stay, bars. And what an
 * attachment reached by a router was the first caller's to say: what was planned by that ends, and is planned anew.
 */
async function isolate(db: Kysely<Then>, dialect: Dialect): Promise<void> {
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
    const link = (JSON.parse(reach) as {via: string | null}[]).filter(one => one.via === null)
    const change = {reach: JSON.stringify(link)}
    await db.updateTable('attachments').set(change).where('id', '=', id).execute()
  }
  await sql`update paths set state = 'ended', ended_at = created_at
    where route = 'routed' and state in ('pending', 'active')`.execute(db)
}

/** The state of a path says whether the gate has cut it and who has its account; security groups are rows, to join. */
async function oneState(db: Kysely<Then>): Promise<void> {
  await db.schema
    .createTable('attachment_groups')
    .addColumn('attachment_id', 'text', c => c.notNull().references('attachments.id').onDelete('cascade'))
    .addColumn('group_id', 'text', c => c.notNull())
    .addColumn('own', 'integer', c => c.notNull())
    .addPrimaryKeyConstraint('attachment_groups_key', ['attachment_id', 'group_id'])
    .execute()
  await sql`create table path_groups (path_id text not null references paths (id) on delete cascade,
    group_id text not null, primary key (path_id, group_id))`.execute(db)
  await copyGroups(db)
  for (const index of ['paths_alias', 'paths_login']) await db.schema.dropIndex(index).execute()
  await sql`update paths set state = case when released_at is null then 'cut' else 'released' end
    where killed_at is not null`.execute(db)
  await db.schema.alterTable('paths').renameColumn('killed_at', 'cut_at').execute()
  for (const column of ['released_at', 'groups'])
    await db.schema.alterTable('paths').dropColumn(column).execute()
  for (const column of ['own_groups', 'groups'])
    await db.schema.alterTable('attachments').dropColumn(column).execute()
  const held = `state <> 'released'`
  await sql`create unique index paths_alias on paths (gate_id, alias) where ${sql.raw(held)}`.execute(db)
  await sql`create unique index paths_login on paths (gate_id, login) where ${sql.raw(held)}`.execute(db)
  await sql`create index paths_ended on paths (ended_at) where state = 'released'`.execute(db)
  await sql`create index paths_attachment on paths (attachment_id) where ${sql.raw(held)}`.execute(db)
}

async function copyGroups(db: Kysely<Then>): Promise<void> {
  const attachments = await db.selectFrom('attachments').selectAll().execute()
  for (const {id, groups, own_groups} of attachments) {
    const own = new Set(JSON.parse(own_groups ?? '[]') as string[])
    for (const group_id of new Set(JSON.parse(groups) as string[]))
      await db
        .insertInto('attachment_groups')
        .values({attachment_id: id, group_id, own: Number(own.has(group_id))})
        .execute()
  }
  const paths = await db.selectFrom('paths').selectAll().where('state', 'in', ['pending', 'active']).execute()
  for (const path of paths) {
    const on = attachments.find(one => one.id === path.attachment_id)
    if (on?.network_id !== path.network_id && on?.project_id !== path.project_id) continue
    for (const group_id of new Set(JSON.parse(path.groups) as string[]))
      await db.insertInto('path_groups').values({path_id: path.id, group_id}).execute()
  }
}

/**
 * A path is asked for before it has its place; who runs a gate holds a lease; and nothing that is done for one path reads all
 * of them: what a gate has not acknowledged has an index, accounts are counted as they are given.
 */
async function middle(db: Kysely<Then>): Promise<void> {
  for (const [name, usual] of [
    ['version', 1],
    ['applied', 0],
  ] as const)
    await db.schema
      .alterTable('paths')
      .addColumn(name, 'integer', c => c.notNull().defaultTo(usual))
      .execute()
  await sql`create table path_facts (path_id text primary key references paths (id) on delete cascade,
    facts text not null, seen_at bigint not null)`.execute(db)
  await sql`create table holdings (gate_id text not null, project_id text not null, n integer not null,
    primary key (gate_id, project_id))`.execute(db)
  await sql`insert into holdings select gate_id, project_id, count(*) from paths where state <> 'released'
    group by gate_id, project_id`.execute(db)
  await sql`insert into holdings select gate_id, '', count(*) from paths where state <> 'released'
    group by gate_id`.execute(db)
  await sql`create table leases (name text primary key, owner text not null, until bigint not null,
    fence bigint not null)`.execute(db)
  await sql`create table service (id text primary key)`.execute(db)
  await sql`insert into service values (${randomUUID()})`.execute(db)
  for (const index of ['paths_alias', 'paths_login', 'paths_owner', 'paths_expiry', 'paths_attachment'])
    await db.schema.dropIndex(index).execute()
  const [held, live] = [`state <> 'released'`, `state in ('requested', 'pending', 'active')`]
  for (const text of [
    `create unique index paths_alias on paths (gate_id, alias) where ${held} and alias <> ''`,
    `create unique index paths_login on paths (gate_id, login) where ${held} and login <> ''`,
    `create unique index paths_owner on paths (user_id, server_id, fingerprint) where ${live}`,
    `create index paths_expiry on paths (expires_at) where ${live}`,
    `create index paths_gate on paths (gate_id) where ${held}`,
    `create index paths_attachment on paths (attachment_id) where ${held}`,
    `create index paths_requested on paths (created_at) where state = 'requested'`,
    `create index paths_pending on paths (attachment_id) where state = 'pending'`,
    `create index paths_changed on paths (gate_id) where ${held} and version <> applied`,
    `create index paths_over on paths (gate_id) where ${held} and state in ('ended', 'failed', 'cut')`,
  ])
    await sql.raw(text).execute(db)
}

/** Gates that the service makes itself; where a gate is, whom it serves, and that it takes no new paths. */
async function machines(db: Kysely<unknown>): Promise<void> {
  for (const [name, type] of [
    ['zone', 'text'],
    ['serves', 'text'],
    ['drained_at', 'bigint'],
  ] as const)
    await db.schema.alterTable('gates').addColumn(name, type).execute()
  await db.schema.alterTable('service').addColumn('allow', 'text').execute()
  await sql`create table machines (id text primary key, name text not null unique, state text not null,
    scope text not null, serves text, zone text, wish text not null, plan text, automatic integer not null,
    first_key text, next_key text, server_id text, host text, created_at bigint not null, since bigint not null,
    reason text, silent_since bigint, rebooted_at bigint, idle_since bigint,
    cleared_at bigint)`.execute(db)
}

/** Which copy of the service this is, and whether another one has taken over. */
async function instance(db: Kysely<unknown>): Promise<void> {
  for (const name of ['instance', 'taken_by'])
    await db.schema.alterTable('service').addColumn(name, 'text').execute()
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
    '2026-11-24c-isolation': {up: db => isolate(db as Kysely<Then>, dialect)},
    '2026-11-25b-clock-skew': {
      up: db =>
        db.schema
          .alterTable('gates')
          .addColumn('clock_skew', 'bigint', c => c.notNull().defaultTo(0))
          .execute(),
    },
    '2026-11-25-breaking-lifecycle': {up: db => oneState(db as Kysely<Then>)},
    '2026-11-28-breaking-middle': {up: db => middle(db as Kysely<Then>)},
    '2026-11-28c-machines': {up: db => machines(db as Kysely<unknown>)},
    '2026-11-28d-instance': {up: db => instance(db as Kysely<unknown>)},
  }
}
