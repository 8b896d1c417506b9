import {LIVE, UNCUT} from './lifecycle.ts'
import type {Store} from './open.ts'

/**
 * Is there nothing that only time, or a running service, would move on: no path that is not cut yet, no network plugged in, no machine
 * under way?
 */
export async function isAtRest(db: Store): Promise<boolean> {
  const path = await db
    .selectFrom('paths')
    .select('id')
    .where('state', 'in', [...LIVE, ...UNCUT])
    .limit(1)
    .executeTakeFirst()
  const attachment = await db.selectFrom('attachments').select('id').limit(1).executeTakeFirst()
  const machine = await db
    .selectFrom('machines')
    .select('id')
    .where(e =>
      e.or([
        e('state', 'in', ['wanted', 'booting', 'deleting']),
        e.and([e('state', '=', 'failed'), e('cleared_at', 'is', null)]),
      ]),
    )
    .limit(1)
    .executeTakeFirst()
  return path === undefined && attachment === undefined && machine === undefined
}
