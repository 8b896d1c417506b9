import {type ErrorCode, OsSshError} from '../errors.ts'
import {OpenStackError} from '../openstack/index.ts'
import {GateIsComing} from './deploy/coming.ts'
import {withdraw} from './endings.ts'
import {askerOf, type GrantContext, makeRoom, spare} from './fairness.ts'
import {cloudFault} from './faults.ts'
import type {GrantLimits} from './limits.ts'
import {type Facts, type Nic, outsideOf, type Way} from './planner/facts.ts'
import {type Asker, type GateChoice, type Plan, planDirect, planNew, planReuse} from './planner/plan.ts'
import {attachments} from './store/attachments.ts'
import {gates as allGates, gateChoices} from './store/gates.ts'
import {requestedPaths} from './store/paths.ts'
import {Collision, placePath} from './store/place.ts'
import type {PathRow} from './store/schema.ts'

/* Where a path goes, by what its user saw and what is there now: at once when it is asked for, or by any replica later. */

/** How long a path waits for a gate that is letting go of a network, ms: Nova and Neutron take some seconds. */
const LETTING_GO_MS = 15_000

/** Nobody is let in by what was seen longer ago than a certificate lives. */
const TOO_OLD = new OsSshError('BUSY', 'the path has waited too long for a place', {hint: 'ask again'})

/** Is it worth waiting for a place? */
export const waits = (error: unknown) => error instanceof OsSshError && error.code === 'BUSY'

/** What a place is looked for by. */
export interface Search {
  readonly nics: readonly Nic[]
  /** Of the VM. */
  readonly project_id: string
  readonly zone: string | undefined
  /** The way to a VM that no gate reaches yet, asked for only then. */
  readonly look: () => Promise<Way | undefined>
}

/** The planner has found nothing for lack of gates. */
const LACKING = new Set<ErrorCode>(['NO_GATE', 'GATE_DOWN', 'GATE_FULL'])

/**
 * Plans by what is there; where no gate of the VM's zone will do, one may be on its way or made; and makes room where the gates
 * are full of what nobody uses.
 *
 * @throws OsSshError BUSY when there will be a place in a moment; NO_GATE, GATE_DOWN, GATE_FULL, RATE_LIMITED, VM_UNREACHABLE
 */
export async function planNow(context: GrantContext, search: Search, limits: GrantLimits): Promise<Plan> {
  const gates = await gateChoices(context.db)
  const {project_id} = search
  const zone = context.fleet.zoneFor(search.zone) ?? undefined
  const near = gates.filter(gate => zone === undefined || gate.zone == null || gate.zone === zone)
  const asker = {...askerOf(limits, project_id, context.clock()), zone}
  try {
    return await planAmong(context, search, near, asker, limits)
  } catch (error) {
    if (!(error instanceof OsSshError)) throw error
    const fleetSays = LACKING.has(error.code) ? await askFleet(context, {...search, zone}, error) : undefined
    if (near.length < gates.length && (LACKING.has(error.code) || error.code === 'VM_UNREACHABLE'))
      return planAmong(context, search, gates, asker, limits)
    if (error.code !== 'GATE_FULL') throw fleetSays ?? error
    throw (
      (await spare(context, gates, asker, limits)) ??
      (await makeRoom(context, gates, asker, limits)) ??
      fleetSays ??
      error
    )
  }
}

/** @returns what is said where none is made @throws OsSshError BUSY when one is on its way */
async function askFleet(
  context: GrantContext,
  search: Search,
  why: OsSshError,
): Promise<OsSshError | undefined> {
  const need = {project_id: search.project_id, zone: search.zone ?? null}
  return context.fleet.ask(need, search.look, why).then(
    () => undefined,
    error => {
      if (!(error instanceof OsSshError) || waits(error)) throw error
      return error
    },
  )
}

async function planAmong(
  context: GrantContext,
  {nics, look}: Search,
  gates: readonly GateChoice[],
  asker: Asker,
  limits: GrantLimits,
): Promise<Plan> {
  const reuse = planReuse(nics, gates, asker, limits)
  if (reuse !== undefined) return reuse
  const way = await look()
  if (way !== undefined) return planNew(way.nic, way.options, gates, asker, limits)
  const outside = await leadingOut(context, nics, gates)
  return planDirect(outside.nic, outside.gates, asker, limits)
}

/**
 * The interface that gates reach by their own way out, and those gates.
 *
 * @throws OsSshError VM_UNREACHABLE
 */
async function leadingOut({db, cloud}: GrantContext, nics: readonly Nic[], gates: readonly GateChoice[]) {
  const rows = await allGates(db)
  const plugged = new Set((await attachments(db)).flatMap(row => row.port_id ?? []))
  const outside = new Map(
    await Promise.all(rows.map(async row => [row.id, await outsideOf(cloud, row, plugged)] as const)),
  )
  for (const nic of nics) {
    const leading = gates.filter(gate => outside.get(gate.id)?.has(nic.network_id))
    if (leading.length > 0) return {nic, gates: leading}
  }
  throw new OsSshError(
    'VM_UNREACHABLE',
    'no gate can be plugged into a network of the VM, nor leads there by itself',
    {
      hint: 'ask the owner of its network to share it with your project, or the operator of the SSH service',
    },
  )
}

/**
 * Places the paths that wait for it, oldest first; those that have waited in vain fail, and so do those whose facts are older
 * than a certificate may be.
 */
export async function placeWaiting(context: GrantContext, limits: GrantLimits): Promise<void> {
  const patience = Math.min(LETTING_GO_MS, limits.certLife * 1000)
  for (const {path, facts, seen_at} of await requestedPaths(context.db)) {
    const isOld = context.clock() - seen_at > patience
    try {
      if (context.clock() - seen_at > limits.certLife * 1000) throw TOO_OLD
      await placeOne(context, path, facts, limits)
    } catch (error) {
      if (error instanceof Collision) continue
      // For as long as that may take: what becomes of it is said by the fleet.
      if (error instanceof GateIsComing) continue
      const fault =
        error instanceof OpenStackError ? cloudFault(error, 'the network of the VM cannot be read') : error
      // What the database says is no fault of the path, and a mistake of ours is not its either.
      if (!(fault instanceof OsSshError) || fault.code === 'SERVICE_DOWN')
        context.log.warn({err: error, path: path.id}, 'the path could not be placed')
      else if (isOld || !(waits(fault) || error instanceof OpenStackError))
        await withdraw(context, path.id, fault)
    }
  }
}

async function placeOne(context: GrantContext, path: PathRow, facts: Facts, limits: GrantLimits) {
  const {nics, zone, way} = facts
  const search = {nics, zone, project_id: path.project_id, look: async () => way}
  const plan = await planNow(context, search, limits)
  context.gates.wakeFor([await placePath(context.db, plan, limits, path, context.clock())])
}
