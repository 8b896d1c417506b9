import {randomUUID} from 'node:crypto'

import {OsSshError} from '../../errors.ts'
import {DIRECT_SLOT, freeAlias, freeLogin} from '../gates/addresses.ts'
import type {GrantLimits} from '../limits.ts'
import type {Plan} from '../planner/plan.ts'
import {reuseAttachment, wantAttachment} from './attachment-steps.ts'
import {auditPaths, type Why} from './audit.ts'
import {lifecycle} from './lifecycle.ts'
import {atomically, type Store} from './open.ts'
import {decodePath, heldOnGate, liveOf} from './paths.ts'
import type {PathRow} from './schema.ts'

/** What was planned by is not so any more. */
export class Collision extends Error {}

type NewPath = Omit<
  PathRow,
  'serial' | 'state' | 'gate_id' | 'attachment_id' | 'alias' | 'login' | 'ended_at' | 'cut_at' | 'error'
>

/** Attachment of the paths that need none. */
const DIRECT = {id: '', slot: DIRECT_SLOT, network_id: undefined, project_id: undefined}

/**
 * Attachment, path and audit in one transaction: all are there or none.
 *
 * @throws Collision when what was planned by is not so any more; OsSshError GATE_FULL
 */
export function placePath(
  db: Store,
  plan: Plan,
  limits: GrantLimits,
  path: NewPath,
  why: Why,
): Promise<PathRow> {
  return atomically(db, async tx => {
    const attachment = await attachmentOf(tx, plan, path.created_at)
    if (attachment === undefined) throw new Collision('the attachment went away')
    // Others of the same user may have come meanwhile.
    const {perVm = 0} = limits.fairness ?? {}
    if (perVm > 0 && (await liveOf(tx, path)) >= perVm) throw new Collision('no place among the user’s paths')
    const held = await heldOnGate(tx, plan.gate_id)
    const family = path.address.includes(':') ? 6 : 4
    const row = await tx
      .insertInto('paths')
      .values({
        ...path,
        state: lifecycle.path.grant.to,
        gate_id: plan.gate_id,
        attachment_id: attachment.id,
        alias: freeAlias(attachment.slot, family, held.aliases),
        login: freeLogin(held.logins, limits.paths),
        ended_at: null,
        cut_at: null,
        error: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    // May the port be in the groups of the VM? On the VM's own network, and on one of the same project; anywhere else the
    // port's address would be a stranger's key to whatever those groups admit.
    const joins = attachment.network_id === path.network_id || attachment.project_id === path.project_id
    const groups = joins ? [...new Set(plan.nic.groups)] : []
    if (groups.length > 0)
      await tx
        .insertInto('path_groups')
        .values(groups.map(group_id => ({path_id: path.id, group_id})))
        .execute()
    await auditPaths(tx, 'grant', [row], path.created_at, why)
    return decodePath(row)
  })
}

async function attachmentOf(tx: Store, {gate_id, attachment}: Plan, now: number) {
  if ('direct' in attachment) return DIRECT
  if ('reuse' in attachment) return reuseAttachment(tx, attachment)
  const taken = await tx.selectFrom('attachments').select('slot').where('gate_id', '=', gate_id).execute()
  const slots = new Set(taken.map(row => row.slot))
  const slot = Array.from({length: DIRECT_SLOT}, (_, n) => n).find(n => !slots.has(n))
  if (slot === undefined) throw new OsSshError('GATE_FULL', 'the gate has no room for another network')
  return wantAttachment(tx, {...attachment.create, id: randomUUID(), gate_id, slot}, now)
}
