import {existsSync} from 'node:fs'

import {OsSshError} from '../errors.ts'
import {until} from '../system/daemon.ts'
import {lockOf, type Place} from './place.ts'
import {leaveAt} from './start.ts'

/** How long one that leaves may take to answer what is under way, and how often it is looked, ms. */
const [OVER_MS, LOOK_MS] = [20_000, 15]

/**
 * Has the service of this place leave, and keeps the place to itself until `work` is done with it.
 *
 * @param work is told whether one ran
 * @throws OsSshError BUSY when another client has started it anew; DENIED, SERVICE_DOWN
 */
export async function stopAt<T>(place: Place, work: (ran: boolean) => Promise<T>): Promise<T> {
  const ran = await leaveAt(place)
  if (!existsSync(place.state)) return work(ran)
  // Most have no service of their own: they need not load a database for that.
  const {takeLock} = await import('./lock.ts')
  const unlock = await until(() => takeLock(lockOf(place)), OVER_MS, LOOK_MS)
  if (unlock === undefined)
    throw new OsSshError('BUSY', 'the service runs: another os-ssh has started it meanwhile')
  try {
    return await work(ran)
  } finally {
    unlock()
  }
}
