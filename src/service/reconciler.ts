import {EventEmitter, once} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {OpenStackError} from '../openstack/index.ts'
import type {ServiceContext} from './context.ts'
import {cloudFault} from './faults.ts'
import {plug, unplug} from './gates/attachments.ts'
import {QUARANTINE_MS} from './gates/times.ts'
import {GateWorker} from './gates/worker.ts'
import {revokeBarred} from './revoke.ts'
import {forgetGrace, retireIdle} from './store/attachment-steps.ts'
import {attachment, attachments, pendingBy, stranded, wronglyGrouped} from './store/attachments.ts'
import {gate as gateById, gates} from './store/gates.ts'
import {endPaths, failPaths, prune} from './store/path-steps.ts'
import {gatesWithEnded, livePathsBy, path, pendingSince} from './store/paths.ts'
import type {AttachmentRow, PathRow} from './store/schema.ts'
import {survey} from './survey.ts'

const TICK_MS = 1000
const PRUNE_MS = 60 * 60_000
/** A cloud that does not answer must not keep anybody from stopping the service, ms. */
const STOP_MS = 5000
/** What stays refused is no reason to log in again all the time, ms. */
const RENEW_MS = 5000

export interface ReconcilerOptions {
  readonly context: Omit<ServiceContext, 'wakeLater' | 'fail' | 'notify' | 'unplug' | 'sessions'>
  /** How long an attachment without live paths stays, ms. */
  readonly grace: number
  /** Every gate is looked at whole this often: it may have been rebooted or tampered with, ms. */
  readonly resync: number
  /** What the cloud took away is noticed within this time, ms. */
  readonly survey: number
  /** Ended paths and audit older than this are forgotten, ms. */
  readonly retention: number
}

/**
 * Makes the world what the database says: gates by their workers, ports by `plug` and `unplug`, time by `tick`. All of
 * it may be asked for at any moment and be killed anywhere; the next start carries on from the rows.
 */
export class Reconciler {
  readonly context: ServiceContext
  readonly #times: Omit<ReconcilerOptions, 'context'>
  readonly #workers = new Map<string, GateWorker>()
  readonly #tasks = new Map<string, Promise<void>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #changes = new EventEmitter().setMaxListeners(0)
  #lastResync = 0
  #lastSurvey = 0
  #lastPrune = 0
  #renewedAt = 0
  #stopped = false
  #ticking: Promise<void> | undefined

  constructor({context, ...times}: ReconcilerOptions) {
    this.#times = times
    this.context = {
      ...context,
      wakeLater: (gateId, ms) => this.#later(ms, () => this.wake(gateId)),
      fail: (ids, fault) => this.#fail(ids, fault),
      notify: id => this.#changes.emit(id),
      sessions: gateId => this.#sessions(gateId),
      unplug: row => this.#singleFlight(`port ${row.id}`, () => this.#unplug(row)),
    }
  }

  /** Begins to tick. */
  start(): void {
    const tick = () => {
      if (this.#stopped) return
      this.#ticking = this.#tick()
        .catch(err => this.context.log.error({err}, 'tick failed'))
        .finally(() => this.#later(TICK_MS, tick))
    }
    tick()
  }

  /** Stops ticking and closes the gates' connections; what is under way has some seconds to end, or is found again. */
  async stop(): Promise<void> {
    this.#stopped = true
    for (const timer of this.#timers) clearTimeout(timer)
    for (const worker of this.#workers.values()) worker.close()
    const ended = Promise.allSettled([this.#ticking, ...this.#tasks.values()])
    await Promise.race([ended, sleep(STOP_MS, undefined, {ref: false})])
  }

  /** A round of this gate; resolves when a round that began after this call has ended. */
  wake(gateId: string): Promise<void> {
    return this.#stopped ? Promise.resolve() : this.#worker(gateId).wake()
  }

  #worker(gateId: string): GateWorker {
    let worker = this.#workers.get(gateId)
    if (worker === undefined) {
      worker = new GateWorker(gateId, this.context)
      this.#workers.set(gateId, worker)
    }
    return worker
  }

  /** Where it could not be asked, anything may be in use. */
  async #sessions(gateId: string): Promise<ReadonlySet<string> | undefined> {
    try {
      return await this.#worker(gateId).sessions()
    } catch (err) {
      this.context.log.info({err, gate: gateId}, 'sessions are not known')
      return undefined
    }
  }

  /** Forgets the gate's connection; for a gate that was removed. */
  dropGate(gateId: string): void {
    this.#workers.get(gateId)?.close()
    this.#workers.delete(gateId)
  }

  /** Lets the path's attachment be plugged if it needs it, and the gate take it in. */
  provision(row: Pick<PathRow, 'attachment_id' | 'gate_id'>): void {
    this.#singleFlight(`port ${row.attachment_id}`, () => this.#plug(row.attachment_id))
    void this.wake(row.gate_id)
  }

  /** Waits until the path is no longer pending, or `deadline` (epoch ms) has passed. */
  async wait(pathId: string, deadline: number): Promise<PathRow | undefined> {
    for (;;) {
      // Listen before looking, or the answer could come between the two.
      const abort = new AbortController()
      const event = once(this.#changes, pathId, {signal: abort.signal}).catch(() => undefined)
      const row = await path(this.context.db, pathId)
      const left = deadline - this.context.clock()
      if (row?.state === 'pending' && left > 0) {
        // Another replica may be the one that makes it: look again now and then.
        await Promise.race([
          event,
          sleep(Math.min(left, TICK_MS), undefined, {signal: abort.signal}).catch(() => undefined),
        ])
      }
      abort.abort()
      if (row?.state !== 'pending' || left <= 0) return row
    }
  }

  #later(ms: number, run: () => unknown): void {
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      run()
    }, ms)
    this.#timers.add(timer)
  }

  /**
   * Runs a task unless one of the same name is under way: a port is never plugged and unplugged at the same time.
   * Its faults are its own to handle; what escapes is logged.
   */
  #singleFlight(name: string, task: () => Promise<void>): void {
    if (this.#tasks.has(name) || this.#stopped) return
    const running = task()
      .catch(err => this.context.log.warn({err, task: name}, 'task failed'))
      .finally(() => this.#tasks.delete(name))
    this.#tasks.set(name, running)
  }

  async #fail(ids: readonly string[], fault: OsSshError): Promise<void> {
    const {db, clock} = this.context
    const error = {code: fault.code, message: fault.message, hint: fault.suggestions[0]}
    const failed = await failPaths(db, ids, error, clock())
    for (const row of failed) {
      this.#changes.emit(row.id)
      this.context.wakeLater(row.gate_id, 0)
    }
  }

  async #plug(attachmentId: string): Promise<void> {
    const {db} = this.context
    const row = await attachment(db, attachmentId)
    const gate = row && (await gateById(db, row.gate_id))
    if (row === undefined || gate === undefined || row.state === 'removing') return
    try {
      if (await this.#retryWithNewToken(() => plug(this.context, row, gate))) await this.wake(gate.id)
    } catch (error) {
      // Where the port was lost and the network is gone too, the active paths are dead; otherwise they are not touched.
      const dead = row.state === 'wanted' && error instanceof OpenStackError && error.fault === 'not-found'
      const {admitted, waiting} = await pendingBy(db, [row])
      // Those for whom the port is as it must be do not wait for this.
      const pending = row.state === 'wanted' ? [...admitted, ...waiting] : waiting
      const concerned = dead ? await livePathsBy(db, [row.id]) : pending
      await this.#fail(
        concerned.map(p => p.id),
        cloudFault(error, 'the gate could not be plugged into the network of the VM'),
      )
    }
  }

  async #unplug(row: AttachmentRow): Promise<void> {
    const gate = await gateById(this.context.db, row.gate_id)
    if (gate !== undefined) await this.#retryWithNewToken(() => unplug(this.context, row, gate))
  }

