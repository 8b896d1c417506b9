import {OsSshError} from '../../errors.ts'
import type {ServiceContext} from '../context.ts'
import {activatePaths} from '../store/paths.ts'
import type {PathRow} from '../store/schema.ts'
import type {GateConnection} from './connection.ts'
import {PROBE_S, renderProbes} from './render.ts'

/**
 * Batches under way at most. sshd admits ten sessions a connection (MaxSessions) and a round needs two; a batch with a
 * VM that does not answer takes the whole time, and the others must not wait for it.
 */
const BATCHES = 6

/** Tries the VMs of new paths from the gate, many in one session, and says of each whether it may be used. */
export class Prober {
  readonly #context: ServiceContext
  readonly #known = new Set<string>()
  #waiting: PathRow[] = []
  #running = 0

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /** Probes these unless they are being probed already; returns at once. */
  probe(link: GateConnection, paths: readonly PathRow[]): void {
    for (const path of paths) {
      if (this.#known.has(path.id)) continue
      this.#known.add(path.id)
      this.#waiting.push(path)
    }
    if (this.#waiting.length > 0 && this.#running < BATCHES) void this.#batch(link)
  }

  async #batch(link: GateConnection): Promise<void> {
    const paths = new Map(this.#waiting.map(path => [path.id, path]))
    this.#waiting = []
    this.#running++
    const settling: Promise<void>[] = []
    const hear = (line: string) => {
      const [, id = '', status] = /^probe (\S+) (\d+)$/.exec(line) ?? []
      const path = paths.get(id)
      if (path !== undefined && paths.delete(id)) settling.push(this.#settle(path, Number(status)))
    }
    try {
      await link.run(renderProbes([...paths.values()]), hear)
    } catch (err) {
      // The next round, on a new connection, finds these still pending.
      this.#context.log.info({err}, 'probes were cut off')
    }
    await Promise.allSettled(settling)
    for (const id of paths.keys()) this.#known.delete(id)
    this.#running--
    if (this.#waiting.length > 0) void this.#batch(link)
  }

  async #settle(path: PathRow, status: number): Promise<void> {
    if (status === 0) {
      await activatePaths(this.#context.db, [path.id])
      this.#context.settled(path.id)
    } else {
      const why = status === 124 ? `does not answer within ${PROBE_S} s` : 'refuses the connection'
      const sentence = `the VM ${why} on ${path.address}, TCP port 22, asked from its own network`
      await this.#context.fail([path.id], new OsSshError('VM_UNREACHABLE', sentence))
    }
    this.#known.delete(path.id)
  }
}
