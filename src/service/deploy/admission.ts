import {isIPv6} from 'node:net'

import {OsSshError} from '../../errors.ts'
import {inTime} from '../gates/in-time.ts'
import type {Actor} from '../store/audit.ts'
import {gates as allGates} from '../store/gates.ts'
import {machines as allMachines, allowThese} from '../store/machines.ts'
import {accessOf, groupOf, type Making} from './machine.ts'
import {ensureGroup} from './objects.ts'

const EVERYBODY = ['0.0.0.0/0', '::/0']
/** So long a gate may take to see us, ms: Neutron has let us in only just now. */
const SEEN_MS = 20_000

/** Who may reach port 22 of the gates that the service makes. */
export class Admission {
  readonly #making: Making
  #isDue = false

  constructor(making: Making) {
    this.#making = making
  }

  /** Has the cloud not done yet what was said last? */
  get isDue(): boolean {
    return this.#isDue
  }

  /** Prefixes that may. */
  allowed(): Promise<readonly string[]> {
    return accessOf(this.#making)
  }

  /** From now on these may; undefined: those that are configured. @throws OpenStackError */
  async allow(prefixes: readonly string[] | undefined, who: Actor): Promise<void> {
    const {context} = this.#making
    await allowThese(context.db, prefixes, who, context.clock())
    this.#isDue = true
    await this.mend()
  }

  /**
   * From now on only this machine may, by the address that the gates see. It may have moved: to be seen it must be let in, so everybody
   * is for a moment; where that ends badly, the next look mends it.
   *
   * @returns the prefixes
   * @throws OpenStackError; OsSshError NO_GATE when there is none to see it, GATE_DOWN when none does
   */
  async allowSeen(who: Actor): Promise<readonly string[]> {
    const {context, gates} = this.#making
    const running = (await allMachines(context.db)).filter(({state}) => state === 'running')
    const all = (await allGates(context.db)).filter(({id}) => running.some(row => row.id === id))
    if (all.length === 0)
      throw new OsSshError('NO_GATE', 'there is no gate yet that could see from where you come')
    this.#isDue = true
    await ensureGroup(context, EVERYBODY)
    const seen = await Promise.allSettled(
      all.map(gate =>
        inTime(gates.seenFrom(gate), SEEN_MS, `no gate was reached within ${SEEN_MS / 1000} s`),
      ),
    )
    const addresses = new Set(seen.flatMap(one => (one.status === 'fulfilled' ? one.value : [])))
    if (addresses.size === 0) throw (seen[0] as PromiseRejectedResult).reason
    const prefixes = [...addresses].map(address => `${address}/${isIPv6(address) ? 128 : 32}`)
    await this.allow(prefixes, who)
    return prefixes
  }

  /** The group admits whom it shall; where the cloud does not do it now, the next tick tries again. @throws OpenStackError */
  async mend(): Promise<void> {
    const rows = await allMachines(this.#making.context.db)
    if (rows.some(row => row.cleared_at === null)) await groupOf(this.#making)
    this.#isDue = false
  }
}
