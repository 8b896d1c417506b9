import {auditPaths, type Why} from './audit.ts'
import {lifecycle} from './lifecycle.ts'
import {RELEASED} from './literals.ts'
import {atomically, type Store} from './open.ts'
import {decodePath, type Which} from './paths.ts'
import type {PathFault, PathRow, PathTable} from './schema.ts'

/* The steps of a path, each with its audit in the same transaction (lifecycle.ts). Times are epoch ms. */

const {path: steps} = lifecycle

/** Live paths: by their ids, by whose they are, or by their time. */
export interface Some {
  readonly ids?: readonly string[]
  readonly expiredBy?: number
  readonly of?: Which
}

/** Takes those of `some` that may take this step; they, as they are then. */
function move(
  tx: Store,
  step: keyof typeof steps,
  {ids, expiredBy, of = {}}: Some,
  set: Partial<Omit<PathTable, 'serial' | 'state'>> = {},
): Promise<PathRow[]> {
  const {from, to} = steps[step] as {from: readonly PathRow['state'][]; to: PathRow['state']}
  let query = tx
    .updateTable('paths')
    .set({...set, state: to})
    .where('state', '<>', RELEASED)
    .where('state', 'in', from)
  if (ids !== undefined) query = query.where('id', 'in', ids)
  if (expiredBy !== undefined) query = query.where('expires_at', '<=', expiredBy)
  for (const [column, value] of Object.entries(of))
    if (value !== undefined) query = query.where(column as keyof Which, '=', value)
  return query
    .returningAll()
    .execute()
    .then(rows => rows.map(decodePath))
}

/** Ends live paths; returns those that really were live, so that each is told and audited once. */
export async function endPaths(
  db: Store,
  some: Some,
  now: number,
  {action, ...why}: Why & {readonly action: 'revoke' | 'expire'},
): Promise<PathRow[]> {
  if (some.ids?.length === 0) return []
  return atomically(db, async tx => {
    const ended = await move(tx, 'end', some, {ended_at: now})
    await auditPaths(tx, action, ended, now, why)
    return ended
  })
}

/** Fails live paths with a reason that the waiting client is told; returns those that were live. */
export async function failPaths(
  db: Store,
  ids: readonly string[],
  fault: PathFault,
  now: number,
): Promise<PathRow[]> {
  if (ids.length === 0) return []
  return atomically(db, async tx => {
    const failed = await move(tx, 'fail', {ids}, {ended_at: now, error: JSON.stringify(fault)})
    await auditPaths(tx, 'fail', failed, now, {detail: fault.message})
    return failed
  })
}

/** Moves the ends of an active path and of its certificate on; undefined when it is no longer active. */
export async function renewPath(
  db: Store,
  id: string,
  until: Pick<PathRow, 'expires_at' | 'certificate_until'>,
  now: number,
  why: Why,
): Promise<PathRow | undefined> {
  return atomically(db, async tx => {
    const row = await tx
      .updateTable('paths')
      .set(until)
      .where('id', '=', id)
      .where('state', '=', 'active')
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) return undefined
    await auditPaths(tx, 'renew', [row], now, why)
    return decodePath(row)
  })
}

/** The VMs of these have answered the gate. */
export async function activatePaths(db: Store, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await move(db, 'activate', {ids})
}

/** The gate has confirmed that nothing of these lives any more. */
export async function cutPaths(db: Store, ids: readonly string[], now: number): Promise<void> {
  if (ids.length > 0) await move(db, 'cut', {ids}, {cut_at: now})
}

/** Gives alias and account of what this gate has cut before `rested` back to the pool. */
export async function releasePaths(db: Store, gateId: string, rested: number): Promise<void> {
  const {from, to} = steps.release
  await db
    .updateTable('paths')
    .set({state: to})
    .where('gate_id', '=', gateId)
    .where('state', '<>', RELEASED)
    .where('state', 'in', from)
    .where('cut_at', '<=', rested)
    .execute()
}

/** Forgets paths that ended, and audit that was written, before `before`; what still holds an account is never forgotten. */
export async function prune(db: Store, before: number): Promise<void> {
  await db.deleteFrom('paths').where('state', '=', RELEASED).where('ended_at', '<', before).execute()
  await db.deleteFrom('audit').where('at', '<', before).execute()
}

/** Nothing of a gate that was removed rests: what is over on it is cut by that, and released. */
export async function releaseGate(tx: Store, gateId: string, now: number): Promise<void> {
  const over = tx.updateTable('paths').where('gate_id', '=', gateId).where('state', '<>', RELEASED)
  await over.set({state: steps.cut.to, cut_at: now}).where('state', 'in', steps.cut.from).execute()
  await over.set({state: steps.release.to}).where('state', 'in', steps.release.from).execute()
}
