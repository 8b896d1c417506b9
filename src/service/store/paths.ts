import {type Selectable, sql} from 'kysely'

import {UNCUT} from './lifecycle.ts'
import {held, live} from './literals.ts'
import type {Store} from './open.ts'
import type {PathFault, PathRow, PathTable} from './schema.ts'

/* What is asked of the paths; what changes them is in path-steps.ts. */

export interface Owner {
  readonly user_id: string
  readonly server_id: string
  readonly fingerprint: string
}

/** Paths of a user, to a VM, to VMs of a project. */
export interface Which {
  readonly user_id?: string | undefined
  readonly server_id?: string | undefined
  readonly project_id?: string | undefined
}

export const decodePath = ({error, ...row}: Selectable<PathTable>): PathRow => ({
  ...row,
  error: error === null ? undefined : (JSON.parse(error) as PathFault),
})

/** The one live path of this user, server and key, if any. */
export async function livePath(db: Store, owner: Owner): Promise<PathRow | undefined> {
  const row = await live(db)
    .selectAll()
    .where('user_id', '=', owner.user_id)
    .where('server_id', '=', owner.server_id)
    .where('fingerprint', '=', owner.fingerprint)
    .executeTakeFirst()
  return row && decodePath(row)
}

/** How many live paths this user has to this VM, with whatever key. */
export async function liveOf(db: Store, owner: Omit<Owner, 'fingerprint'>): Promise<number> {
  const {n} = await live(db)
    .select(sql<number>`count(*)`.as('n'))
    .where('user_id', '=', owner.user_id)
    .where('server_id', '=', owner.server_id)
    .executeTakeFirstOrThrow()
  return Number(n)
}

export async function path(db: Store, id: string): Promise<PathRow | undefined> {
  const row = await db.selectFrom('paths').selectAll().where('id', '=', id).executeTakeFirst()
  return row && decodePath(row)
}

type Columns = 'user_id' | 'server_id' | 'project_id' | 'gate_id' | 'attachment_id'

/** Those of these paths that fit, oldest first. */
async function pathsThat(
  query: ReturnType<typeof held>,
  which: Partial<Record<Columns, string | readonly string[] | undefined>>,
): Promise<PathRow[]> {
  for (const [column, value] of Object.entries(which)) {
    if (typeof value === 'string') query = query.where(column as Columns, '=', value)
    else if (value !== undefined) query = query.where(column as Columns, 'in', value)
  }
  // Sorted here: asked for in order, SQLite would read all paths by their numbers.
  return (await query.selectAll().execute()).map(decodePath).sort((a, b) => a.serial - b.serial)
}

/** Live paths, oldest first; those that fit `which`. */
export const livePaths = (db: Store, which: Which = {}) => pathsThat(live(db), {...which})

/** Live paths by these attachments, oldest first. */
export const livePathsBy = (db: Store, ids: readonly string[]) =>
  ids.length === 0 ? Promise.resolve([]) : pathsThat(live(db), {attachment_id: ids})

/** Paths of a gate that still hold something on it: live ones, and ended ones until they are released. */
export const pathsOfGate = (db: Store, gate_id: string) => pathsThat(held(db), {gate_id})

/** Paths of a user that still hold something on a gate. */
export const pathsOfUser = (db: Store, user_id: string) => pathsThat(held(db), {user_id})

/**
 * What may not be given to a new path of this gate. Aliases too go by the gate and not by the attachment: a slot is taken
 * by the next network while aliases of the last one still rest.
 */
export async function heldOnGate(
  db: Store,
  gateId: string,
): Promise<{logins: Set<string>; aliases: Set<string>}> {
  const rows = await held(db).select(['login', 'alias']).where('gate_id', '=', gateId).execute()
  return {logins: new Set(rows.map(row => row.login)), aliases: new Set(rows.map(row => row.alias))}
}

/** Accounts that are taken (by live paths, and ended ones until they are released), by gate and project. */
export async function countPaths(db: Store): Promise<Map<string, Map<string, number>>> {
  const rows = await held(db)
    .select(['gate_id', 'project_id', sql<number>`count(*)`.as('n')])
    .groupBy(['gate_id', 'project_id'])
    .execute()
  const byGate = Map.groupBy(rows, row => row.gate_id)
  return new Map(
    [...byGate].map(([gate, counts]) => [gate, new Map(counts.map(row => [row.project_id, Number(row.n)]))]),
  )
}

/** Gates with paths to cut, or to release because they were cut before `rested` (epoch ms). */
export async function gatesWithEnded(db: Store, rested: number): Promise<string[]> {
  const rows = await held(db)
    .select('gate_id')
    .distinct()
    .where(e => e.or([e('state', 'in', UNCUT), e.and([e('state', '=', 'cut'), e('cut_at', '<=', rested)])]))
    .execute()
  return rows.map(row => row.gate_id)
}

/** Gate and attachment of what has been pending since before `since` (epoch ms). */
export function pendingSince(
  db: Store,
  since: number,
): Promise<Pick<PathRow, 'attachment_id' | 'gate_id'>[]> {
  return held(db)
    .select(['attachment_id', 'gate_id'])
    .distinct()
    .where('state', '=', 'pending')
    .where('created_at', '<=', since)
    .execute()
}
