import {contains} from '../planner/prefix.ts'
import type {Store} from './open.ts'
import {LIVE} from './paths.ts'
import type {AttachmentRow, PathRow} from './schema.ts'

/**
 * May the attachment's port be in the groups of the path's VM? On the VM's own network, and on one of the same project; anywhere
 * else the port's address would be a stranger's key to whatever those groups admit.
 */
const joins = (
  attachment: Pick<AttachmentRow, 'network_id' | 'project_id'>,
  path: Pick<PathRow, 'network_id' | 'project_id'>,
) => path.network_id === attachment.network_id || path.project_id === attachment.project_id

/** Security groups of the VMs that live paths lead to, by attachment; of those that its port may be in. */
export async function liveGroups(db: Store, ids: readonly string[]): Promise<Map<string, string[]>> {
  if (ids.length === 0) return new Map()
  const rows = await db
    .selectFrom('paths')
    .innerJoin('attachments', 'attachments.id', 'paths.attachment_id')
    .select(['attachment_id', 'paths.groups', 'paths.network_id', 'paths.project_id'])
    .select(['attachments.network_id as on', 'attachments.project_id as owner'])
    .where('attachment_id', 'in', ids)
    .where('paths.state', 'in', LIVE)
    .execute()
  const byId = Map.groupBy(rows, row => row.attachment_id)
  const groups = (paths: typeof rows) =>
    paths
      .filter(path => joins({network_id: path.on, project_id: path.owner}, path))
      .flatMap(path => JSON.parse(path.groups) as string[])
  return new Map([...byId].map(([id, paths]) => [id, groups(paths)]))
}

/** Addresses on the attachment's own network that live paths lead to. */
export async function addressesOnLink(
  db: Store,
  {id, network_id}: Pick<AttachmentRow, 'id' | 'network_id'>,
): Promise<string[]> {
  const rows = await db
    .selectFrom('paths')
    .select('address')
    .where('attachment_id', '=', id)
    .where('network_id', '=', network_id)
    .where('state', 'in', LIVE)
    .execute()
  return rows.map(row => row.address)
}

/** Has the port an address of its own in the subnet of this one? */
const covers = (addresses: readonly string[], address: string) =>
  addresses.some(one => contains(one, address))

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

/** Is the attachment's port in all groups of the path's VM, and in its subnet when that is on the link? */
export function admits(attachment: Plugged, path: Target): boolean {
  const has = new Set(JSON.parse(attachment.groups) as string[])
  const groups = joins(attachment, path) ? (JSON.parse(path.groups) as string[]) : []
  if (!groups.every(group => has.has(group))) return false
  if (path.network_id !== attachment.network_id) return true
  return covers(JSON.parse(attachment.addresses) as string[], path.address)
}

type Plugged = Pick<AttachmentRow, 'groups' | 'network_id' | 'project_id' | 'addresses'>
type Target = Pick<PathRow, 'groups' | 'network_id' | 'project_id' | 'address'>

/** Attachments that are plugged, but whose port is in other groups than it shall be. */
export async function wronglyGrouped(db: Store): Promise<AttachmentRow[]> {
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
