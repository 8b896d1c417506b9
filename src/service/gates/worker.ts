import {OsSshError} from '../../errors.ts'
import {Rounds} from '../../system/rounds.ts'
import type {GateLink, ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import {gateLease} from '../leases.ts'
import {readyAttachments} from '../store/attachment-steps.ts'
import {attachments as attachmentsOf, pendingBy} from '../store/attachments.ts'
import {gate as gateById, gateDown, gateUp, noteClock} from '../store/gates.ts'
import {acknowledgePaths, releasePaths} from '../store/path-steps.ts'
import {heldBy, pathsOfGate, restedPaths} from '../store/paths.ts'
import type {AttachmentRow, GateRow} from '../store/schema.ts'
import {ACCOUNTS, login, loginNumber} from './addresses.ts'
import {Alarm} from './alarm.ts'
import {letGo} from './attachments.ts'
import {Management} from './management.ts'
import {Prober, probesOf} from './prober.ts'
import {provision} from './provision.ts'
import {type DesiredGate, renderAccounts, renderGate} from './render.ts'
import {QUARANTINE_MS} from './times.ts'
import {type Answer, type Push, readAnswer, Told} from './told.ts'

/** Accounts made at a time, and how many free ones there should always be. */
const POOL_STEP = 128
const POOL_SPARE = 8
/** How long a NIC that Nova calls attached may take to show up in the gate, ms. */
const NIC_MS = 20_000
const NIC_POLL_MS = 100
/** A gate that has heard of another lease is asked again after so long, ms. */
const HELD_MS = 200
/** Clocks that differ by less are the same, ms. */
const SKEW_MS = 3000

/**
 * Makes one gate what the database says, round by round, while its lease is this replica's.
 */
export class GateWorker {
  readonly gateId: string
  readonly management: Management
  readonly #context: ServiceContext
  readonly #rounds: Rounds
  readonly #told = new Told()
  readonly #prober: Prober
  readonly #nicSince = new Map<string, number>()
  /** Whether something may still be on its way to the gate. */
  #doubtful = false
  #lastFence: number | undefined
  /** Rounds that nobody asks for. */
  readonly #alarm: Alarm
  #isLeaving = false
  #closed = false

  constructor(gateId: string, context: ServiceContext) {
    this.gateId = gateId
    this.#context = context
    this.#alarm = new Alarm(context, () => this.wake())
    this.management = new Management(gateId, context, () => {
      this.forget()
      this.#doubtful = true
      this.#alarm.in(1000)
    })
    this.#prober = new Prober(context, () => this.#alarm.in(0))
    this.#rounds = new Rounds(() =>
      this.#reconcile()
        .catch(error => this.#down(error))
        .catch(err => context.log.error({err}, 'a round could not be written down')),
    )
  }

  /** Asks for a round that begins after this call; resolves when it has ended. Never rejects: faults go to the paths. */
  wake(): Promise<void> {
    return this.#rounds.ask()
  }

  /** Has the port of this attachment looked after. */
  provision(attachmentId: string): void {
    provision(this.#context, attachmentId, () => void this.wake())
  }

  /** Forget what was applied: the next round sends the whole state. */
  forget(): void {
    this.#told.forget()
    this.#prober.forget()
  }

  /** Does it still answer? One that does not is down from now on; one that answers a new connection has its whole state first. */
  async check(): Promise<void> {
    try {
      await this.management.check()
    } catch (error) {
      return this.#down(error)
    }
    if (this.#doubtful) await this.wake()
  }

  /** The gate was removed: another service may have it. */
  async leave(gate: GateRow): Promise<void> {
    this.#isLeaving = true
    this.#rounds.stop()
    await this.management
      .leave(gate)
      .catch(err =>
        this.#context.log.info({err, gate: gate.name}, 'the gate does not know that it was removed'),
      )
    await this.#gone()
  }

  async #gone(): Promise<void> {
    this.close()
    await this.#context.leases.drop(gateLease(this.gateId))
  }

  close(): void {
    this.#closed = true
    this.#rounds.stop()
    this.management.close()
  }

  async #reconcile(): Promise<void> {
    const {db, clock, serviceId, copy, by} = this.#context
    if (this.#closed || copy.takenBy !== undefined) return
    const gate = await gateById(db, this.gateId)
    // Another replica has removed it.
    if (gate === undefined) return this.#isLeaving ? undefined : this.#gone()
    const fence = await this.#fence(gate)
    if (fence === undefined) return
    const now = clock()
    const attachments = await attachmentsOf(db, {gate_id: gate.id})
    await this.#plugIn(attachments)
    const rested = await restedPaths(db, gate.id, now - QUARANTINE_MS)
    const present = attachments.filter(row => row.state === 'plugged' || row.state === 'ready')
    const push = await this.#told.push(this.#context, gate, present, rested, now)
    if (push !== undefined) {
      const link = this.management.link(gate)
      await this.#accounts(link, push)
      const said = await this.#run(gate, link, {
        ...push,
        holder: {service: serviceId, fence, copy: copy.id, who: by},
      })
      if (said?.applied === undefined) return
      await this.#up(gate, said.applied)
      await this.#taken(gate, push)
      await this.#acknowledge(push, said)
    }
    await this.#probe(gate, present)
    // The gate has forgotten these: now Nova and Neutron may.
    for (const row of attachments) if (row.state === 'removing') letGo(this.#context, row)
  }

  /**
   * Our number at this gate; undefined while it is another replica's. What was on its way when the connection was lost may still
   * be applied there: from then on we come with a larger one.
   */
  async #fence({id}: GateRow): Promise<number | undefined> {
    const {leases} = this.#context
    const name = gateLease(id)
    const before = await leases.hold(name)
    if (before !== undefined && this.#doubtful) await leases.seen(name, before)
    const fence = before === undefined ? undefined : await leases.hold(name)
    this.#doubtful = false
    // Whoever had it meanwhile has changed the gate without us.
    if (fence === undefined || fence !== this.#lastFence) this.forget()
    this.#lastFence = fence
    return fence
  }

  /** @returns undefined when there is another round to come instead. @throws OsSshError GATE_DOWN */
  async #run(gate: GateRow, link: GateLink, desired: DesiredGate): Promise<Answer | undefined> {
    const {serviceId, leases, log} = this.#context
    const {status, stdout, stderr} = await link.run(renderGate(desired))
    const said = readAnswer(stdout)
    if (said.held !== undefined) {
      this.forget()
      const {service, fence} = said.held
      if (service !== serviceId)
        throw new OsSshError('GATE_DOWN', `the gate is run by the SSH service ${service}`, {
          hint: 'remove it there, or, when that service is no more, delete /etc/os-ssh/holder on the gate',
        })
      const {copy, who} = said.held
      if (copy !== '' && copy !== this.#context.copy.id) throw await this.#context.copy.taken(who)
      log.warn(
        {gate: gate.name, ours: desired.holder.fence, theirs: fence},
        'the gate has heard of a later lease',
      )
      await leases.seen(gateLease(gate.id), fence)
      this.#alarm.in(HELD_MS)
      return undefined
    }
    if (said.stale && !desired.whole) {
      log.warn({gate: gate.name}, 'the gate is not as it was left')
      this.forget()
      this.#alarm.in(0)
      return undefined
    }
    if (status !== 0 || said.applied === undefined)
      throw new OsSshError('GATE_DOWN', `the gate could not be configured: ${stderr.trim().slice(-300)}`)
    if (stderr !== '') log.warn({gate: gate.name, stderr: stderr.slice(-2000)}, 'gate says')
    return said
  }

  /** The gate has these paths as they were read: what is over is cut, and what has rested is anybody's. */
  async #taken(gate: GateRow, {paths, rested}: Push): Promise<void> {
    const {db, clock, events} = this.#context
    const news = paths.filter(path => path.version !== path.applied)
    await acknowledgePaths(db, news, clock())
    // Who waits for a new path has more to wait for.
    for (const path of news) if (path.state !== 'pending') events.emit(path.id)
    await releasePaths(
      db,
      gate.id,
      rested.map(path => path.id),
    )
  }

  /** Makes accounts ahead of need, many at a time: so few rounds wait for them. */
  async #accounts(link: GateLink, push: Push): Promise<void> {
    const highest = push.paths.reduce((max, path) => Math.max(max, loginNumber(path.login) + 1), 0)
    const wanted = Math.min(Math.ceil((highest + POOL_SPARE) / POOL_STEP) * POOL_STEP, ACCOUNTS)
    const have = this.#told.accounts
    if (have >= wanted) return
    const missing = Array.from({length: wanted - have}, (_, n) => login(have + n))
    const {status, stderr} = await link.run(renderAccounts(missing))
    if (status !== 0)
      throw new OsSshError('GATE_DOWN', `no accounts on the gate: ${stderr.trim().slice(-300)}`)
    this.#told.tookAccounts(wanted, push)
  }

  /** Ports that pending paths wait for are made and changed beside the rounds. */
  async #plugIn(attachments: readonly AttachmentRow[]): Promise<void> {
    const staying = attachments.filter(row => row.state !== 'removing')
    const {admitted, waiting} = await pendingBy(this.#context.db, staying)
    const wanted = new Set(staying.flatMap(row => (row.state === 'wanted' ? row.id : [])))
    const some = [...waiting, ...admitted.filter(path => wanted.has(path.attachment_id))]
    for (const id of new Set(some.map(path => path.attachment_id))) this.provision(id)
  }

  async #acknowledge(push: Push, said: Answer): Promise<void> {
    this.#told.took(push)
    for (const {row} of push.attachments) {
      const ready = said.attachments.get(row.slot) === 'ready'
      this.#told.tookAttachment(row.id, push, ready)
      await this.#attached(row, ready)
    }
  }

  /** The gate has this attachment, or waits for its interface. */
  async #attached(row: AttachmentRow, ready: boolean): Promise<void> {
    const {db, clock} = this.#context
    if (ready) {
      this.#nicSince.delete(row.id)
      if (row.state !== 'ready') await readyAttachments(db, [row.id])
      return
    }
    const since = this.#nicSince.get(row.id) ?? clock()
    this.#nicSince.set(row.id, since)
    if (clock() - since < NIC_MS) return this.#alarm.in(NIC_POLL_MS)
    const waiting = (await heldBy(db, [row.id])).filter(path => path.state === 'pending').map(path => path.id)
    const fault = new OsSshError('NIC_MISSING', 'the network interface did not appear in the gate')
    if ((await fail(this.#context, waiting, fault)).length > 0) this.#alarm.in(0)
    this.#nicSince.delete(row.id)
  }

  /** Paths that the gate has, and whose ports are as they must be, are tried. */
  async #probe(gate: GateRow, present: readonly AttachmentRow[]): Promise<void> {
    const {db, clock} = this.#context
    const ready = present.filter(row => this.#told.has(row.id))
    const probes = await probesOf(db, gate, ready, clock())
    // A VM that does not answer must not hold up the others: the round ends without waiting for the probes.
    if (probes.length > 0) this.#prober.probe(this.management.link(gate), probes)
  }

  /** @param time the gate's, epoch ms, whole seconds */
  async #up(gate: GateRow, time: number): Promise<void> {
    const skew = time - this.#context.clock()
    // Nearer than this it cannot be told from the time that the answer took.
    const shown = Math.abs(skew) < SKEW_MS ? 0 : skew
    if (Math.abs(shown - gate.clock_skew) >= SKEW_MS) {
      await noteClock(this.#context.db, gate.id, shown)
      this.#context.log.warn({gate: gate.name, ms: shown}, 'the clock of the gate is off by')
    }
    if (gate.state === 'ready') return
    await gateUp(this.#context.db, gate.id)
    this.#context.log.info({gate: gate.name}, 'gate is ready')
  }

  async #down(error: unknown): Promise<void> {
    if (this.#closed) return
    this.forget()
    const {db, log, events, leases} = this.#context
    log.warn({gate: this.gateId, err: error}, 'gate round failed')
    this.#alarm.in(5000)
    // What the database says is no fault of the gate.
    if (!(error instanceof OsSshError || error instanceof TypeError)) return
    if (error instanceof OsSshError && error.code === 'SERVICE_DOWN') return
    // Whoever has lost the lease says nothing of the gate.
    if ((await leases.hold(gateLease(this.gateId))) === undefined) return
    await gateDown(db, this.gateId, error.message)
    const held = await pathsOfGate(db, this.gateId)
    const fault = error instanceof OsSshError ? error : new OsSshError('GATE_DOWN', error.message)
    await fail(
      this.#context,
      held.filter(p => p.state === 'pending').map(p => p.id),
      fault,
    )
    for (const path of held) if (path.state !== 'pending') events.emit(path.id)
  }
}
