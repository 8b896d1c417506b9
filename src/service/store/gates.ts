import type {Selectable} from 'kysely'

import {OsSshError} from '../../errors.ts'
import type {GateChoice} from '../planner/plan.ts'
import {attachments as allAttachments} from './attachments.ts'
import {type Actor, auditAct} from './audit.ts'
import {holdings} from './holdings.ts'
import {gateTurn} from './leases.ts'
import {lifecycle} from './lifecycle.ts'
import {alone, atomically, type Store} from './open.ts'
import {releaseGate} from './path-steps.ts'
import type {GateRow, GateTable} from './schema.ts'

const {gate: steps} = lifecycle

const decodeGate = ({keep_nics, ...row}: Selectable<GateTable>): GateRow => ({
  ...row,
  keep_nics: JSON.parse(keep_nics) as string[],
})

export async function gate(db: Store, id: string): Promise<GateRow | undefined> {
  const row = await db.selectFrom('gates').selectAll().where('id', '=', id).executeTakeFirst()
  return row && decodeGate(row)
}

/** By name. */
export async function gates(db: Store): Promise<GateRow[]> {
  return (await db.selectFrom('gates').selectAll().orderBy('name').execute()).map(decodeGate)
}

/** Does the database answer? @throws Error of its driver when not */
export async function ping(db: Store): Promise<void> {
  await db.selectFrom('gates').select('id').limit(1).execute()
}

/** What is known of a gate when it is registered. */
export type NewGate = Omit<GateRow, 'state' | 'reason' | 'clock_skew' | 'drained_at' | 'zone' | 'serves'> &
  Partial<Pick<GateRow, 'zone' | 'serves'>>

/**
 * Registers a gate.
 *
 * @throws OsSshError USAGE when its name or server is registered already
 */
export async function addGate(db: Store, row: NewGate, who: Actor): Promise<void> {
  const {created_at: at, server_id, name: detail} = row
  await atomically(db, async tx => {
    await tx
      .insertInto('gates')
      .values({
        ...row,
        keep_nics: JSON.stringify(row.keep_nics),
        state: steps.add.to,
        reason: null,
        clock_skew: 0,
      })
      .execute()
    await auditAct(tx, 'gate-add', who, {at, server_id, detail})
  }).catch(error => {
    throw /unique/i.test(String(error))
      ? new OsSshError('USAGE', 'a gate of this name or server is registered already')
      : error
  })
}

/** It took its whole state. */
export async function gateUp(db: Store, id: string): Promise<void> {
  const {from, to} = steps.up
  await db
    .updateTable('gates')
    .set({state: to, reason: null})
    .where('id', '=', id)
    .where('state', 'in', from)
    .execute()
}

/** Its clock is so far ahead of ours, ms. */
export async function noteClock(db: Store, id: string, clock_skew: number): Promise<void> {
  await db.updateTable('gates').set({clock_skew}).where('id', '=', id).execute()
}

/** It could not be reached or configured; the newest reason counts. */
export async function gateDown(db: Store, id: string, reason: string): Promise<void> {
  await db.updateTable('gates').set({state: steps.down.to, reason}).where('id', '=', id).execute()
}

/** It takes no new paths from `at` on, or takes them again. */
export async function drainGate(
  db: Store,
  {id, name: detail, server_id}: Pick<GateRow, 'id' | 'name' | 'server_id'>,
  drain: boolean,
  who: Actor,
  at: number,
): Promise<void> {
  await atomically(db, async tx => {
    const {numUpdatedRows} = await tx
      .updateTable('gates')
      .set({drained_at: drain ? at : null})
      .where('id', '=', id)
      .where('drained_at', drain ? 'is' : 'is not', null)
      .executeTakeFirst()
    if (numUpdatedRows > 0n)
      await auditAct(tx, 'gate-drain', who, {at, server_id, detail: drain ? detail : `${detail}: no more`})
  })
}

/** It is reached there from now on. */
export async function moveGate(db: Store, id: string, host: string): Promise<void> {
  await db.updateTable('gates').set({host}).where('id', '=', id).execute()
}

/** Takes a gate's row out, when nothing is plugged into it any more. @returns whether it went */
export async function removeGate(
  db: Store,
  {id, name: detail}: Pick<GateRow, 'id' | 'name'>,
  who: Actor,
  at: number,
): Promise<boolean> {
  return atomically(db, async tx => {
    await alone(tx, gateTurn(id))
    const {numDeletedRows} = await tx
      .deleteFrom('gates')
      .where('id', '=', id)
      .where('id', 'not in', tx.selectFrom('attachments').select('gate_id'))
      .executeTakeFirst()
    if (numDeletedRows === 0n) return false
    await releaseGate(tx, id, who, at)
    await tx.deleteFrom('leases').where('name', '=', gateTurn(id)).execute()
    await auditAct(tx, 'gate-remove', who, {at, detail})
    return true
  })
}

/** All gates with what is plugged into them, as the planner wants them. */
export async function gateChoices(db: Store): Promise<GateChoice[]> {
  const [rows, attachments, counts] = await Promise.all([gates(db), allAttachments(db), holdings(db)])
  return rows.map(gate => ({
    id: gate.id,
    project_id: gate.project_id,
    scope: gate.scope,
    serves: gate.serves,
    zone: gate.zone,
    draining: gate.drained_at !== null,
    state: gate.state,
    paths: counts.get(gate.id)?.all ?? 0,
    held: counts.get(gate.id)?.byProject ?? new Map<string, number>(),
    attachments: attachments
      .filter(row => row.gate_id === gate.id)
      .map(row => ({
        id: row.id,
        network_id: row.network_id,
        project_id: row.project_id,
        idle_since: row.idle_since,
        reach: row.reach,
        removing: row.state === 'removing',
      })),
  }))
}
