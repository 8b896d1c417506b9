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
