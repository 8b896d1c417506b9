/**
 * Level-triggered work: a round makes everything what it shall be, whatever has happened since the last one. Rounds never
 * overlap, and all that is asked for during one rides in the next.
 */
export class Rounds {
  readonly #round: () => Promise<void>
  #running = false
  /** The round that those who ask now wait for. */
  #next: PromiseWithResolvers<void> | undefined
  #stopped = false

  /** @param round never rejects: whoever asked for it has no use for its faults */
  constructor(round: () => Promise<void>) {
    this.#round = round
  }

  /** Asks for a round that begins after this call; resolves when it has ended, or when there are no more. */
  ask(): Promise<void> {
    if (this.#stopped) return Promise.resolve()
    this.#next ??= Promise.withResolvers()
    const {promise} = this.#next
    if (!this.#running) void this.#run()
    return promise
  }

  /** No round begins any more; one that is under way ends by itself. */
  stop(): void {
    this.#stopped = true
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#next !== undefined && !this.#stopped) {
      const now = this.#next
      // Whoever waits for this round does not wait for those that others have asked for meanwhile.
      this.#next = undefined
      await this.#round().finally(now.resolve)
    }
    this.#running = false
    this.#next?.resolve()
    this.#next = undefined
  }
}
