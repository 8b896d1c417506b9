import {audit} from './audit.ts'
import type {ServiceContext} from './context.ts'
import {barred} from './store/bars.ts'
import {endPaths} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'clock' | 'notify'>

/** From where and by whom, for the audit. */
export interface Why {
  readonly source?: string
  readonly detail: string
}

/** Ends live paths, audits each and tells who waits for it. The gate is the caller's to wake. */
export async function revoke(
  {db, clock, notify}: Context,
  which: Parameters<typeof endPaths>[1],
  why: Why,
): Promise<PathRow[]> {
  const ended = await endPaths(db, which, clock())
  for (const path of ended) {
    await audit(db, {action: 'revoke', path, at: clock(), ...why})
    notify(path.id)
  }
  return ended
}

/** Ends whatever is live of what an operator has barred: a grant may have been under way at that moment, also elsewhere. */
export async function revokeBarred(context: Context, why: Why): Promise<PathRow[]> {
  const ended: PathRow[] = []
  for (const of of await barred(context.db, context.clock()))
    ended.push(...(await revoke(context, {of}, why)))
  return ended
}
