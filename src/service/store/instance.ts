import type {Store} from './open.ts'

/*
 * Which copy of a service this is. A database that was taken elsewhere is the same service, and only the last of its copies runs the
 * gates; replicas that share a database are one copy.
 */

/** What makes a copy come before the one that it was made of, however often that one has taken its leases anew. */
const AHEAD = 1_000_000

export interface Instance {
  readonly id: string
  /** Who runs the gates now, where this copy is not the last one. */
  readonly takenBy: string | undefined
}

/** This copy. */
export async function instanceOf(db: Store): Promise<Instance> {
  const {id, instance, taken_by} = await db
    .selectFrom('service')
    .select(['id', 'instance', 'taken_by'])
    .executeTakeFirstOrThrow()
  return {id: instance ?? id, takenBy: taken_by ?? undefined}
}

/** Somebody else runs the gates of this service from now on. */
export async function noteTaken(db: Store, by: string): Promise<void> {
  await db.updateTable('service').set({taken_by: by}).execute()
}

/** This becomes the copy that runs the gates, as soon as it comes to them. */
export async function takeOver(db: Store, instance: string): Promise<void> {
  await db.updateTable('service').set({instance, taken_by: null}).execute()
  await db
    .updateTable('leases')
    .set(e => ({until: 0, fence: e('fence', '+', AHEAD)}))
    .execute()
}
