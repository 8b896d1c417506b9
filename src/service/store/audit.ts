import type {ServiceContext} from '../context.ts'
import type {Store} from './open.ts'
import type {AuditRow, PathRow} from './schema.ts'

/** Who acted, and from where. */
export interface Actor {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly source?: string | undefined
}

/** How a change is told in the audit. */
export interface Why {
  /** Address that the request came from. */
  readonly source?: string | undefined
  readonly detail?: string | undefined
}

/** The same refusal is written once in this time, ms: nobody fills the audit with their own refusals. */
const DENIALS_MS = 60_000

/** Writes that somebody was refused. */
export async function auditDenial(
  {db, clock}: Pick<ServiceContext, 'db' | 'clock'>,
  who: Actor,
  what: {readonly detail: string; readonly server_id?: string},
): Promise<void> {
  const at = clock()
  const again = await db
    .selectFrom('audit')
    .select('id')
    .where('action', '=', 'deny')
    .where('at', '>', at - DENIALS_MS)
    .where('user_id', '=', who.id)
    .where('detail', '=', what.detail)
    .where('server_id', what.server_id === undefined ? 'is' : '=', what.server_id ?? null)
    .limit(1)
    .executeTakeFirst()
  if (again === undefined) await auditAct(db, 'deny', who, {at, ...what})
}

type Act = Exclude<AuditRow['action'], 'grant' | 'renew' | 'revoke' | 'expire' | 'fail'>

/** Writes what somebody did, or was refused, that is not a path's. @param what.at epoch ms */
export async function auditAct(
  db: Store,
  action: Act,
  {id, name, project_id, source}: Actor,
  what: {readonly at: number; readonly detail?: string; readonly server_id?: string},
): Promise<void> {
  await db
    .insertInto('audit')
    .values({
      at: what.at,
      action,
      user_id: id,
      user_name: name,
      project_id,
      server_id: what.server_id ?? null,
      path_id: null,
      source: source ?? null,
      until: null,
      detail: what.detail ?? null,
    })
    .execute()
}

/** Rows of ten values that one statement writes. */
const ROWS = 1000

/** Writes a change of paths; in the transaction of that change. @param at epoch ms */
export async function auditPaths(
  tx: Store,
  action: Exclude<AuditRow['action'], Act>,
  paths: readonly Omit<PathRow, 'error'>[],
  at: number,
  {source, detail}: Why,
): Promise<void> {
  if (paths.length === 0) return
  const rows = paths.map(path => ({
    at,
    action,
    user_id: path.user_id,
    user_name: path.user_name,
    project_id: path.project_id,
    server_id: path.server_id,
    path_id: path.id,
    source: source ?? null,
    until: path.expires_at,
    detail: detail ?? null,
  }))
  // SQLite takes 32,766 values a statement, PostgreSQL twice as many.
  for (let n = 0; n < rows.length; n += ROWS)
    await tx
      .insertInto('audit')
      .values(rows.slice(n, n + ROWS))
      .execute()
}

/** The newest entries below `before`, refusals or all the rest. */
export function auditPage(
  db: Store,
  {limit, before, denials}: {limit: number; before?: number | undefined; denials: boolean},
): Promise<AuditRow[]> {
  let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit)
  query = query.where('action', denials ? '=' : '!=', 'deny')
  if (before !== undefined) query = query.where('id', '<', before)
  return query.execute()
}
