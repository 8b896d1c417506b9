import {randomUUID} from 'node:crypto'

import {OsSshError} from '../errors.ts'
import {DIRECT_SLOT, freeAlias, freeLogin} from './gates/addresses.ts'
import type {GrantLimits} from './limits.ts'
import type {Plan} from './planner/plan.ts'
import type {Store} from './store/open.ts'
import {heldOnGate, liveOf} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

/** What was planned by is not so any more. */
export class Collision extends Error {}

type NewPath = Omit<
  PathRow,
  | 'serial'
  | 'gate_id'
  | 'attachment_id'
  | 'alias'
  | 'login'
  | 'ended_at'
  | 'killed_at'
  | 'released_at'
  | 'error'
>

/**
 * Attachment and path in one transaction: either both are there or neither.
 *
 * @throws Collision when what was planned by is not so any more; OsSshError GATE_FULL
 */
export function insert(db: Store, plan: Plan, limits: GrantLimits, path: NewPath): Promise<PathRow> {
  return db.transaction().execute(async tx => {
    const attachment = await attachmentOf(tx, plan, path.created_at)
    if (attachment === undefined) throw new Collision('the attachment went away')
    // Others of the same user may have come meanwhile.
    const {perVm = 0} = limits.fairness ?? {}
    if (perVm > 0 && (await liveOf(tx, path)) >= perVm) throw new Collision('no place among the user’s paths')
    const held = await heldOnGate(tx, plan.gate_id)
    const family = path.address.includes(':') ? 6 : 4
    return tx
      .insertInto('paths')
      .values({
        ...path,
        gate_id: plan.gate_id,
        attachment_id: attachment.id,
        alias: freeAlias(attachment.slot, family, held.aliases),
        login: freeLogin(held.logins, limits.paths),
        ended_at: null,
        killed_at: null,
        released_at: null,
        error: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
  })
}

/** Attachment of the paths that need none. */
const NONE = {id: '', slot: DIRECT_SLOT}

function attachmentOf(tx: Store, {gate_id, attachment}: Plan, now: number) {
  if ('direct' in attachment) return NONE
  return 'reuse' in attachment ? reused(tx, attachment) : newAttachment(tx, gate_id, attachment.create, now)
}

/** Undefined when it is going, or reaches something else than was planned by. */
function reused(tx: Store, {reuse, reach}: Extract<Plan['attachment'], {readonly reuse: string}>) {
  const query = tx
    .updateTable('attachments')
    .set({idle_since: null, ...(reach && {reach: JSON.stringify(reach.now)})})
    .where('id', '=', reuse)
    .where('state', '!=', 'removing')
    .returningAll()
  return (reach ? query.where('reach', '=', JSON.stringify(reach.was)) : query).executeTakeFirst()
}

async function newAttachment(
  tx: Store,
  gateId: string,
  network: Extract<Plan['attachment'], {readonly create: unknown}>['create'],
  now: number,
) {
  const taken = await tx.selectFrom('attachments').select('slot').where('gate_id', '=', gateId).execute()
  const slots = new Set(taken.map(row => row.slot))
  const slot = Array.from({length: DIRECT_SLOT}, (_, n) => n).find(n => !slots.has(n))
  if (slot === undefined) throw new OsSshError('GATE_FULL', 'the gate has no room for another network')
  return tx
    .insertInto('attachments')
    .values({
      id: randomUUID(),
      gate_id: gateId,
      slot,
      network_id: network.network_id,
      project_id: network.project_id,
      mtu: network.mtu,
      reach: JSON.stringify(network.reach),
      port_id: null,
      mac: null,
      addresses: '[]',
      groups: '[]',
      state: 'wanted',
      own_groups: null,
      wired_at: null,
      idle_since: null,
      created_at: now,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}
