import {EventEmitter, once} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'

import type {Store} from './store/open.ts'
import {path} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

/** Another replica may be the one that makes a path: who waits looks again now and then, ms. */
const LOOK_MS = 1000

/** Tells those who wait, in this process, that something has become of a path. */
export class PathEvents {
  readonly #changes = new EventEmitter().setMaxListeners(0)

  emit(pathId: string): void {
    this.#changes.emit(pathId)
  }

  /** Waits until the path is no longer pending, or `deadline` (epoch ms) has passed; the path as it is then. */
  async wait(
    {db, clock}: {readonly db: Store; readonly clock: () => number},
    pathId: string,
    deadline: number,
  ): Promise<PathRow | undefined> {
    for (;;) {
      // Listen before looking, or the answer could come between the two.
      const abort = new AbortController()
      const event = once(this.#changes, pathId, {signal: abort.signal}).catch(() => undefined)
      const row = await path(db, pathId)
      const left = deadline - clock()
      if (row?.state === 'pending' && left > 0)
        await Promise.race([
          event,
          sleep(Math.min(left, LOOK_MS), undefined, {signal: abort.signal}).catch(() => undefined),
        ])
      abort.abort()
      if (row?.state !== 'pending' || left <= 0) return row
    }
  }
}
