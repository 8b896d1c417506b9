import {sql} from 'kysely'

import type {Store} from './open.ts'
import type {PathRow} from './schema.ts'

/** States in which a path takes its place on the gate. */
export const LIVE = ['pending', 'active'] as const

export interface Owner {
  readonly user_id: string
  readonly server_id: string
  readonly fingerprint: string
}

/** The one live path of this user, server and key, if any. */
export function livePath(db: Store, owner: Owner): Promise<PathRow | undefined> {
  return db
    .selectFrom('paths')
    .selectAll()
    .where('user_id', '=', owner.user_id)
    .where('server_id', '=', owner.server_id)
    .where('fingerprint', '=', owner.fingerprint)
    .where('state', 'in', LIVE)
    .executeTakeFirst()
}

/** Live paths of this user to this VM, with whatever key. */
export async function liveOf(db: Store, owner: Omit<Owner, 'fingerprint'>): Promise<number> {
  const {n} = await db
    .selectFrom('paths')
    .select(sql<number>`count(*)`.as('n'))
    .where('user_id', '=', owner.user_id)
    .where('server_id', '=', owner.server_id)
    .where('state', 'in', LIVE)
    .executeTakeFirstOrThrow()
  return Number(n)
}

export function path(db: Store, id: string): Promise<PathRow | undefined> {
  return db.selectFrom('paths').selectAll().where('id', '=', id).executeTakeFirst()
}

/** Paths that still hold something on the gate: live ones, and ended ones until they are released. */
export function pathsOfGate(db: Store, gateId: string): Promise<PathRow[]> {
  return db
    .selectFrom('paths')
    .selectAll()
    .where('gate_id', '=', gateId)
    .where('released_at', 'is', null)
    .orderBy('serial')
    .execute()
}

/** Paths of a user, to a VM, to VMs of a project. */
export interface Which {
  readonly user_id?: string
  readonly server_id?: string
  readonly project_id?: string
}

/** Ends live paths; returns those that really were live, so that each is audited once. */
export async function endPaths(
  db: Store,
  which: {ids?: readonly string[]; expiredBy?: number; of?: Which},
  now: number,
): Promise<PathRow[]> {
  let query = db.updateTable('paths').set({state: 'ended', ended_at: now}).where('state', 'in', LIVE)
  if (which.ids !== undefined) query = query.where('id', 'in', which.ids)
  for (const [column, value] of Object.entries(which.of ?? {}))
    query = query.where(column as keyof Which, '=', value)
  if (which.expiredBy !== undefined) query = query.where('expires_at', '<=', which.expiredBy)
  return query.returningAll().execute()
}

/** Marks live paths failed with a reason that the waiting client is told. */
export async function failPaths(
  db: Store,
  ids: readonly string[],
  error: unknown,
  now: number,
): Promise<PathRow[]> {
  if (ids.length === 0) return []
  return db
    .updateTable('paths')
    .set({state: 'failed', ended_at: now, error: JSON.stringify(error)})
    .where('id', 'in', ids)
    .where('state', 'in', LIVE)
    .returningAll()
    .execute()
}

/** Paths ready: pending -> active. */
export async function activatePaths(db: Store, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('paths')
    .set({state: 'active'})
    .where('id', 'in', ids)
    .where('state', '=', 'pending')
    .execute()
}

/** The gate has confirmed that nothing of these lives any more. */
export async function markKilled(db: Store, ids: readonly string[], now: number): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('paths')
    .set({killed_at: now})
    .where('id', 'in', ids)
    .where('killed_at', 'is', null)
    .execute()
}

/** Gives alias and account of paths killed before `before` back to the pool. */
export async function releasePaths(db: Store, before: number, now: number, gateId: string): Promise<void> {
  await db
    .updateTable('paths')
    .set({released_at: now})
    .where('gate_id', '=', gateId)
    .where('released_at', 'is', null)
    .where('killed_at', '<=', before)
    .execute()
}

/**
 * What may not be given to a new path of this gate. Aliases too go by the gate and not by the attachment: a slot is taken
 * by the next network while aliases of the last one still rest.
 */
export async function heldOnGate(
  db: Store,
  gateId: string,
): Promise<{logins: Set<string>; aliases: Set<string>}> {
  const rows = await db
    .selectFrom('paths')
    .select(['login', 'alias'])
    .where('gate_id', '=', gateId)
    .where('released_at', 'is', null)
    .execute()
  return {logins: new Set(rows.map(row => row.login)), aliases: new Set(rows.map(row => row.alias))}
}

/** Accounts that are taken (by live paths, and ended ones until they are released), by gate and project. */
export async function countPaths(db: Store): Promise<Map<string, Map<string, number>>> {
  const rows = await db
    .selectFrom('paths')
    .select(['gate_id', 'project_id', sql<number>`count(*)`.as('n')])
    .where('released_at', 'is', null)
    .groupBy(['gate_id', 'project_id'])
    .execute()
  const byGate = Map.groupBy(rows, row => row.gate_id)
  return new Map(
    [...byGate].map(([gate, counts]) => [gate, new Map(counts.map(row => [row.project_id, Number(row.n)]))]),
  )
}
