import type {Selectable} from 'kysely'

import {contains} from '../planner/prefix.ts'
import {LIVE_STATES, live, PENDING, RELEASED} from './literals.ts'
import type {Store} from './open.ts'
import {decodePath} from './paths.ts'
import type {AttachmentRow, AttachmentTable, PathRow, Reach} from './schema.ts'

/* What is asked of the attachments; what changes them is in attachment-steps.ts. */

export const decodeAttachment = ({reach, addresses, ...row}: Selectable<AttachmentTable>): AttachmentRow => ({
  ...row,
  reach: JSON.parse(reach) as Reach[],
  addresses: JSON.parse(addresses) as string[],
})

export async function attachment(db: Store, id: string): Promise<AttachmentRow | undefined> {
  const row = await db.selectFrom('attachments').selectAll().where('id', '=', id).executeTakeFirst()
  return row && decodeAttachment(row)
}

/** Oldest first. */
export async function attachments(
  db: Store,
  which: Partial<Pick<AttachmentRow, 'gate_id' | 'state'>> = {},
): Promise<AttachmentRow[]> {
  let query = db.selectFrom('attachments').selectAll()
  if (which.gate_id !== undefined) query = query.where('gate_id', '=', which.gate_id)
  if (which.state !== undefined) query = query.where('state', '=', which.state)
  return (await query.orderBy('created_at').orderBy('id').execute()).map(decodeAttachment)
}

/** Those that shall stay, each with its gate's server and project. */
export async function staying(
  db: Store,
): Promise<(Pick<AttachmentRow, 'id' | 'gate_id' | 'port_id' | 'state'> & Gate)[]> {
  return db
    .selectFrom('attachments')
    .innerJoin('gates', 'gates.id', 'attachments.gate_id')
    .select(['attachments.id', 'attachments.gate_id', 'attachments.port_id', 'attachments.state'])
    .select(['gates.server_id', 'gates.project_id'])
    .where('attachments.state', '!=', 'removing')
    .execute()
}

interface Gate {
  readonly server_id: string
  readonly project_id: string
}

/** Addresses on the attachment's own network that live paths lead to. */
export async function addressesOnLink(
  db: Store,
  {id, network_id}: Pick<AttachmentRow, 'id' | 'network_id'>,
): Promise<string[]> {
  const rows = await live(db)
    .select('address')
    .where('attachment_id', '=', id)
    .where('network_id', '=', network_id)
    .execute()
  return rows.map(row => row.address)
}

/** Security groups of an attachment's port, sorted. */
export interface PortGroups {
  /** That it is in: all, and those of them that are the gate project's own. */
  readonly has: readonly string[]
  readonly own: readonly string[]
  /** Of the VMs that live paths lead to; undefined when none does. */
  readonly needed: readonly string[] | undefined
}

export async function portGroups(db: Store, id: string): Promise<PortGroups> {
  const has = await db
    .selectFrom('attachment_groups')
    .select(['group_id', 'own'])
    .where('attachment_id', '=', id)
    .execute()
  const paths = await live(db)
    .leftJoin('path_groups', 'path_groups.path_id', 'paths.id')
    .select('group_id')
    .distinct()
    .where('attachment_id', '=', id)
    .execute()
  return {
    has: has.map(row => row.group_id).sort(),
    own: has.flatMap(row => (row.own === 1 ? [row.group_id] : [])).sort(),
    needed: paths.length === 0 ? undefined : paths.flatMap(row => row.group_id ?? []).sort(),
  }
}

/** Groups that these paths need and the port lacks, with path and attachment. */
const lacking = (paths: ReturnType<typeof live>) =>
  paths
    .innerJoin('path_groups', 'path_groups.path_id', 'paths.id')
    .leftJoin('attachment_groups', join =>
      join
        .onRef('attachment_groups.attachment_id', '=', 'paths.attachment_id')
        .onRef('attachment_groups.group_id', '=', 'path_groups.group_id'),
    )
    .where('attachment_groups.group_id', 'is', null)

