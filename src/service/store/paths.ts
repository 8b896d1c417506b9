import {type Selectable, sql} from 'kysely'

import type {Facts} from '../planner/facts.ts'
import {UNCUT} from './lifecycle.ts'
import {CHANGED, held, live, OVER, PENDING, REQUESTED} from './literals.ts'
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

/** Paths that are over and that their gates have not cut yet; those that fit `which`. */
export const uncutPaths = (db: Store, which: Which) =>
  pathsThat(held(db).where('paths.state', 'in', OVER).where('paths.state', '<>', 'cut'), {...which})

/** Live paths by these attachments, oldest first. */
export const livePathsBy = (db: Store, ids: readonly string[]) =>
  ids.length === 0 ? Promise.resolve([]) : pathsThat(live(db), {attachment_id: ids})

/** Paths of a gate that still hold something on it: live ones, and ended ones until they are released. */
export const pathsOfGate = (db: Store, gate_id: string) => pathsThat(held(db), {gate_id})

/** Paths of a user that still hold something on a gate. */
export const pathsOfUser = (db: Store, user_id: string) => pathsThat(held(db), {user_id})

/** Those of them that the gate has not acknowledged as they are. */
export const changedPaths = (db: Store, gateId: string) =>
  pathsThat(held(db).where(CHANGED), {gate_id: gateId})

/** Pending paths of a gate that need no attachment. */
export const pendingDirect = (db: Store, gateId: string) =>
  pathsThat(db.selectFrom('paths').where('paths.state', '=', PENDING), {gate_id: gateId, attachment_id: ''})

/** Paths by these attachments that still hold something on the gate. */
export const heldBy = (db: Store, ids: readonly string[]) =>
  ids.length === 0 ? Promise.resolve([]) : pathsThat(held(db), {attachment_id: ids})

/** Paths that wait for a place, with what their users saw, oldest first. */
export async function requestedPaths(db: Store): Promise<{path: PathRow; facts: Facts; seen_at: number}[]> {
  const rows = await db
    .selectFrom('paths')
    .innerJoin('path_facts', 'path_facts.path_id', 'paths.id')
    .selectAll('paths')
    .select(['facts', 'seen_at'])
    .where('paths.state', '=', REQUESTED)
    .execute()
  return rows
    .map(({facts, seen_at, ...row}) => ({path: decodePath(row), facts: JSON.parse(facts) as Facts, seen_at}))
    .sort((a, b) => a.path.serial - b.path.serial)
}

/** Gates with paths to cut, or to release because they were cut before `rested` (epoch ms). */
export async function gatesWithEnded(db: Store, rested: number): Promise<string[]> {
  const rows = await held(db)
    .select('gate_id')
    .distinct()
    .where('paths.state', 'in', OVER)
    .where(e => e.or([e('state', 'in', UNCUT), e('cut_at', '<=', rested)]))
    .execute()
  return rows.map(row => row.gate_id)
}

/** Paths of a gate that were cut before `rested` (epoch ms). */
export const restedPaths = (db: Store, gateId: string, rested: number) =>
  pathsThat(
    held(db).where('paths.state', 'in', OVER).where('paths.state', '=', 'cut').where('cut_at', '<=', rested),
    {gate_id: gateId},
  )

/** Gates with paths that they have not acknowledged as they are. */
export async function gatesWithChanges(db: Store): Promise<string[]> {
  const rows = await held(db).select('gate_id').distinct().where(CHANGED).execute()
  return rows.map(row => row.gate_id)
}

/** Gates of what has been pending since before `since` (epoch ms). */
export async function gatesWithPending(db: Store, since: number): Promise<string[]> {
  const rows = await db
    .selectFrom('paths')
    .select('gate_id')
    .distinct()
    .where('state', '=', PENDING)
    .where('created_at', '<=', since)
    .execute()
  return rows.map(row => row.gate_id)
}
