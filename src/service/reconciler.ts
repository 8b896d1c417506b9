import {OsSshError} from '../errors.ts'
import type {ServiceContext} from './context.ts'
import type {Fleet} from './deploy/fleet.ts'
import {expire, fail, revokeBarred} from './endings.ts'
import {letGo} from './gates/attachments.ts'
import type {Gates} from './gates/gates.ts'
import {QUARANTINE_MS} from './gates/times.ts'
import {gateLease, SURVEY} from './leases.ts'
import type {GrantLimits} from './limits.ts'
import {sweepPorts} from './orphans.ts'
import {placeWaiting} from './placement.ts'
import {forgetGrace, retireIdle} from './store/attachment-steps.ts'
import {attachments, stranded, wronglyGrouped} from './store/attachments.ts'
import {gates as allGates} from './store/gates.ts'
import {prune} from './store/path-steps.ts'
import {gatesWithChanges, gatesWithEnded, gatesWithPending} from './store/paths.ts'
import {survey} from './survey.ts'

const HOUR_MS = 60 * 60_000

/** What happens when, ms. */
export interface Intervals {
  /** What only time brings about is looked for this often. */
  readonly tick: number
  /** How long an attachment without live paths stays. */
  readonly grace: number
  /** Every gate is looked at whole this often: it may have been rebooted or tampered with. */
  readonly resync: number
  /** What the cloud took away is noticed within this time. */
  readonly survey: number
  /** Ended paths and audit older than this are forgotten. */
  readonly retention: number
}

/**
 * Keeps time: what nobody asks for at a certain moment is asked for here, from the rows. Every replica does; what only one may
 * do goes with a lease. It may be killed anywhere; the next start carries on.
 */
export class Reconciler {
  readonly #context: ServiceContext
  readonly #gates: Gates
  readonly #fleet: Fleet
  readonly #limits: GrantLimits
  readonly #intervals: Intervals
  /** When each of these was last done, epoch ms. */
  readonly #last = new Map<string, number>()
  /** Ports that no row named at the last look. */
  #suspects: ReadonlySet<string> = new Set()

  constructor(
    context: ServiceContext,
    gates: Gates,
    fleet: Fleet,
    limits: GrantLimits,
    intervals: Intervals,
  ) {
    this.#context = context
    this.#gates = gates
    this.#fleet = fleet
    this.#limits = limits
    this.#intervals = intervals
  }

  /** Begins to tick, until the jobs are stopped. */
  start(): void {
    const {jobs, log, leases} = this.#context
    const every = (name: string, task: () => Promise<void>) =>
      jobs.once(name, () =>
        task()
          .catch(err => log.error({err}, `${name} failed`))
          .finally(() => jobs.later(this.#intervals.tick, () => every(name, task))),
      )
    // Of its own: whatever a tick waits for, ours stays ours.
    every('renewal of leases', () => leases.renew())
    every('tick', () => this.tick())
  }

  /** What only time brings about, once. */
  async tick(): Promise<void> {
    const {db, clock, jobs} = this.#context
    // Whoever runs the gates now keeps time.
    if (this.#context.copy.takenBy !== undefined) return
    const now = clock()
    await expire(this.#context)
    const barred = await revokeBarred(this.#context, {detail: 'an operator revoked it'})
    await this.#fleet.tick()
    // A gate may have to be asked who is connected.
    const granting = {...this.#context, gates: this.#gates, fleet: this.#fleet}
    jobs.once('placement', () => placeWaiting(granting, this.#limits))
    await retireIdle(db, now, this.#context.account.isEnding ? 0 : this.#intervals.grace)
    const ours = await this.#ourGates()
    for (const row of await stranded(db)) if (ours.has(row.gate_id)) letGo(this.#context, row)
    const wanted = new Set([...(await this.#gatesWithWork(now)), ...barred.map(path => path.gate_id)])
    if (this.#isDue('resync', this.#intervals.resync))
      for (const gateId of ours) {
        this.#gates.forget(gateId)
        wanted.add(gateId)
      }
    for (const gateId of wanted) if (ours.has(gateId)) jobs.run(() => this.#gates.tend(gateId))
    if (this.#isDue('prune', HOUR_MS)) await prune(db, now - this.#intervals.retention)
    if (this.#isDue('survey', this.#intervals.survey)) jobs.once('survey', () => this.#survey(ours))
  }

  /** Gates whose lease is ours; what another replica has let go, or died with, is ours from now on. */
  async #ourGates(): Promise<ReadonlySet<string>> {
    const {db, leases} = this.#context
    const ours = new Set<string>()
    for (const {id} of await allGates(db)) if ((await leases.hold(gateLease(id))) !== undefined) ours.add(id)
    return ours
  }

  /** Time has passed unseen, as when a laptop slept: what was true before it is looked at anew. */
  resume(): void {
    this.#last.clear()
    this.#gates.reconnect()
    this.#fleet.hurry()
  }

  #isDue(what: string, interval: number): boolean {
    const now = this.#context.clock()
    if (now - (this.#last.get(what) ?? 0) < interval) return false
    this.#last.set(what, now)
    return true
  }

  /** Ends paths to VMs that are gone, and plugs in again what somebody has plugged out. */
  async #survey(ours: ReadonlySet<string>): Promise<void> {
    const {db, leases} = this.#context
    if ((await leases.hold(SURVEY)) !== undefined) {
      const {gone} = await survey(this.#context)
      const ids = gone.map(path => path.id)
      const fault = new OsSshError('NOT_FOUND', 'the VM, or its address on that network, is gone')
      this.#gates.wakeFor(await fail(this.#context, ids, fault))
      await forgetGrace(
        db,
        gone.map(path => path.attachment_id),
      )
      this.#suspects = await sweepPorts(this.#context, this.#suspects)
    }
    const lost = await attachments(db, {state: 'wanted'})
    for (const row of [...lost, ...(await wronglyGrouped(db))])
      if (ours.has(row.gate_id)) await this.#gates.regroup(row.gate_id, row.id)
  }

  /** Gates with something that a round would move on. */
  async #gatesWithWork(now: number): Promise<string[]> {
    const {db} = this.#context
    const leaving = await attachments(db, {state: 'removing'})
    return [
      ...(await gatesWithChanges(db)),
      ...(await gatesWithEnded(db, now - QUARANTINE_MS)),
      // Grants that a crash, ours or another replica's, left half done are finished here.
      ...(await gatesWithPending(db, now - this.#intervals.tick)),
      ...leaving.map(row => row.gate_id),
    ]
  }
}
