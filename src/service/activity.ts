/** What is asked of the service now, and since when nothing is. */
export class Activity {
  readonly #clock: () => number
  #underWay = 0
  #since: number

  /** @param clock epoch ms */
  constructor(clock: () => number) {
    this.#clock = clock
    this.#since = clock()
  }

  begin(): void {
    this.#underWay++
  }

  end(): void {
    this.#underWay--
    this.#since = this.#clock()
  }

  /** Requests that wait for their answer. */
  get underWay(): number {
    return this.#underWay
  }

  /** How long nothing has been asked, ms; 0 while something is. */
  get quiet(): number {
    // Clocks are set back, too.
    return this.#underWay > 0 ? 0 : Math.max(0, this.#clock() - this.#since)
  }
}
