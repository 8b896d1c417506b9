import {PassThrough} from 'node:stream'

import {OsSshError} from '../../errors.ts'
import type {GateLink, ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import {pendingBy} from '../store/attachments.ts'
import type {Store} from '../store/open.ts'
import {activatePaths} from '../store/path-steps.ts'
import {pendingDirect, path as rowOf} from '../store/paths.ts'
import type {AttachmentRow, GateRow, PathRow} from '../store/schema.ts'
import {type Probe, renderProbes} from './render.ts'

/** How long a session takes new probes in, ms: with the longest of them it must end within what a run may take. */
const INTAKE_MS = 20_000

/** How long a VM has to answer, s: on a network that stands, and on one whose agents may not have followed yet. */
const STANDING_S = 5
const FRESH_S = 25

/** A VM that has answered is not asked again for so long, ms: the next path to it goes the same way. */
const ANSWERED_MS = 10_000

/** How to try this path's VM behind this attachment. @param now epoch ms */
function probeOf(path: PathRow, attachment: AttachmentRow, now: number): Probe {
  const {wired_at} = attachment
  if (wired_at === null || now - wired_at >= FRESH_S * 1000) return {path, seconds: STANDING_S}
  return {path, seconds: FRESH_S, fresh: attachment}
}

/** Those paths of a gate that are to be tried: it has them, and their ports are as they must be. @param now epoch ms */
export async function probesOf(
  db: Store,
  gate: Pick<GateRow, 'id'>,
  ready: readonly AttachmentRow[],
  now: number,
): Promise<Probe[]> {
  const byId = new Map(ready.map(row => [row.id, row]))
  const [{admitted}, direct] = await Promise.all([pendingBy(db, ready), pendingDirect(db, gate.id)])
  // One that came during the round is not on the gate yet.
  const isThere = (path: PathRow) => path.version === path.applied
  return [
    // That way stands as long as the gate does.
    ...direct.filter(isThere).map(path => ({path, seconds: STANDING_S})),
    ...admitted.filter(isThere).flatMap(path => {
      const row = byId.get(path.attachment_id)
      return row === undefined ? [] : [probeOf(path, row, now)]
    }),
  ]
}

const DIRECT_HINT =
  'is sshd running in the VM, and does a security group admit TCP port 22 from the gate’s address?'

/** What the script says of these. */
const STATUS = {open: 0, refused: 1, silent: 124} as const

type Context = Pick<ServiceContext, 'db' | 'clock' | 'log' | 'events'>

/** A VM as it is reached from this gate. */
const vmOf = ({attachment_id, server_id, address}: PathRow) => `${attachment_id} ${server_id} ${address}`

/**
 * Tries the VMs of new paths from the gate and says of each whether it may be used. Those that a shell tries share a session, since
 * sshd admits ten a connection (MaxSessions) and a VM that does not answer must hold up nobody.
 */
export class Prober {
  readonly #context: Context
  readonly #onFailed: () => void
  readonly #known = new Set<string>()
  /** When VMs last answered, epoch ms. */
  readonly #answered = new Map<string, number>()
  /** Gives probes to the session that takes them in now. */
  #take: ((probes: readonly Probe[]) => void) | undefined

  /** @param onFailed called when a path has failed: the gate is to forget it */
  constructor(context: Context, onFailed: () => void) {
    this.#context = context
    this.#onFailed = onFailed
  }

  /** Probes these unless they are being probed already; returns at once. */
  probe(link: GateLink, probes: readonly Probe[]): void {
    const anew = probes.filter(({path}) => !this.#known.has(path.id))
    for (const {path} of anew) this.#known.add(path.id)
    const since = this.#context.clock() - ANSWERED_MS
    for (const [vm, at] of this.#answered) if (at < since) this.#answered.delete(vm)
    // A port that has just changed is announced to its VM, whatever that one has answered to the one before.
    const isSure = ({path, fresh}: Probe) =>
      (this.#answered.get(vmOf(path)) ?? -1) >= (fresh === undefined ? 0 : (fresh.wired_at ?? Infinity))
    const sure = anew.filter(isSure).map(({path}) => path)
    const open = anew.filter(probe => !isSure(probe))
    if (sure.length > 0) void this.#activate(sure)
    const [fresh, standing] = [open.filter(one => one.fresh), open.filter(one => one.fresh === undefined)]
    for (const probe of standing) void this.#reach(link, probe)
    this.#bySession(link, fresh)
  }

  /** The way stands: sshd may connect itself. What it is not allowed, or cannot say, the gate's shell tries. */
  async #reach(link: GateLink, probe: Probe): Promise<void> {
    const {alias} = probe.path
    const reached = await link.reach(alias, 22, probe.seconds * 1000).catch(() => 'unknown' as const)
    if (reached === 'unknown') this.#bySession(link, [probe])
    else await this.#acknowledge(probe, STATUS[reached])
  }

  #bySession(link: GateLink, probes: readonly Probe[]): void {
    if (probes.length === 0) return
    this.#take ??= this.#open(link)
    this.#take(probes)
  }

  /** The gate may be another one by now: what VMs have answered to it says nothing any more. */
  forget(): void {
    this.#answered.clear()
  }

  #open(link: GateLink): (probes: readonly Probe[]) => void {
    const input = new PassThrough()
    const underWay = new Map<string, Probe>()
    const close = () => {
      clearTimeout(intake)
      if (this.#take === take) this.#take = undefined
      if (!input.writableEnded) input.end('wait\n')
    }
    const intake = setTimeout(close, INTAKE_MS)
    const take = (probes: readonly Probe[]) => {
      for (const probe of probes) underWay.set(probe.path.id, probe)
      input.write(renderProbes(probes))
    }
    const hear = (line: string) => {
      const [, id = '', status] = /^probe (\S+) (\d+)$/.exec(line) ?? []
      const probe = underWay.get(id)
      if (probe === undefined) return
      underWay.delete(id)
      void this.#acknowledge(probe, Number(status))
      if (underWay.size === 0) close()
    }
    const over = () => {
      close()
      // The next round, on a new connection, finds these still pending.
      for (const id of underWay.keys()) this.#known.delete(id)
    }
    link
      .run(input, hear)
      .catch(err => this.#context.log.info({err}, 'probes were cut off'))
      .finally(over)
    return take
  }

  async #activate(paths: readonly PathRow[]): Promise<void> {
    const ids = paths.map(path => path.id)
    await activatePaths(this.#context.db, ids).catch(err =>
      this.#context.log.error({err}, 'what a probe said could not be written down'),
    )
    for (const id of ids) {
      this.#context.events.emit(id)
      this.#known.delete(id)
    }
  }

  async #acknowledge({path, seconds}: Probe, status: number): Promise<void> {
    try {
      if (status === 0) {
        this.#answered.set(vmOf(path), this.#context.clock())
        await this.#activate([path])
        return
      }
      this.#answered.delete(vmOf(path))
      if ((await rowOf(this.#context.db, path.id))?.state === 'pending') {
        const why = status === 1 ? 'refuses the connection' : `does not answer within ${seconds} s`
        const from = path.route === 'direct' ? 'the gate itself' : 'its own network'
        const sentence = `the VM ${why} on ${path.address}, TCP port 22, asked from ${from}`
        // There the gate has no port in the VM's groups: they must admit its address.
        const hint = path.route === 'direct' ? {hint: DIRECT_HINT} : {}
        const fault = new OsSshError('VM_UNREACHABLE', sentence, hint)
        if ((await fail(this.#context, [path.id], fault)).length > 0) this.#onFailed()
      }
    } catch (err) {
      this.#context.log.error({err}, 'what a probe said could not be written down')
    }
    this.#known.delete(path.id)
  }
}
