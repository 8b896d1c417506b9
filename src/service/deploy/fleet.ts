import {OsSshError} from '../../errors.ts'
import type {GateScope} from '../../protocol/index.ts'
import {ownProject} from '../account.ts'
import {cloudFault} from '../faults.ts'
import {MACHINES} from '../leases.ts'
import type {Way} from '../planner/facts.ts'
import type {Actor} from '../store/audit.ts'
import {gates as allGates, drainGate, gate as gateById} from '../store/gates.ts'
import {
  machines as allMachines,
  forgetMachines,
  type NewMachine,
  noteMachine,
  retireMachine,
  wantMachines,
} from '../store/machines.ts'
import type {MachineRow} from '../store/schema.ts'
import {Admission} from './admission.ts'
import {choose} from './choice/choose.ts'
import {look as lookAround} from './choice/look.ts'
import type {DeployPlan, Wish} from './choice/plan.ts'
import {booting, GateIsComing, zoneOf} from './coming.ts'
import {heal} from './heal.ts'
import {type Making, machineJob, needsWork, tend} from './machine.ts'
import {newIdentity} from './names.ts'
import {isExpected, type Need, room, SPARE, verdict, wishOf} from './policy.ts'
import {resize} from './resize.ts'

/** How often what the cloud has of our machines is looked at, and how many there are, ms. */
const LOOK_MS = 5000
/** How often its ports, groups and addresses are, ms. */
const MEND_MS = 30_000
/** A planner may not have seen a gate that is this young, ms. */
const JUST_NOW_MS = 5000
/** So long a failed machine is shown, ms. */
const FAILED_MS = 3_600_000

/** What an operator asks for. */
export interface DeployRequest {
  readonly wish: Wish
  readonly scope: GateScope
  /** The one project that it serves; undefined: the service's own. */
  readonly project?: string | undefined
}

/** A machine, and how its gate is: whether it takes no new paths, and does not answer. */
type Counted = MachineRow & {readonly isDrained: boolean; readonly isDown: boolean}

/** The gates that this service makes itself: who needs one, who goes, and that each is moved on. */
export class Fleet {
  /** Who may reach their port 22. */
  readonly admission: Admission
  readonly #making: Making
  #lookedAt = 0
  #mendedAt = 0

  constructor(making: Making) {
    this.#making = making
    this.admission = new Admission(making)
  }

