import {EventEmitter} from 'node:events'

import type {Store} from './store/open.ts'
import {path} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'
import type {News, Wire} from './store/wire.ts'

/** A replica may die before it has told the others: who waits looks again after so long, ms. */
const LOOK_MS = 5000
const ANY = 'any'

const none = (): Record<keyof News, string[]> => ({paths: [], gates: [], doubts: [], settled: []})

const isPending = ({state}: PathRow) => state === 'requested' || state === 'pending'

/** Tells those who wait, here and in other replicas, that something has become of a path. */
export class PathEvents {
  readonly #changes = new EventEmitter().setMaxListeners(0)
  #wire: Wire | undefined
  /** What is to be told in this turn. */
  #news = none()

  /** From now on there are other replicas, by this wire. */
  connect(wire: Wire): void {
    this.#wire = wire
  }

  emit(pathId: string): void {
    this.#changes.emit(`path ${pathId}`)
    this.#tell('paths', pathId)
  }

  /** Asks the replica that holds this gate's lease for a round. */
  wakeElsewhere(gateId: string): void {
    this.#tell('gates', gateId)
  }

  /** Asks it whether a gate answers, and waits so long, ms, until it knows. @param doubt `GATE/PATH` */
  async settled(doubt: string, within: number): Promise<void> {
    const {promise, resolve} = Promise.withResolvers<void>()
    this.#changes.once(`settled ${doubt}`, resolve)
    const timer = setTimeout(resolve, within)
    this.#tell('doubts', doubt)
    await promise
    clearTimeout(timer)
    this.#changes.off(`settled ${doubt}`, resolve)
  }

  /** It knows: the gate is down by now, or answers. */
  settle(doubt: string): void {
    this.#tell('settled', doubt)
  }

  /** What comes in one turn goes in one message. */
  #tell(kind: keyof News, what: string): void {
    if (this.#wire === undefined) return
    const isFirst = Object.values(this.#news).every(list => list.length === 0)
    this.#news[kind].push(what)
    if (!isFirst) return
    setImmediate(() => {
      const news = this.#news
      this.#news = none()
      this.#wire?.send({...news, gates: [...new Set(news.gates)]})
    })
  }

  /** What another replica says, or that something may have been missed. */
  hear(news: News | undefined): void {
    for (const id of news?.paths ?? []) this.#changes.emit(`path ${id}`)
    for (const doubt of news?.settled ?? []) this.#changes.emit(`settled ${doubt}`)
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
      for (const name of [`path ${pathId}`, ANY]) this.#changes.on(name, hear)
      let timer: NodeJS.Timeout | undefined
      try {
        const row = await path(db, pathId)
        const left = deadline - clock()
        if (row === undefined || (await is(row)) || left <= 0) return row
        timer = setTimeout(hear, Math.min(left, LOOK_MS))
        await heard
      } finally {
        clearTimeout(timer)
        for (const name of [`path ${pathId}`, ANY]) this.#changes.off(name, hear)
      }
    }
  }
}
