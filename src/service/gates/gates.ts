import type {ServiceContext} from '../context.ts'
import {GateWorker} from './worker.ts'

/** The workers of all gates, by the gates' ids. */
export class Gates {
  readonly #context: ServiceContext
  readonly #workers = new Map<string, GateWorker>()

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /** A round of this gate; resolves when a round that began after this call has ended. */
  wake(gateId: string): Promise<void> {
    return this.#context.jobs.stopped ? Promise.resolve() : this.#worker(gateId).wake()
  }

  /** Each gate of these paths forgets those of them that are over, soon. */
  wakeFor(paths: readonly {readonly gate_id: string}[]): void {
    for (const id of new Set(paths.map(path => path.gate_id))) void this.wake(id)
  }

  /** The next round sends the whole state. */
  forget(gateId: string): void {
    this.#workers.get(gateId)?.forget()
  }

  /** Accounts of the gate that have a connection now; none when it is down, undefined when that is not known. */
  async sessions(gateId: string): Promise<ReadonlySet<string> | undefined> {
    try {
      return await this.#worker(gateId).sessions()
    } catch (err) {
      // Where it could not be asked, anything may be in use.
      this.#context.log.info({err, gate: gateId}, 'sessions are not known')
      return undefined
    }
  }

  /** Forgets a gate that was removed, and its connection. */
  drop(gateId: string): void {
    this.#workers.get(gateId)?.close()
    this.#workers.delete(gateId)
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
