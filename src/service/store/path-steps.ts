import {sql} from 'kysely'

import {type Actor, auditPaths, type Why} from './audit.ts'
import {giveBack} from './holdings.ts'
import {isUncut, lifecycle} from './lifecycle.ts'
import {RELEASED} from './literals.ts'
import {atomically, type Store} from './open.ts'
import {decodePath, type Which} from './paths.ts'
import type {PathFault, PathRow, PathTable} from './schema.ts'

/** Rows whose ids one statement takes: SQLite has 32,766 variables. */
const MANY = 10_000
/** The gate is to be told of it. */
const anew = {version: sql<number>`version + 1`}

/* The steps of a path, each with its audit in the same transaction (lifecycle.ts). Times are epoch ms. */

const {path: steps} = lifecycle

/** Live paths: by their ids, by whose they are, or by their time. */
export interface Some {
  readonly ids?: readonly string[]
  readonly expiredBy?: number
  readonly of?: Which & {readonly gate_id?: string}
}

type Change = Partial<Omit<PathTable, 'serial' | 'state' | 'version' | 'applied'>>

/** Takes those of `some` that may take this step; they, as they are then. */
function move(
  tx: Store,
  step: keyof typeof steps,
  {ids, expiredBy, of = {}}: Some,
  set: Change & {readonly version?: typeof anew.version} = {},
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

/** Those that had no place yet are over. */
async function withdrawn(tx: Store, some: Some, now: number, over: Change): Promise<PathRow[]> {
  const rows = await move(tx, 'withdraw', some, {...over, cut_at: now})
  const ids = rows.map(row => row.id)
  if (ids.length > 0) await tx.deleteFrom('path_facts').where('path_id', 'in', ids).execute()
  return rows
}

/** Those that are over from now on: that have a place take `step`, the others leave nothing behind. */
async function stop(
  tx: Store,
  step: 'end' | 'fail',
  some: Some,
  now: number,
  why: Change = {},
): Promise<PathRow[]> {
  const over = {...why, ended_at: now}
  const before = await withdrawn(tx, some, now, over)
  return [...before, ...(await move(tx, step, some, {...over, ...anew}))]
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
    const ended = await stop(tx, 'end', some, now)
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
    const failed = await stop(tx, 'fail', {ids}, now, {error: JSON.stringify(fault)})
    await auditPaths(tx, 'fail', failed, now, {detail: fault.message})
    return failed
  })
}

/** As failPaths, a path that has no place yet; one that has got it meanwhile lives on. */
export async function withdrawPath(db: Store, id: string, fault: PathFault, now: number): Promise<PathRow[]> {
  return atomically(db, async tx => {
    const over = {ended_at: now, error: JSON.stringify(fault)}
    const rows = await withdrawn(tx, {ids: [id]}, now, over)
    await auditPaths(tx, 'fail', rows, now, {detail: fault.message})
    return rows
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
      .set({...until, ...anew})
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

/** The gate has taken these as they were when they were read: what was over by then is cut. */
export async function acknowledgePaths(
  db: Store,
  rows: readonly Pick<PathRow, 'id' | 'version' | 'state'>[],
  now: number,
): Promise<void> {
  if (rows.length === 0) return
  await atomically(db, async tx => {
    for (const [version, some] of Map.groupBy(rows, row => row.version))
      for (let n = 0; n < some.length; n += MANY) {
        const part = some.slice(n, n + MANY)
        const ids = part.map(row => row.id)
        await tx
          .updateTable('paths')
          .set({applied: version})
          .where('id', 'in', ids)
          .where('version', '=', version)
          .execute()
        const over = part.filter(isUncut)
        await cutPaths(
          tx,
          over.map(row => row.id),
          now,
        )
      }
  })
}

/** Gives alias and account of these paths of a gate back to the pool. */
export async function releasePaths(db: Store, gateId: string, ids: readonly string[]): Promise<void> {
  for (let n = 0; n < ids.length; n += MANY)
    await atomically(db, async tx => {
      const released = await move(tx, 'release', {ids: ids.slice(n, n + MANY)})
      const projects = released.map(row => row.project_id)
      await giveBack(tx, gateId, projects)
    })
}

/** Forgets paths that ended, and audit that was written, before `before`; what still holds an account is never forgotten. */
export async function prune(db: Store, before: number): Promise<void> {
  await db.deleteFrom('paths').where('state', '=', RELEASED).where('ended_at', '<', before).execute()
  await db.deleteFrom('audit').where('at', '<', before).execute()
}

/** How the audit tells of a path whose gate somebody removes. */
export const gateRemoved = ({name, source}: Pick<Actor, 'name' | 'source'>): Why => ({
  source,
  detail: `gate removed by ${name}`,
})

/** Nothing of a gate that was removed is left: what is over on it is cut by that, and released. */
export async function releaseGate(
  tx: Store,
  gateId: string,
  who: Pick<Actor, 'name' | 'source'>,
  now: number,
): Promise<void> {
  await endPaths(tx, {of: {gate_id: gateId}}, now, {action: 'revoke', ...gateRemoved(who)})
  const over = tx.updateTable('paths').where('gate_id', '=', gateId).where('state', '<>', RELEASED)
  await over.set({state: steps.cut.to, cut_at: now}).where('state', 'in', steps.cut.from).execute()
  await over.set({state: steps.release.to}).where('state', 'in', steps.release.from).execute()
  await tx.deleteFrom('holdings').where('gate_id', '=', gateId).execute()
}
