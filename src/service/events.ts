import {EventEmitter} from 'node:events'

import type {Store} from './store/open.ts'
import {path} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'
import type {News, Wire} from './store/wire.ts'

/** A replica may die before it has told the others: who waits looks again after so long, ms. */
const LOOK_MS = 5000
const ANY = ''

const isPending = ({state}: PathRow) => state === 'requested' || state === 'pending'

/** Tells those who wait, here and in other replicas, that something has become of a path. */
export class PathEvents {
  readonly #changes = new EventEmitter().setMaxListeners(0)
  readonly #wire: Wire | undefined
  #paths: string[] = []
  #gates: string[] = []

  /** @param wire to the other replicas, where there are some */
  constructor(wire?: Wire) {
    this.#wire = wire
  }

  emit(pathId: string): void {
    this.#changes.emit(pathId)
    if (this.#wire === undefined) return
    this.#paths.push(pathId)
    this.#tell()
  }

  /** Asks the replica that holds this gate's lease for a round. */
  wakeElsewhere(gateId: string): void {
    if (this.#wire === undefined) return
    this.#gates.push(gateId)
    this.#tell()
  }

  /** What comes in one turn goes in one message. */
  #tell(): void {
    if (this.#paths.length + this.#gates.length !== 1) return
    setImmediate(() => {
      const [paths, gates] = [this.#paths, this.#gates]
      ;[this.#paths, this.#gates] = [[], []]
      this.#wire?.send({paths, gates: [...new Set(gates)]})
    })
  }

  /** What another replica says, or that something may have been missed. */
  hear(news: News | undefined): void {
    for (const id of news?.paths ?? []) this.#changes.emit(id)
    if (news === undefined) this.#changes.emit(ANY)
  }

  /**
   * Waits until the path is so, by default no longer pending, or `deadline` (epoch ms) has passed.
   *
   * @returns the path as it is then
   */
  async wait(
    {db, clock}: {readonly db: Store; readonly clock: () => number},
    pathId: string,
    deadline: number,
    is: (row: PathRow) => boolean | Promise<boolean> = row => !isPending(row),
  ): Promise<PathRow | undefined> {
    for (;;) {
      const {promise: heard, resolve: hear} = Promise.withResolvers<void>()
      // Listen before looking, or the answer could come between the two.
      for (const name of [pathId, ANY]) this.#changes.on(name, hear)
      let timer: NodeJS.Timeout | undefined
      try {
        const row = await path(db, pathId)
        const left = deadline - clock()
        if (row === undefined || (await is(row)) || left <= 0) return row
        timer = setTimeout(hear, Math.min(left, LOOK_MS))
        await heard
      } finally {
        clearTimeout(timer)
        for (const name of [pathId, ANY]) this.#changes.off(name, hear)
      }
    }
  }
}
