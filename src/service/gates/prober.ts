import {OsSshError} from '../../errors.ts'
import type {ServiceContext} from '../context.ts'
import {activatePaths} from '../store/paths.ts'
import type {AttachmentRow, PathRow} from '../store/schema.ts'
import type {GateConnection} from './connection.ts'
import {type Probe, renderProbes} from './render.ts'

/**
 * Batches under way at most. sshd admits ten sessions a connection (MaxSessions) and a round needs two; a batch with a
 * VM that does not answer takes the whole time, and the others must not wait for it.
 */
const BATCHES = 8

/** How long a VM has to answer, s: on a network that stands, and on one whose agents may not have followed yet. */
const STANDING_S = 5
const FRESH_S = 20

/** How to try this path's VM behind this attachment. @param now epoch ms */
export function probeOf(path: PathRow, attachment: AttachmentRow, now: number): Probe {
  const {wired_at} = attachment
  if (wired_at === null || now - wired_at >= FRESH_S * 1000) return {path, seconds: STANDING_S}
  return {path, seconds: FRESH_S, fresh: attachment}
}

/** Tries the VMs of new paths from the gate, many in one session, and says of each whether it may be used. */
export class Prober {
  readonly #context: ServiceContext
  readonly #known = new Set<string>()
  #waiting: Probe[] = []
  #running = 0

  constructor(context: ServiceContext) {
    this.#context = context
  }

  /** Probes these unless they are being probed already; returns at once. */
  probe(link: GateConnection, probes: readonly Probe[]): void {
    for (const probe of probes) {
      if (this.#known.has(probe.path.id)) continue
      this.#known.add(probe.path.id)
      this.#waiting.push(probe)
    }
    if (this.#waiting.length > 0 && this.#running < BATCHES) void this.#batch(link)
  }

  async #batch(link: GateConnection): Promise<void> {
    const probes = new Map(this.#waiting.map(probe => [probe.path.id, probe]))
    this.#waiting = []
    this.#running++
    const settling: Promise<void>[] = []
    const hear = (line: string) => {
      const [, id = '', status] = /^probe (\S+) (\d+)$/.exec(line) ?? []
      const probe = probes.get(id)
      if (probe !== undefined && probes.delete(id)) settling.push(this.#settle(probe, Number(status)))
    }
    try {
      await link.run(renderProbes([...probes.values()]), hear)
    } catch (err) {
      // The next round, on a new connection, finds these still pending.
      this.#context.log.info({err}, 'probes were cut off')
    }
    await Promise.allSettled(settling)
    for (const id of probes.keys()) this.#known.delete(id)
    this.#running--
    if (this.#waiting.length > 0) void this.#batch(link)
  }

  async #settle({path, seconds}: Probe, status: number): Promise<void> {
    if (status === 0) {
      await activatePaths(this.#context.db, [path.id])
      this.#context.settled(path.id)
    } else {
      const why = status === 1 ? 'refuses the connection' : `does not answer within ${seconds} s`
      const sentence = `the VM ${why} on ${path.address}, TCP port 22, asked from its own network`
      await this.#context.fail([path.id], new OsSshError('VM_UNREACHABLE', sentence))
    }
    this.#known.delete(path.id)
  }
}
