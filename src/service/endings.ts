import type {OsSshError} from '../errors.ts'
import type {ServiceContext} from './context.ts'
import type {Why} from './store/audit.ts'
import {barred} from './store/bars.ts'
import {endPaths, failPaths, type Some, withdrawPath} from './store/path-steps.ts'
import type {PathRow} from './store/schema.ts'

/* How paths end: by whom or by what, and those who wait are told. Their gates are the caller's to wake. */

type Context = Pick<ServiceContext, 'db' | 'clock' | 'events'>

/** Ends live paths. @returns those that were live */
export async function revoke({db, clock, events}: Context, some: Some, why: Why): Promise<PathRow[]> {
  const ended = await endPaths(db, some, clock(), {action: 'revoke', ...why})
  for (const path of ended) events.emit(path.id)
  return ended
}

/** Ends whatever is live of what an operator has barred: a grant may have been under way at that moment, also elsewhere. */
export async function revokeBarred(context: Context, why: Why): Promise<PathRow[]> {
  const ended: PathRow[] = []
  for (const of of await barred(context.db, context.clock()))
    ended.push(...(await revoke(context, {of}, why)))
  return ended
}

/** Ends paths whose time is over. @returns those that were live */
export async function expire({db, clock, events}: Context): Promise<PathRow[]> {
  const now = clock()
  const ended = await endPaths(db, {expiredBy: now}, now, {action: 'expire'})
  for (const path of ended) events.emit(path.id)
  return ended
}

const reasonOf = (fault: OsSshError) => ({
  code: fault.code,
  message: fault.message,
  hint: fault.suggestions[0],
})

/** A path that waits for a place gets none. */
export async function withdraw({db, clock, events}: Context, id: string, fault: OsSshError): Promise<void> {
  for (const path of await withdrawPath(db, id, reasonOf(fault), clock())) events.emit(path.id)
}

/** Fails live paths with a reason. @returns those that were live */
export async function fail(
  {db, clock, events}: Context,
  ids: readonly string[],
  fault: OsSshError,
): Promise<PathRow[]> {
  const failed = await failPaths(db, ids, reasonOf(fault), clock())
  for (const path of failed) events.emit(path.id)
  return failed
}
