import type {Store} from './open.ts'
import {LIVE} from './paths.ts'
import type {AttachmentRow, PathRow} from './schema.ts'

/** Security groups of the VMs that live paths lead to, by attachment. */
export async function liveGroups(db: Store, ids: readonly string[]): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('paths')
    .select(['attachment_id', 'groups'])
    .where('attachment_id', 'in', ids)
    .where('state', 'in', LIVE)
    .execute()
  const byId = Map.groupBy(rows, row => row.attachment_id)
  return new Map(
    [...byId].map(([id, paths]) => [id, paths.flatMap(path => JSON.parse(path.groups) as string[])]),
  )
}

/**
 * The groups that an attachment's port shall be in, sorted: the gate project's own and those of the VMs that live paths
 * lead to. A group that the port is in cannot be deleted, so others are left; only while there is no live path they
 * stay, since people come back.
 */
export function wantedGroups(
  row: Pick<AttachmentRow, 'id' | 'groups'>,
  own: readonly string[],
  live: ReadonlyMap<string, readonly string[]>,
): string[] {
  const vms = live.get(row.id) ?? (JSON.parse(row.groups) as string[])
  return [...new Set([...own, ...vms])].sort()
}

/** Is the attachment's port in all groups of the path's VM? */
export function admits({groups}: Pick<AttachmentRow, 'groups'>, path: Pick<PathRow, 'groups'>): boolean {
  const has = new Set(JSON.parse(groups) as string[])
  return (JSON.parse(path.groups) as string[]).every(group => has.has(group))
}

/** Attachments that are plugged, but whose port is in other groups than it shall be. */
export async function misgrouped(db: Store): Promise<AttachmentRow[]> {
  const rows = await db
    .selectFrom('attachments')
    .selectAll()
    .where('state', 'in', ['plugged', 'ready'])
    .execute()
  const groups = await liveGroups(
    db,
    rows.map(row => row.id),
  )
  return rows.filter(row => {
    if (row.own_groups === null) return true
    return JSON.stringify(wantedGroups(row, JSON.parse(row.own_groups), groups)) !== row.groups
  })
}

const live = (db: Store) => db.selectFrom('paths').select('attachment_id').where('state', 'in', LIVE)

/** Attachments with paths that the gate has not cut yet. One that is down cannot: there, taking out the interface cuts them. */
const uncut = (db: Store) =>
  db
    .selectFrom('paths')
    .innerJoin('gates', 'gates.id', 'paths.gate_id')
    .select('attachment_id')
    .where('paths.state', 'in', ['ended', 'failed'])
    .where('killed_at', 'is', null)
    .where('gates.state', '!=', 'down')

/**
 * Attachments that no path needs: first a grace, since people come back; then they go.
 *
 * @param now epoch ms
 * @param grace ms
 */
export async function retireIdle(db: Store, now: number, grace: number): Promise<void> {
  await db
    .updateTable('attachments')
    .set({idle_since: null})
    .where('idle_since', 'is not', null)
    .where('id', 'in', live(db))
    .execute()
  await db
    .updateTable('attachments')
    .set({idle_since: now})
    .where('idle_since', 'is', null)
    .where('id', 'not in', live(db))
    .where('id', 'not in', uncut(db))
    .execute()
  await db
    .updateTable('attachments')
    .set({state: 'removing'})
    .where('state', '!=', 'removing')
    .where('id', 'not in', uncut(db))
    // One that never came to be is of no use to those who come back.
    .where(e =>
      e.or([
        e('idle_since', '<=', now - grace),
        e.and([e('idle_since', 'is not', null), e('state', 'in', ['wanted', 'plugged'])]),
      ]),
    )
    .execute()
}

/** Those that are to go and whose gate is down: nobody can ask it to let go of them first. */
export function stranded(db: Store): Promise<AttachmentRow[]> {
  return db
    .selectFrom('attachments')
    .innerJoin('gates', 'gates.id', 'attachments.gate_id')
    .selectAll('attachments')
    .where('attachments.state', '=', 'removing')
    .where('gates.state', '=', 'down')
    .execute()
}

/** The VMs behind these are gone: nobody comes back, and the tenant may be waiting to delete the network. */
export async function forgetGrace(db: Store, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('attachments')
    .set({idle_since: 0})
    .where('id', 'in', ids)
    .where('id', 'not in', live(db))
    .execute()
}
