import {randomUUID} from 'node:crypto'

import {OsSshError} from '../../errors.ts'
import {ALIASES, aliasAt, DIRECT_SLOT, login, loginNumber} from '../gates/addresses.ts'
import type {GrantLimits} from '../limits.ts'
import type {Facts} from '../planner/facts.ts'
import type {Plan} from '../planner/plan.ts'
import {reuseAttachment, wantAttachment} from './attachment-steps.ts'
import {auditPaths, type Why} from './audit.ts'
import {gate} from './gates.ts'
import {takeOne} from './holdings.ts'
import {gateTurn} from './leases.ts'
import {lifecycle} from './lifecycle.ts'
import {NOTHING, RELEASED} from './literals.ts'
import {alone, atomically, type Store} from './open.ts'
import {decodePath, liveOf} from './paths.ts'
import type {PathRow} from './schema.ts'

/* A path is asked for, and gets its place. Times are epoch ms. */

/** What was planned by is not so any more. */
export class Collision extends Error {}

/** What is known of a path before it has a place. */
export type NewPath = Pick<
  PathRow,
  | 'id'
  | 'user_id'
  | 'user_name'
  | 'project_id'
  | 'server_id'
  | 'server_name'
  | 'public_key'
  | 'fingerprint'
  | 'created_at'
  | 'expires_at'
  | 'certificate_until'
>

/**
 * Writes that somebody has the right to a path and asks for it.
 *
 * @param perVm live paths that one user may have to a VM; 0: any number
 * @throws Collision when the same is asked for elsewhere at this moment
 */
export function requestPath(
  db: Store,
  path: NewPath,
  facts: Facts,
  perVm: number,
  why: Why,
): Promise<PathRow> {
  return atomically(db, async tx => {
    // Others of the same user may have come meanwhile.
    if (perVm > 0) await alone(tx, `user ${path.user_id}`)
    if (perVm > 0 && (await liveOf(tx, path)) >= perVm) throw new Collision('no place among the user’s paths')
    const [{network_id = '', address = ''} = {}] = facts.nics
    const row = await tx
      .insertInto('paths')
      .values({
        ...path,
        ...{network_id, address, route: 'attached', gate_id: '', attachment_id: '', alias: '', login: ''},
        ...{state: lifecycle.path.request.to, ended_at: null, cut_at: null, error: null},
      })
      .onConflict(conflict => conflict.doNothing())
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) throw new Collision('the same path is being made elsewhere')
    await auditPaths(tx, 'grant', [row], path.created_at, why)
    return decodePath(row)
  })
}

/** Keeps what the user saw, for whoever places the path later. */
export async function keepFacts(tx: Store, path_id: string, facts: Facts, seen_at: number): Promise<void> {
  await tx
    .insertInto('path_facts')
    .values({path_id, facts: JSON.stringify(facts), seen_at})
    .execute()
}

/** Attachment of the paths that need none. */
const DIRECT = {id: '', slot: DIRECT_SLOT, network_id: undefined, project_id: undefined}

/**
 * Gives a path its gate, attachment, alias and account.
 *
 * @param now epoch ms
 * @throws Collision when what was planned by is not so any more, or it has its place already; OsSshError GATE_FULL
 */