  /** What the cloud refuses is tried again with a new token: a role that the account lacked may have been granted since. */
  async #retryWithNewToken<T>(task: () => Promise<T>): Promise<T> {
    try {
      return await task()
    } catch (error) {
      const refused = error instanceof OpenStackError && ['forbidden', 'not-found'].includes(error.fault)
      const now = this.context.clock()
      if (!refused || now - this.#renewedAt < RENEW_MS) throw error
      this.#renewedAt = now
      this.context.cloud.identity.renew()
      return task()
    }
  }

  /** What only time brings about. */
  async #tick(): Promise<void> {
    const {db, clock} = this.context
    const now = clock()
    for (const row of await endPaths(db, {expiredBy: now}, now, {action: 'expire'}))
      this.#changes.emit(row.id)
    const barred = await revokeBarred(this.context, {detail: 'an operator revoked it'})
    await retireIdle(db, now, this.#times.grace)
    for (const row of await stranded(db)) this.context.unplug(row)
    const wanted = new Set([...(await this.#gatesWithWork(now)), ...barred.map(path => path.gate_id)])
    if (now - this.#lastResync >= this.#times.resync) {
      this.#lastResync = now
      for (const gate of await gates(db)) {
        this.#workers.get(gate.id)?.forget()
        wanted.add(gate.id)
      }
    }
    for (const gateId of wanted) void this.wake(gateId)
    await this.#provisionPending()
    if (now - this.#lastPrune >= PRUNE_MS) {
      this.#lastPrune = now
      await prune(db, now - this.#times.retention)
    }
    if (now - this.#lastSurvey >= this.#times.survey) {
      this.#lastSurvey = now
      this.#singleFlight('survey', () => this.#survey())
    }
  }

  /** Ends paths to VMs that are gone, and plugs in again what somebody has plugged out. */
  async #survey(): Promise<void> {
    const {gone, lost} = await survey(this.context)
    await this.#fail(
      gone.map(path => path.id),
      new OsSshError('NOT_FOUND', 'the VM, or its address on that network, is gone'),
    )
    await forgetGrace(
      this.context.db,
      gone.map(path => path.attachment_id),
    )
    for (const row of [...lost, ...(await wronglyGrouped(this.context.db))])
      this.provision({attachment_id: row.id, gate_id: row.gate_id})
  }

  /** Gates with something that a round would move on. */
  async #gatesWithWork(now: number): Promise<string[]> {
    const {db} = this.context
    const leaving = await attachments(db, {state: 'removing'})
    return [...(await gatesWithEnded(db, now - QUARANTINE_MS)), ...leaving.map(row => row.gate_id)]
  }

  /** Grants that a crash, ours or another replica's, left half done are finished here. */
  async #provisionPending(): Promise<void> {
    const pending = await pendingSince(this.context.db, this.context.clock() - TICK_MS)
    for (const row of pending) this.provision(row)
  }
}
