import {type RawBuilder, sql} from 'kysely'

import {type Store, sharesTables} from './open.ts'

/* Who does what only one replica may do. Times by the clock of the database, which all replicas share. */

/** Placements on a gate and its removal wait for each other; and the lease of its rounds is called so. */
export const gateTurn = (id: string) => `gate ${id}`

export interface Lease {
  readonly name: string
  readonly fence: number
}

/** @param now the only replica's own clock, where there is one only */
const timeOf = (db: Store, now: number): RawBuilder<number> =>
  sharesTables(db) ? sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint` : sql<number>`${now}`

/**
 * Takes a lease that is nobody's any more; its number grows. A replica of the same name is an earlier life of this one.
 *
 * @param life ms
 * @returns undefined while another replica has it
 */
export async function takeLease(
  db: Store,
  name: string,
  owner: string,
  {now, life}: {readonly now: number; readonly life: number},
): Promise<Lease | undefined> {
  const time = timeOf(db, now)
  const row = await db
    .insertInto('leases')
    .values({name, owner, until: sql<number>`${time} + ${life}`, fence: 1})
    .onConflict(conflict =>
      conflict
        .column('name')
        .doUpdateSet({owner, until: sql<number>`${time} + ${life}`, fence: sql<number>`leases.fence + 1`})
        .where(e => e.or([e('leases.until', '<=', time), e('leases.owner', '=', owner)])),
    )
    .returning(['name', 'fence'])
    .executeTakeFirst()
  return row && {name, fence: Number(row.fence)}
}

/** Moves the ends of these leases on. @returns those that are still ours */
export async function renewLeases(
  db: Store,
  leases: readonly Lease[],
  owner: string,
  {now, life}: {readonly now: number; readonly life: number},
): Promise<ReadonlySet<string>> {
  if (leases.length === 0) return new Set()
  const rows = await db
    .updateTable('leases')
    .set({until: sql<number>`${timeOf(db, now)} + ${life}`})
    .where('owner', '=', owner)
    .where(e => e.or(leases.map(one => e.and([e('name', '=', one.name), e('fence', '=', one.fence)]))))
    .returning('name')
    .execute()
  return new Set(rows.map(row => row.name))
}

/** The number of a lease of ours becomes larger than one that somebody has seen. @returns undefined when it is not ours */
export async function raiseLease(
  db: Store,
  {name, fence}: Lease,
  owner: string,
  above: number,
): Promise<Lease | undefined> {
  const row = await db
    .updateTable('leases')
    .set({fence: above + 1})
    .where('name', '=', name)
    .where('owner', '=', owner)
    .where('fence', '=', fence)
    .returning('fence')
    .executeTakeFirst()
  return row && {name, fence: Number(row.fence)}
}

/** Anybody may have these. */
export async function giveLeases(db: Store, leases: readonly Lease[], owner: string): Promise<void> {
  if (leases.length === 0) return
  await db
    .updateTable('leases')
    .set({until: 0})
    .where('owner', '=', owner)
    .where(e => e.or(leases.map(one => e.and([e('name', '=', one.name), e('fence', '=', one.fence)]))))
    .execute()
}

/** What the lease was about is no more. */
export async function dropLease(db: Store, name: string): Promise<void> {
  await db.deleteFrom('leases').where('name', '=', name).execute()
}

/** The id of the service, which is the database's. */
export async function serviceId(db: Store): Promise<string> {
  return (await db.selectFrom('service').select('id').executeTakeFirstOrThrow()).id
}