/** Attachments that are plugged, but whose port is in other groups than it shall be. */
export async function wronglyGrouped(db: Store): Promise<AttachmentRow[]> {
  const rows = await db
    .selectFrom('attachments')
    .selectAll()
    .where('state', 'in', ['plugged', 'ready'])
    .where(e =>
      e.or([
        // Its own were never asked for.
        e('id', 'not in', db.selectFrom('attachment_groups').select('attachment_id').where('own', '=', 1)),
        e('id', 'in', lacking(live(db)).select('paths.attachment_id')),
        // Left behind by paths that are over; only while there is no live path at all it stays, since people come back.
        e.and([
          e('id', 'in', live(db).select('attachment_id')),
          e(
            'id',
            'in',
            db
              .selectFrom('attachment_groups as has')
              .select('has.attachment_id')
              .where('own', '=', 0)
              .where(({not, exists, selectFrom}) =>
                not(
                  exists(
                    selectFrom('paths')
                      .innerJoin('path_groups', 'path_groups.path_id', 'paths.id')
                      .select('path_id')
                      .where('paths.state', '<>', RELEASED)
                      .where('paths.state', 'in', LIVE_STATES)
                      .whereRef('paths.attachment_id', '=', 'has.attachment_id')
                      .whereRef('path_groups.group_id', '=', 'has.group_id'),
                  ),
                ),
              ),
          ),
        ]),
      ]),
    )
    .execute()
  return rows.map(decodeAttachment)
}

/** Has the port an address of its own in the subnet of this VM, when that is on the link? */
const covers = (on: AttachmentRow, path: Pick<PathRow, 'network_id' | 'address'>) =>
  path.network_id !== on.network_id || on.addresses.some(one => contains(one, path.address))

/** Pending paths by these attachments: those for which the port is as it must be, and the others. */
export async function pendingBy(
  db: Store,
  rows: readonly AttachmentRow[],
): Promise<{readonly admitted: PathRow[]; readonly waiting: PathRow[]}> {
  if (rows.length === 0) return {admitted: [], waiting: []}
  const byId = new Map(rows.map(row => [row.id, row]))
  const pending = await db
    .selectFrom('paths')
    .selectAll()
    .where('state', '=', PENDING)
    .where('attachment_id', 'in', [...byId.keys()])
    .execute()
  if (pending.length === 0) return {admitted: [], waiting: []}
  const short = await lacking(db.selectFrom('paths').where('paths.state', '=', PENDING))
    .select('paths.id')
    .distinct()
    .where('paths.attachment_id', 'in', [...byId.keys()])
    .execute()
  const lacks = new Set(short.map(row => row.id))
  const fits = (path: PathRow) => {
    const on = byId.get(path.attachment_id)
    return on !== undefined && !lacks.has(path.id) && covers(on, path)
  }
  const paths = pending.map(decodePath).sort((a, b) => a.serial - b.serial)
  return {admitted: paths.filter(fits), waiting: paths.filter(path => !fits(path))}
}

/** Those that are to go and whose gate is down: nobody can ask it to let go of them first. */
export async function stranded(db: Store): Promise<AttachmentRow[]> {
  const rows = await db
    .selectFrom('attachments')
    .innerJoin('gates', 'gates.id', 'attachments.gate_id')
    .selectAll('attachments')
    .where('attachments.state', '=', 'removing')
    .where('gates.state', '=', 'down')
    .execute()
  return rows.map(decodeAttachment)
}

/** Attachments as operators see them. */
export async function attachmentViews(
  db: Store,
): Promise<(AttachmentRow & {readonly groups: readonly string[]})[]> {
  const groups = Map.groupBy(
    await db.selectFrom('attachment_groups').selectAll().orderBy('group_id').execute(),
    row => row.attachment_id,
  )
  return (await attachments(db)).map(row => ({
    ...row,
    groups: (groups.get(row.id) ?? []).map(one => one.group_id),
  }))
}
