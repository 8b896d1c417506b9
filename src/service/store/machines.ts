import type {Selectable} from 'kysely'

import type {DeployPlan, Wish} from '../deploy/choice/plan.ts'
import {type Actor, auditAct} from './audit.ts'
import {addGate, type NewGate} from './gates.ts'
import {lifecycle} from './lifecycle.ts'
import {alone, atomically, type Store} from './open.ts'
import type {MachineRow, MachineTable} from './schema.ts'

/* What the service makes in Nova, and its steps (lifecycle.ts). Times are epoch ms. */

const {machine: steps} = lifecycle

const decode = ({wish, plan, automatic, ...row}: Selectable<MachineTable>): MachineRow => ({
  ...row,
  wish: JSON.parse(wish) as Wish,
  plan: plan === null ? undefined : (JSON.parse(plan) as DeployPlan),
  automatic: automatic === 1,
})

/** All of them, oldest first. */
export async function machines(db: Store): Promise<MachineRow[]> {
  return (await db.selectFrom('machines').selectAll().orderBy('created_at').orderBy('id').execute()).map(
    decode,
  )
}

export async function machine(db: Store, id: string): Promise<MachineRow | undefined> {
  const row = await db.selectFrom('machines').selectAll().where('id', '=', id).executeTakeFirst()
  return row && decode(row)
}

/** What is known of a machine when it is wanted. */
export type NewMachine = Pick<
  MachineRow,
  'id' | 'name' | 'scope' | 'serves' | 'zone' | 'wish' | 'automatic' | 'created_at'
> & {readonly plan?: DeployPlan}

/**
 * Wants machines, all of them or none.
 *
 * @param may throws when there are too many already: nobody else wants any meanwhile
 */
export async function wantMachines(
  db: Store,
  wanted: readonly NewMachine[],
  may: (there: readonly MachineRow[]) => void,
  who: Actor,
): Promise<void> {
  await atomically(db, async tx => {
    await alone(tx, 'machines')
    may(await machines(tx))
    for (const {wish, plan, automatic, ...row} of wanted) {
      await tx
        .insertInto('machines')
        .values({
          ...row,
          ...{state: steps.want.to, since: row.created_at, wish: JSON.stringify(wish)},
          ...{plan: plan === undefined ? null : JSON.stringify(plan), automatic: Number(automatic)},
          ...{first_key: null, next_key: null, server_id: null, host: null, reason: null},
          ...{silent_since: null, rebooted_at: null, idle_since: null, cleared_at: null},
        })
        .execute()
      await auditAct(tx, 'gate-deploy', who, {at: row.created_at, detail: row.name})
    }
  })
}

/** What is found out about a machine, without a step. */
export async function noteMachine(
  db: Store,
  id: string,
  what: Partial<
    Pick<
      MachineRow,
      'first_key' | 'next_key' | 'host' | 'reason' | 'silent_since' | 'rebooted_at' | 'idle_since'
    >
  >,
): Promise<void> {
  await db.updateTable('machines').set(what).where('id', '=', id).execute()
}

/** What was chosen for it, once: a plan that is there stays. */
export async function planMachine(db: Store, id: string, plan: DeployPlan): Promise<void> {
  await db
    .updateTable('machines')
    .set({plan: JSON.stringify(plan)})
    .where('id', '=', id)
    .where('plan', 'is', null)
    .execute()
}

/** The host key that it is booted with, once: one that is there stays. @returns it; undefined when the machine is gone */
export async function keyMachine(db: Store, id: string, first_key: string): Promise<string | undefined> {
  await db
    .updateTable('machines')
    .set({first_key})
    .where('id', '=', id)
    .where('state', '=', steps.want.to)
    .where('first_key', 'is', null)
    .execute()
  return (await machine(db, id))?.first_key ?? undefined
}

