import type {Caller} from './caller.ts'
import type {ServiceContext} from './context.ts'
import type {Store} from './store/open.ts'
import type {AuditRow, PathRow} from './store/schema.ts'

export interface AuditEntry {
  readonly action: AuditRow['action']
  /** Epoch ms. */
  readonly at: number
  /** Who acted and on what, unless `path` tells. */
  readonly user?: {readonly id: string; readonly name: string; readonly project_id: string}
  readonly server_id?: string
  readonly path?: Pick<PathRow, 'id' | 'user_id' | 'user_name' | 'project_id' | 'server_id' | 'expires_at'>
  readonly source?: string
  readonly detail?: string
}

/** The caller as the audit names them. */
export const actor = ({token}: Pick<Caller, 'token'>) => ({
  id: token.user.id,
  name: token.user.name,
  project_id: token.project?.id ?? '',
})

/** The same refusal is written once in this time, ms: nobody fills the audit with their own refusals. */
const DENIALS_MS = 60_000

/** Writes that somebody was refused. */
export async function auditDenial(
  {db, clock}: Pick<ServiceContext, 'db' | 'clock'>,
  caller: Pick<Caller, 'token' | 'source'>,
  what: {readonly detail: string; readonly server_id?: string},
): Promise<void> {
  const at = clock()
  const again = await db
    .selectFrom('audit')
    .select('id')
    .where('action', '=', 'deny')
    .where('at', '>', at - DENIALS_MS)
    .where('user_id', '=', caller.token.user.id)
    .where('detail', '=', what.detail)
    .where('server_id', what.server_id === undefined ? 'is' : '=', what.server_id ?? null)
    .limit(1)
    .executeTakeFirst()
  if (again !== undefined) return
  await audit(db, {action: 'deny', at, user: actor(caller), source: caller.source, ...what})
}

/** Writes who did what, from where, until when. Denials have no path. */
export async function audit(db: Store, entry: AuditEntry): Promise<void> {
  const {path, user} = entry
  await db
    .insertInto('audit')
    .values({
      at: entry.at,
      action: entry.action,
      user_id: user?.id ?? path?.user_id ?? '',
      user_name: user?.name ?? path?.user_name ?? '',
      project_id: user?.project_id ?? path?.project_id ?? '',
      server_id: entry.server_id ?? path?.server_id ?? null,
      path_id: path?.id ?? null,
      source: entry.source ?? null,
      until: path?.expires_at ?? null,
      detail: entry.detail ?? null,
    })
    .execute()
}
