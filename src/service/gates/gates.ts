import type {ServiceContext} from '../context.ts'
import {gateLease} from '../leases.ts'
import {gate as gateById} from '../store/gates.ts'
import type {GateRow, PathRow} from '../store/schema.ts'
import {GateWorker} from './worker.ts'

/** So long another replica may take to find out whether its gate answers, ms. */
const SETTLED_MS = 8000

/** The workers of all gates, by the gates' ids. Each works while its gate's lease is this replica's. */
export class Gates {
  readonly #context: ServiceContext
  readonly #workers = new Map<string, GateWorker>()

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /**
   * A round of this gate, by whoever holds its lease.
   *
   * @returns true when a round that began after this call has ended; false when another replica was asked for one
   */
  async wake(gateId: string): Promise<boolean> {
    const {jobs, events} = this.#context
    if (jobs.stopped) return true
    if (!(await this.#holds(gateId))) {
      events.wakeElsewhere(gateId)
      return false
    }
    await this.#worker(gateId).wake()
    return true
  }

  /** A round, if the lease is ours or nobody's. */
  async tend(gateId: string): Promise<void> {
    if (await this.#isOurs(gateId)) await this.#worker(gateId).wake()
  }

  /** Each gate of these paths is told of them soon. */
  wakeFor(paths: readonly {readonly gate_id: string}[]): void {
    const ids = new Set(paths.map(path => path.gate_id).filter(id => id !== ''))
    for (const id of ids) this.#context.jobs.run(() => this.wake(id))
  }

  /** The next round sends the whole state. */
  forget(gateId: string): void {
    this.#workers.get(gateId)?.forget()
  }

  /** Looks at the groups of this attachment's port, if its gate is ours. */
  async regroup(gateId: string, attachmentId: string): Promise<void> {
    if (await this.#holds(gateId)) this.#worker(gateId).provision(attachmentId)
  }

  /** Does the gate of this path still answer? One that does not is down from now on, by the word of its lease's holder. */
  async check({id, gate_id}: Pick<PathRow, 'id' | 'gate_id'>): Promise<void> {
    if (await this.#holds(gate_id)) return this.#worker(gate_id).check()
    await this.#context.events.settled(`${gate_id}/${id}`, SETTLED_MS)
  }

  /** Another replica doubts a gate of ours: `GATE/PATH`. */
  async settle(doubt: string): Promise<void> {
    const [gateId = ''] = doubt.split('/')
    if (!(await this.#isOurs(gateId))) return
    await this.#worker(gateId).check()
    this.#context.events.settle(doubt)
  }

  /** Is it a gate at all, and its lease ours or nobody's? */
  async #isOurs(gateId: string): Promise<boolean> {
    const {db, jobs} = this.#context
    if (jobs.stopped || (await gateById(db, gateId)) === undefined) return false
    return this.#holds(gateId)
  }

  async #holds(gateId: string): Promise<boolean> {
    return (await this.#context.leases.hold(gateLease(gateId))) !== undefined
  }

  /** Accounts of the gate that have a connection now; none when it is down, undefined when that is not known. */
  async sessions(gateId: string): Promise<ReadonlySet<string> | undefined> {
    try {
      return await this.#worker(gateId).management.sessions()
    } catch (err) {
      // Where it could not be asked, anything may be in use.
      this.#context.log.info({err, gate: gateId}, 'sessions are not known')
      return undefined
    }
  }

  /** Forgets a gate that was removed, and lets another service have it. */
  async leave(gate: GateRow): Promise<void> {
    await this.#worker(gate.id).leave(gate)
    this.#workers.delete(gate.id)
  }

  /** Forgets a gate whose server goes: nobody is told. */
  async drop(gateId: string): Promise<void> {
    this.#workers.get(gateId)?.close()
    this.#workers.delete(gateId)
    await this.#context.leases.drop(gateLease(gateId))
  }

  /** The address that we come from, as this gate sees it now. @throws OsSshError GATE_DOWN, HOST_KEY */
  seenFrom(gate: GateRow): Promise<string> {
    return this.#worker(gate.id).management.seenFrom(gate)
  }

  /** Whether the connections still lead anywhere is not known: they are made anew when they are needed. */
  reconnect(): void {
    for (const worker of this.#workers.values()) worker.management.reset()
  }

  /** Closes all connections. */
  close(): void {
    for (const worker of this.#workers.values()) worker.close()
  }

  #worker(gateId: string): GateWorker {
    let worker = this.#workers.get(gateId)
    if (worker === undefined) {
      worker = new GateWorker(gateId, this.#context)
      this.#workers.set(gateId, worker)
    }
    return worker
  }
}