  /** What only time brings about; by whoever holds the lease. */
  async tick(): Promise<void> {
    const {context, config} = this.#making
    const {db, jobs, clock} = context
    const rows = await allMachines(db)
    if ((rows.length === 0 && !config.automatic) || !(await this.#isOurs())) return
    for (const {id} of rows.filter(needsWork)) this.#tend(id)
    const now = clock()
    if (now - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = now
    await forgetMachines(db, now - FAILED_MS)
    if (this.admission.isDue) jobs.once('group of the gates', () => this.admission.mend())
    const whole = now - this.#mendedAt >= MEND_MS
    if (whole) this.#mendedAt = now
    if (config.automatic) jobs.once('care for gates', () => this.#care(whole))
  }

  /** Looks after what is there at once: somebody has a gate that does not answer. */
  hurry(): void {
    this.#lookedAt = 0
    this.#mendedAt = 0
  }

  async #care(whole: boolean): Promise<void> {
    await heal(this.#making, whole)
    await resize(this.#making)
  }

  #tend(id: string): void {
    const {context} = this.#making
    context.jobs.once(machineJob({id}), () => tend(this.#making, id, () => this.#isOurs()))
  }

  async #isOurs(): Promise<boolean> {
    return (await this.#making.context.leases.hold(MACHINES)) !== undefined
  }

  /**
   * A path has found no gate: is one on its way, or may one be made that is sure to reach the VM?
   *
   * @param look how a gate could be plugged in for it, by its user's own eyes
   * @param why what the planner has said
   * @throws OsSshError BUSY when it is worth waiting; NO_GATE, GATE_DOWN or GATE_FULL with why none is made
   */
  async ask(need: Need, look: () => Promise<Way | undefined>, why: OsSshError): Promise<void> {
    const {context, config, self} = this.#making
    const {db, clock, log} = context
    if (!config.automatic) return
    const own = await ownProject(context.cloud)
    const serves = config.scope === 'shared' || need.project_id === own ? null : need.project_id
    const zone = zoneOf(need.zone, config.zones)
    const rows = await this.#counted()
    // One of ours that is down may be back in a moment; whether it is to be replaced is not a path's to say.
    const isOursDown = why.code === 'GATE_DOWN' && this.#beingHealed(rows)
    const said = verdict(rows, {zone, serves}, config, clock())
    if ('booting' in said) throw new GateIsComing(booting(said.booting, clock()), true)
    if (isOursDown) return
    await this.#takeBack(rows, {zone, serves})
    if ('no' in said) {
      if (this.#cameJustNow(rows)) throw new GateIsComing('another gate came meanwhile', true)
      throw new OsSshError(why.code as 'NO_GATE', `${why.message}; none is made: ${said.no}`)
    }
    const way = await look()
    if (way === undefined || !(await this.#leadsThere(way))) return
    const wish = wishOf(config, zone)
    const plan = await this.#plan(wish).catch(err => {
      // What the service's project has and lacks is its operator's to know.
      log.warn({err: cloudFault(err, 'the cloud refuses')}, 'a path needs a gate, and none can be made')
      throw new OsSshError(why.code as 'NO_GATE', `${why.message}; none can be made now`)
    })
    const wanted = this.#newMachine({wish, plan, zone, serves, scope: config.scope, automatic: true})
    const may = (there: readonly MachineRow[]) => {
      const again = verdict(there, {zone, serves}, config, clock())
      if ('booting' in again) throw new GateIsComing(booting(again.booting, clock()), true)
      // It may be the very gate that is wanted: who asks again finds it, or is told why not.
      if ('no' in again) throw new GateIsComing('another gate came meanwhile', true)
    }
    await wantMachines(db, [wanted], may, self)
    if (await this.#isOurs()) this.#tend(wanted.id)
    throw new GateIsComing(booting(wanted.created_at, clock()), true)
  }

  /** The zone in which gates for VMs of this one are; null: any. */
  zoneFor(zone: string | undefined): string | null {
    const {automatic, zones} = this.#making.config
    return automatic ? zoneOf(zone ?? null, zones) : (zone ?? null)
  }

  /** All machines, and how their gates are. */
  async #counted(): Promise<Counted[]> {
    const {db} = this.#making.context
    const gates = new Map((await allGates(db)).map(gate => [gate.id, gate]))
    return (await allMachines(db)).map(row => {
      const gate = gates.get(row.id)
      return {
        ...row,
        isDrained: gate !== undefined && gate.drained_at !== null,
        isDown: gate?.state === 'down',
      }
    })
  }

  /** @throws GateIsComing when one that fits was about to go because nobody needed it */
  async #takeBack(
    rows: readonly MachineRow[],
    {zone, serves}: Pick<MachineRow, 'zone' | 'serves'>,
  ): Promise<void> {
    const {context, config, self} = this.#making
    const {db, clock} = context
    const fits = (row: MachineRow) =>
      row.scope === config.scope && row.serves === serves && (zone === null || row.zone === zone)
    const spare = rows.find(row => row.state === 'running' && row.reason === SPARE && fits(row))
    const gate = spare && (await gateById(db, spare.id))
    if (gate === undefined || gate.drained_at === null) return
    await drainGate(db, gate, false, self, clock())
    await noteMachine(db, gate.id, {reason: null, idle_since: null})
    throw new GateIsComing('a gate is taken back', true)
  }

  /** Has a gate come since the planner looked? */
  #cameJustNow(rows: readonly MachineRow[]): boolean {
    const now = this.#making.context.clock()
    return rows.some(row => row.state === 'running' && now - row.since < JUST_NOW_MS)
  }

  /**
   * @returns whether a gate of ours is down
   * @throws GateIsComing while one is expected back, or nobody has looked what has become of it
   */
  #beingHealed(rows: readonly Counted[]): boolean {
    const now = this.#making.context.clock()
    const ours = rows.filter(row => row.state === 'running' && row.isDown)
    if (ours.some(row => row.silent_since === null)) this.hurry()
    if (ours.some(row => isExpected(row, now)))
      throw new GateIsComing('the gate does not answer; it is looked after', false)
    return ours.length > 0
  }

  /** Does the service's own account see one of the networks that a gate would be plugged into? */
  async #leadsThere({options}: Way): Promise<boolean> {
    const ids = options.map(option => option.network_id)
    const seen = await this.#making.context.cloud.network.networks({id: ids, fields: ['id']})
    return seen.length > 0
  }

  /**
   * What would be made for an operator now: what they wish, and for the rest what is configured.
   *
   * @throws OsSshError with what does not fit; USAGE for more than there may be; OpenStackError
   */
  async preview(wish: Wish): Promise<DeployPlan> {
    const plan = await this.#plan(this.#whole(wish))
    this.#mayBe(await allMachines(this.#making.context.db), plan.count)
    return plan
  }

  #whole(wish: Wish): Wish {
    return {...wishOf(this.#making.config, wish.zone ?? null), ...wish}
  }

  /** @throws OsSshError USAGE when with so many more there would be too many */
  #mayBe(there: readonly MachineRow[], count: number): void {
    const {config} = this.#making
    if (room(there, config) >= count) return
    throw new OsSshError('USAGE', `this service makes ${config.max} gates at most`, {
      hint: 'gates.max in its configuration',
    })
  }

  /** @throws OsSshError with what does not fit, OpenStackError */
  async #plan(wish: Wish): Promise<DeployPlan> {
    return choose(await lookAround(this.#making.context.cloud, wish), wish)
  }

  /**
   * Wants gates for an operator.
   *
   * @returns their ids and what was chosen
   * @throws OsSshError with what does not fit; USAGE for more than there may be
   */
  async deploy(
    {wish, scope, project}: DeployRequest,
    who: Actor,
  ): Promise<{ids: string[]; plan: DeployPlan}> {
    const {context} = this.#making
    const whole = this.#whole(wish)
    const plan = await this.#plan(whole)
    const own = await ownProject(context.cloud)
    const serves = project === undefined || project === own || scope === 'shared' ? null : project
    const one = {wish: whole, plan, zone: whole.zone ?? null, serves, scope, automatic: false}
    const wanted = Array.from({length: plan.count}, () => this.#newMachine(one))
    await wantMachines(context.db, wanted, there => this.#mayBe(there, wanted.length), who)
    if (await this.#isOurs()) for (const {id} of wanted) this.#tend(id)
    return {ids: wanted.map(row => row.id), plan}
  }

  #newMachine(what: Omit<NewMachine, 'id' | 'name' | 'created_at'>): NewMachine {
    return {...what, ...newIdentity(), created_at: this.#making.context.clock()}
  }

  /** What a path that waits for its place may wait for, for people. */
  async progress(): Promise<string | undefined> {
    const {db, clock} = this.#making.context
    const coming = (await allMachines(db)).find(row => row.state === 'wanted' || row.state === 'booting')
    return coming && booting(coming.created_at, clock())
  }

  /** Deletes a machine, and the gate that it is. */
  async delete(row: MachineRow, who: Actor): Promise<void> {
    const {context} = this.#making
    await retireMachine(context.db, row, 'gate-delete', who, context.clock())
    if (await this.#isOurs()) this.#tend(row.id)
  }
}
