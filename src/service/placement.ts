import {OsSshError} from '../errors.ts'
import {OpenStackError} from '../openstack/index.ts'
import {withdraw} from './endings.ts'
import {askerOf, type GrantContext, makeRoom, spare} from './fairness.ts'
import {cloudFault} from './faults.ts'
import type {GrantLimits} from './limits.ts'
import {type Facts, type Nic, outsideOf, type Way} from './planner/facts.ts'
import {type GateChoice, type Plan, planDirect, planNew, planReuse} from './planner/plan.ts'
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

/**
 * Plans by what is there, and makes room where the gates are full of what nobody uses.
 *
 * @param look the way to a VM that no gate reaches yet, asked for only then
 * @throws OsSshError BUSY when there will be a place in a moment; NO_GATE, GATE_DOWN, GATE_FULL, RATE_LIMITED, VM_UNREACHABLE
 */
export async function planNow(
  context: GrantContext,
  nics: readonly Nic[],
  look: () => Promise<Way | undefined>,
  projectId: string,
  limits: GrantLimits,
): Promise<Plan> {
  const {db, clock} = context
  const gates = await gateChoices(db)
  const asker = askerOf(limits, projectId, clock())
  try {
    const reuse = planReuse(nics, gates, asker, limits)
    if (reuse !== undefined) return reuse
    const way = await look()
    if (way !== undefined) return planNew(way.nic, way.options, gates, asker, limits)
    const outside = await leadingOut(context, nics, gates)
    return planDirect(outside.nic, outside.gates, asker, limits)
  } catch (error) {
    if (!(error instanceof OsSshError) || error.code !== 'GATE_FULL') throw error
    throw (
      (await spare(context, gates, asker, limits)) ?? (await makeRoom(context, gates, asker, limits)) ?? error
    )
  }
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
  const plan = await planNow(context, facts.nics, async () => facts.way, path.project_id, limits)
  context.gates.wakeFor([await placePath(context.db, plan, limits, path, context.clock())])
}