export function placePath(
  db: Store,
  plan: Plan,
  limits: GrantLimits,
  {id, project_id}: Pick<PathRow, 'id' | 'project_id'>,
  now: number,
): Promise<PathRow> {
  return atomically(db, async tx => {
    const {gate_id, nic, route} = plan
    await alone(tx, gateTurn(gate_id))
    if ((await gate(tx, gate_id)) === undefined) throw new Collision('the gate went away')
    const count = await takeOne(tx, gate_id, project_id)
    const attachment = await attachmentOf(tx, plan, now)
    if (attachment === undefined) throw new Collision('the attachment went away')
    const account = await freeLogin(tx, gate_id, count, limits.paths)
    const alias = await freeAlias(tx, gate_id, attachment.slot, nic.address, account)
    const row = await tx
      .updateTable('paths')
      .set({
        ...{state: lifecycle.path.place.to, gate_id, attachment_id: attachment.id, alias, login: account},
        ...{network_id: nic.network_id, address: nic.address, route},
      })
      .where('id', '=', id)
      .where('state', 'in', lifecycle.path.place.from)
      .returningAll()
      .executeTakeFirst()
    if (row === undefined) throw new Collision('the path has its place, or is over')
    await tx.deleteFrom('path_facts').where('path_id', '=', id).execute()
    // May the port be in the groups of the VM? On the VM's own network, and on one of the same project; anywhere else the
    // port's address would be a stranger's key to whatever those groups admit.
    const joins = attachment.network_id === nic.network_id || attachment.project_id === project_id
    const groups = joins ? [...new Set(nic.groups)] : []
    if (groups.length > 0)
      await tx
        .insertInto('path_groups')
        .values(groups.map(group_id => ({path_id: id, group_id})))
        .execute()
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

/** Below so many the first free one is looked for; from there on among so many at random, and in the end among all. */
const [FEW, SOME, MANY] = [64, 24, 1000]

/**
 * Numbers to be looked at, batch by batch, until one is free: where few of `all` are given the first one; otherwise by chance in
 * a quarter more than are given, where one in five is free, so that neither the search nor the accounts grow without need.
 */
function* batches(count: number, all: number): Generator<number[]> {
  const span = Math.min(all, count + Math.ceil(count / 4))
  const range = (from: number, length: number) =>
    Array.from({length: Math.min(length, all - from)}, (_, n) => from + n)
  if (count < FEW) yield range(0, FEW)
  else yield Array.from({length: SOME}, () => Math.floor(Math.random() * span))
  for (let from = 0; from < all; from += MANY) yield range(from, MANY)
}

/** The first of these names that is not taken. */
async function firstFree(
  numbers: Iterable<readonly number[]>,
  name: (n: number) => string,
  taken: (names: readonly string[]) => Promise<readonly string[]>,
): Promise<string | undefined> {
  for (const batch of numbers) {
    const names = batch.map(name)
    const used = new Set(await taken(names))
    const free = names.find(one => !used.has(one))
    if (free !== undefined) return free
  }
  return undefined
}

/** Which of these accounts or aliases of a gate are taken. */
const taken =
  (tx: Store, gateId: string, column: 'login' | 'alias') =>
  async (names: readonly string[]): Promise<readonly string[]> => {
    const rows = await tx
      .selectFrom('paths')
      .select(`${column} as name`)
      .where('gate_id', '=', gateId)
      .where('state', '<>', RELEASED)
      .where(column, 'in', names)
      .where(column, '<>', NOTHING)
      .execute()
    return rows.map(row => row.name)
  }

/** A free account of a gate. @param count accounts that are given */
async function freeLogin(tx: Store, gateId: string, count: number, limit: number): Promise<string> {
  const name = await firstFree(batches(count, limit), login, taken(tx, gateId, 'login'))
  if (name === undefined) throw new OsSshError('GATE_FULL', `all ${limit} accounts of the gate are in use`)
  return name
}

/**
 * A free alias of a slot. By the gate and not by the attachment: a slot is taken by the next network while aliases of the last
 * one still rest.
 */
async function freeAlias(
  tx: Store,
  gateId: string,
  slot: number,
  address: string,
  account: string,
): Promise<string> {
  const family = address.includes(':') ? 6 : 4
  const name = (n: number) => aliasAt(slot, family, n)
  // As a rule the one of the account's own number is free.
  const own = loginNumber(account) % ALIASES
  const free = await firstFree([[own], ...batches(ALIASES, ALIASES)], name, taken(tx, gateId, 'alias'))
  if (free === undefined)
    throw new OsSshError('GATE_FULL', 'all aliases of this network are in use on the gate')
  return free
}
