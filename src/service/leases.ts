import {dropLease, giveLeases, type Lease, raiseLease, renewLeases, takeLease} from './store/leases.ts'
import type {Store} from './store/open.ts'

/** How long a replica that has fallen silent keeps the others from its gates, ms. */
const LIFE_MS = 10_000

/** Name of the lease of a gate's rounds. */
export {gateTurn as gateLease} from './store/leases.ts'
/** Name of the lease of what is done once for all gates. */
export const SURVEY = 'survey'
/** Name of the lease of what is made in Nova. */
export const MACHINES = 'machines'

/** What this replica alone may do now. */
export class Leases {
  readonly #db: Store
  readonly #owner: string
  readonly #clock: () => number
  /** By name; `until` by our own clock, from before the database was asked. */
  readonly #held = new Map<string, Lease & {readonly until: number}>()
  #isReleased = false
  readonly #taking = new Map<string, Promise<number | undefined>>()

  /** @param owner name of this replica, the same after a restart */
  constructor(db: Store, owner: string, clock: () => number) {
    this.#db = db
    this.#owner = owner
    this.#clock = clock
  }

  /** The fencing number of a lease that is ours, or becomes so now; undefined while it is another replica's. */
  hold(name: string): Promise<number | undefined> {
    if (this.#isReleased) return Promise.resolve(undefined)
    const held = this.#held.get(name)
    if (held !== undefined && held.until > this.#clock()) return Promise.resolve(held.fence)
    let taking = this.#taking.get(name)
    if (taking === undefined) {
      taking = this.#take(name).finally(() => this.#taking.delete(name))
      this.#taking.set(name, taking)
    }
    return taking
  }

  async #take(name: string): Promise<number | undefined> {
    const now = this.#clock()
    const lease = await takeLease(this.#db, name, this.#owner, {now, life: LIFE_MS})
    this.#held.delete(name)
    if (lease !== undefined) this.#held.set(name, {...lease, until: now + LIFE_MS})
    return lease?.fence
  }

  /** Moves the ends of all that are ours on; what is not any more is forgotten. */
  async renew(): Promise<void> {
    const now = this.#clock()
    const mine = [...this.#held.values()]
    const still = await renewLeases(this.#db, mine, this.#owner, {now, life: LIFE_MS})
    for (const lease of mine) {
      if (this.#held.get(lease.name) !== lease) continue
      if (still.has(lease.name)) this.#held.set(lease.name, {...lease, until: now + LIFE_MS})
      else this.#held.delete(lease.name)
    }
  }

  /**
   * Somebody has seen this number, which is as large as ours or larger: was it a later owner's, the lease is theirs; was it ours
   * before the database was restored, ours grows.
   */
  async seen(name: string, fence: number): Promise<void> {
    const held = this.#held.get(name)
    this.#held.delete(name)
    if (held === undefined) return
    const lease = await raiseLease(this.#db, held, this.#owner, fence)
    if (lease !== undefined) this.#held.set(name, {...lease, until: held.until})
  }

  /** What it was about is no more. */
  async drop(name: string): Promise<void> {
    this.#held.delete(name)
    await dropLease(this.#db, name)
  }

  /** Another replica may go on at once, and this one does not again. */
  async release(): Promise<void> {
    this.#isReleased = true
    const mine = [...this.#held.values()]
    this.#held.clear()
    await giveLeases(this.#db, mine, this.#owner)
  }
}