/** Takes a step with it, if it may. @returns whether it did */
async function move(
  db: Store,
  step: 'boot' | 'run' | 'fail' | 'retire',
  id: string,
  now: number,
  columns: Partial<MachineTable> = {},
): Promise<boolean> {
  const {from, to} = steps[step]
  const {numUpdatedRows} = await db
    .updateTable('machines')
    .set({...columns, state: to, since: now})
    .where('id', '=', id)
    .where('state', 'in', from)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Nova has its server. @returns false when it has another one already, or was retired */
export function bootMachine(
  db: Store,
  id: string,
  made: Pick<MachineRow, 'server_id' | 'host'>,
  now: number,
): Promise<boolean> {
  return move(db, 'boot', id, now, {...made, reason: null})
}

/** It has a host key of its own and is a gate: both rows or none. @returns false when it was retired meanwhile */
export async function runMachine(db: Store, gate: NewGate, who: Actor): Promise<boolean> {
  return atomically(db, async tx => {
    const known = {first_key: null, next_key: null, reason: null, zone: gate.zone ?? null}
    if (!(await move(tx, 'run', gate.id, gate.created_at, known))) return false
    await addGate(tx, gate, who)
    return true
  })
}

/** It does not come to be; what there is of it in the cloud goes. */
export async function failMachine(db: Store, id: string, reason: string, now: number): Promise<void> {
  await move(db, 'fail', id, now, {reason, first_key: null, next_key: null})
}

/** It goes. @param act how the audit tells it @returns false when it is on its way out already */
export async function retireMachine(
  db: Store,
  {id, name, server_id}: Pick<MachineRow, 'id' | 'name' | 'server_id'>,
  act: 'gate-delete' | 'gate-replace',
  who: Actor,
  at: number,
  reason: string | null = null,
): Promise<boolean> {
  return atomically(db, async tx => {
    if (!(await move(tx, 'retire', id, at, {reason, first_key: null, next_key: null}))) return false
    // It may answer until the end, and is not to be given paths that are cut in a moment.
    await tx
      .updateTable('gates')
      .set({drained_at: at})
      .where('id', '=', id)
      .where('drained_at', 'is', null)
      .execute()
    const detail = reason === null ? name : `${name}: ${reason}`
    await auditAct(tx, act, who, {at, detail, ...(server_id === null ? {} : {server_id})})
    return true
  })
}

/** It goes, and another one like it comes: both or none. One that goes already, as an operator has said, has no successor. */
export async function replaceMachine(
  db: Store,
  row: MachineRow,
  fresh: Pick<NewMachine, 'id' | 'name'>,
  who: Actor,
  at: number,
  reason: string,
): Promise<void> {
  const {scope, serves, zone, wish, automatic} = row
  await atomically(db, async tx => {
    if (!(await retireMachine(tx, row, 'gate-replace', who, at, reason))) return
    const like = {scope, serves, zone, wish, automatic, created_at: at}
    await wantMachines(tx, [{...fresh, ...like}], () => undefined, who)
  })
}

/** Nothing of it is left in the cloud. */
export async function removeMachine(db: Store, id: string): Promise<void> {
  await db.deleteFrom('machines').where('id', '=', id).where('state', 'in', steps.remove.from).execute()
}

/** Nothing of a failed one is left in the cloud. */
export async function clearMachine(db: Store, id: string, now: number): Promise<void> {
  await db
    .updateTable('machines')
    .set({cleared_at: now})
    .where('id', '=', id)
    .where('state', '=', steps.fail.to)
    .execute()
}

/**
 * Nobody needs to be told any more why it failed: it goes, or as soon as nothing of it is left.
 *
 * @returns whether it is gone
 */
export async function forgetMachine(
  db: Store,
  {id, name: detail}: Pick<MachineRow, 'id' | 'name'>,
  who: Actor,
  at: number,
): Promise<boolean> {
  return atomically(db, async tx => {
    const {numDeletedRows} = await tx
      .deleteFrom('machines')
      .where('id', '=', id)
      .where('state', 'in', steps.forget.from)
      .where('cleared_at', 'is not', null)
      .executeTakeFirst()
    const isGone = numDeletedRows > 0n
    // As if it had failed long ago: forgetMachines takes it when it is cleared.
    const {numUpdatedRows} = isGone
      ? {numUpdatedRows: 0n}
      : await tx
          .updateTable('machines')
          .set({since: 0})
          .where('id', '=', id)
          .where('state', 'in', steps.forget.from)
          .where('since', '>', 0)
          .executeTakeFirst()
    if (isGone || numUpdatedRows > 0n) await auditAct(tx, 'gate-delete', who, {at, detail})
    return isGone
  })
}

/** Failed ones of which nothing is left, and that failed before then: nobody asks any more. */
export async function forgetMachines(db: Store, before: number): Promise<void> {
  await db
    .deleteFrom('machines')
    .where('state', 'in', steps.forget.from)
    .where('cleared_at', 'is not', null)
    .where('since', '<=', before)
    .execute()
}

/** Prefixes that may reach port 22 of the machines; undefined: as it is configured. */
export async function allowed(db: Store): Promise<readonly string[] | undefined> {
  const {allow} = await db.selectFrom('service').select('allow').executeTakeFirstOrThrow()
  return allow === null ? undefined : (JSON.parse(allow) as string[])
}

/** From now on these may; undefined: as it is configured. */
export async function allowThese(
  db: Store,
  prefixes: readonly string[] | undefined,
  who: Actor,
  at: number,
): Promise<void> {
  await atomically(db, async tx => {
    await tx
      .updateTable('service')
      .set({allow: prefixes === undefined ? null : JSON.stringify(prefixes)})
      .execute()
    await auditAct(tx, 'gate-allow', who, {at, detail: prefixes?.join(' ') ?? 'as it is configured'})
  })
}
