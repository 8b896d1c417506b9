import {OsSshError} from '../errors.ts'

export interface TurnLimits {
  /** Requests of one project that are under way at a time. */
  readonly perProject: number
  /** Requests of all projects that are. */
  readonly total: number
  /** Requests of one project that may wait. */
  readonly waiting: number
}

/** Measured on two cores: more than these at a time are no faster, and one project's leave room for the others'. */
export const usualTurns: TurnLimits = {perProject: 8, total: 32, waiting: 250}

/**
 * Lets requests in so that no project waits for the queue of another: each has its own, and a place that becomes free goes to
 * the project that has waited longest since its last turn.
 */
export class Turns {
  readonly #limits: TurnLimits
  readonly #running = new Map<string, number>()
  /** Projects with requests that wait, the one whose turn it is first. */
  readonly #queues = new Map<string, (() => void)[]>()
  #total = 0

  constructor(limits: TurnLimits = usualTurns) {
    this.#limits = limits
  }

  /**
   * Waits for the project's turn.
   *
   * @returns ends the turn; may be called more than once
   * @throws OsSshError RATE_LIMITED when too many of the project wait already
   */
  async take(project: string): Promise<() => void> {
    if (!this.#free(project)) {
      const queue = this.#queues.get(project) ?? []
      if (queue.length >= this.#limits.waiting)
        throw new OsSshError('RATE_LIMITED', 'too many requests of this project wait already', {
          retryAfter: 5,
        })
      this.#queues.set(project, queue)
      await new Promise<void>(resolve => queue.push(resolve))
    } else this.#begin(project)
    let over = false
    return () => {
      if (over) return
      over = true
      this.#end(project)
    }
  }

  #free(project: string): boolean {
    return this.#total < this.#limits.total && (this.#running.get(project) ?? 0) < this.#limits.perProject
  }

  #begin(project: string): void {
    this.#total++
    this.#running.set(project, (this.#running.get(project) ?? 0) + 1)
  }

  #end(project: string): void {
    this.#total--
    const left = (this.#running.get(project) ?? 1) - 1
    if (left > 0) this.#running.set(project, left)
    else this.#running.delete(project)
    for (const [next, queue] of this.#queues) {
      if (!this.#free(next)) continue
      const go = queue.shift()
      // Whoever has had a turn goes to the end.
      this.#queues.delete(next)
      if (queue.length > 0) this.#queues.set(next, queue)
      this.#begin(next)
      go?.()
      return
    }
  }
}
