import type {Plan} from '../planner/plan.ts'
import {decodeAttachment} from './attachments.ts'
import {lifecycle, UNCUT} from './lifecycle.ts'
import {held, live} from './literals.ts'
import {atomically, type Store} from './open.ts'
import type {AttachmentRow} from './schema.ts'

/* The steps of an attachment (lifecycle.ts), and what is written down between them. Times are epoch ms, durations ms. */

const {attachment: steps} = lifecycle

/** Takes a step with those of these ids that may. */
async function move(db: Store, step: keyof typeof steps, ids: readonly string[]): Promise<void> {
  const {from, to} = steps[step] as {from: readonly AttachmentRow['state'][]; to: AttachmentRow['state']}
  await db
    .updateTable('attachments')
    .set({state: to})
    .where('id', 'in', ids)
    .where('state', 'in', from)
    .execute()
}

type Wanted = Pick<AttachmentRow, 'id' | 'gate_id' | 'slot' | 'network_id' | 'project_id' | 'mtu' | 'reach'>

/** A path needs this network; undefined when somebody else has just wanted it. */
export async function wantAttachment(
  tx: Store,
  wanted: Wanted,
  now: number,
): Promise<AttachmentRow | undefined> {
  const {id, gate_id, slot, network_id, project_id, mtu, reach} = wanted
  const row = await tx
    .insertInto('attachments')
    .values({
      ...{id, gate_id, slot, network_id, project_id, mtu},
      reach: JSON.stringify(reach),
      port_id: null,
      mac: null,
      addresses: '[]',
      state: steps.want.to,
      wired_at: null,
      idle_since: null,
      created_at: now,
    })
    .onConflict(conflict => conflict.doNothing())
    .returningAll()
    .executeTakeFirst()
  return row && decodeAttachment(row)
}

/** A path takes this one; undefined when it is going, or reaches something else than was planned by. */
export async function reuseAttachment(
  tx: Store,
  {reuse, reach}: Extract<Plan['attachment'], {readonly reuse: string}>,
): Promise<AttachmentRow | undefined> {
  const query = tx
    .updateTable('attachments')
    .set({idle_since: null, ...(reach && {reach: JSON.stringify(reach.now)})})
    .where('id', '=', reuse)
    .where('state', '!=', 'removing')
    .returningAll()
  const row = await (reach ? query.where('reach', '=', JSON.stringify(reach.was)) : query).executeTakeFirst()
  return row && decodeAttachment(row)
}

/**
 * By which port; before it is plugged in, so that a crash finds it.
 *
 * @param row as it was when it had none, or one that is gone
 * @returns false when another replica has made one meanwhile
 */
export async function writePort(
  db: Store,
  {id, port_id: was}: Pick<AttachmentRow, 'id' | 'port_id'>,
  port_id: string,
): Promise<boolean> {
  const {numUpdatedRows} = await db
    .updateTable('attachments')
    .set({port_id})
    .where('id', '=', id)
    .where('port_id', was === null ? 'is' : '=', was)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** The port as Neutron says that it is now. */
export interface Plugged extends Pick<AttachmentRow, 'port_id' | 'mac' | 'addresses'> {
  /** Groups that it is in: the gate project's own, and all. */
  readonly own: readonly string[]
  readonly groups: readonly string[]
  /** Absent: nothing has changed that its agents must follow. */
  readonly wired_at?: number
}

/** The port is plugged in, and is in these groups. */
export async function plugAttachment(db: Store, id: string, plugged: Plugged): Promise<void> {
  const {own, groups, addresses, ...columns} = plugged
  await atomically(db, async tx => {
    await tx
      .updateTable('attachments')
      .set({...columns, addresses: JSON.stringify(addresses)})
      .where('id', '=', id)
      .execute()
    await tx.deleteFrom('attachment_groups').where('attachment_id', '=', id).execute()
    const rows = groups.map(group_id => ({attachment_id: id, group_id, own: Number(own.includes(group_id))}))
    if (rows.length > 0) await tx.insertInto('attachment_groups').values(rows).execute()
    await move(tx, 'plug', [id])
  })
}

/** The port is about to leave these groups: a path that comes from now on does not count on them. */
export async function leaveGroups(db: Store, id: string, groups: readonly string[]): Promise<void> {
  if (groups.length === 0) return
  await db
    .deleteFrom('attachment_groups')
    .where('attachment_id', '=', id)
    .where('group_id', 'in', groups)
    .execute()
}

/** The gate has its namespace. */
export async function readyAttachments(db: Store, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await move(db, 'ready', ids)
}

/** Its port is plugged out, or gone altogether: it is wanted again. */
export async function loseAttachment(
  db: Store,
  {id, state}: Pick<AttachmentRow, 'id' | 'state'>,
  gone: boolean,
): Promise<void> {
  const {from, to} = steps.lose
  await atomically(db, async tx => {
    const {numUpdatedRows} = await tx
      .updateTable('attachments')
      .set({state: to, mac: null, ...(gone ? {port_id: null} : {})})
      .where('id', '=', id)
      .where('state', '=', state)
      .where('state', 'in', from)
      .executeTakeFirst()
    if (gone && numUpdatedRows > 0n)
      await tx.deleteFrom('attachment_groups').where('attachment_id', '=', id).execute()
  })
}

/** Attachments that live paths need. */
const needed = (db: Store) => live(db).select('attachment_id')

/** Attachments with paths that the gate has not cut yet. One that is down cannot: there, taking out the interface cuts them. */
const uncut = (db: Store) =>
  held(db)
    .innerJoin('gates', 'gates.id', 'paths.gate_id')
    .select('attachment_id')
    .where('paths.state', 'in', UNCUT)
    .where('gates.state', '!=', 'down')

/** Those that may go do. */
const retire = (db: Store) =>
  db.updateTable('attachments').set({state: steps.retire.to}).where('state', 'in', steps.retire.from)

/** Attachments that no path needs: first a grace, since people come back; then they go. */
export async function retireIdle(db: Store, now: number, grace: number): Promise<void> {
  await db
    .updateTable('attachments')
    .set({idle_since: null})
    .where('idle_since', 'is not', null)
    .where('id', 'in', needed(db))
    .execute()
  await db
    .updateTable('attachments')
    .set({idle_since: now})
    .where('idle_since', 'is', null)
    .where('id', 'not in', needed(db))
    .where('id', 'not in', uncut(db))
    .execute()
  await retire(db)
    .where('id', 'not in', needed(db))
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

/** An idle one goes before its grace is over. @returns whether it was idle */
export async function retireEarly(db: Store, id: string): Promise<boolean> {
  const {numUpdatedRows} = await retire(db)
    .where('id', '=', id)
    .where('idle_since', 'is not', null)
    .where('id', 'not in', needed(db))
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** All of a gate that is removed go. */
export async function retireAll(db: Store, gateId: string): Promise<void> {
  await retire(db).where('gate_id', '=', gateId).execute()
}

/** Nothing of it is left on the gate, in Nova and in Neutron. */
export async function removeAttachment(db: Store, id: string): Promise<void> {
  await db.deleteFrom('attachments').where('id', '=', id).where('state', 'in', steps.remove.from).execute()
}

/** The VMs behind these are gone: nobody comes back, and the tenant may be waiting to delete the network. */
export async function forgetGrace(db: Store, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await db
    .updateTable('attachments')
    .set({idle_since: 0})
    .where('id', 'in', ids)
    .where('id', 'not in', needed(db))
    .execute()
}
