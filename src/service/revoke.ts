import type {ServiceContext} from './context.ts'
import type {Why} from './store/audit.ts'
import {barred} from './store/bars.ts'
import {endPaths, type Some} from './store/path-steps.ts'
import type {PathRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'clock' | 'notify'>

/** Ends live paths and tells who waits for them. The gate is the caller's to wake. */
export async function revoke({db, clock, notify}: Context, some: Some, why: Why): Promise<PathRow[]> {
  const ended = await endPaths(db, some, clock(), {action: 'revoke', ...why})
  for (const path of ended) notify(path.id)
  return ended
}

/** Ends whatever is live of what an operator has barred: a grant may have been under way at that moment, also elsewhere. */
export async function revokeBarred(context: Context, why: Why): Promise<PathRow[]> {
  const ended: PathRow[] = []
  for (const of of await barred(context.db, context.clock()))
    ended.push(...(await revoke(context, {of}, why)))
  return ended
}
