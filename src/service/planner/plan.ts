import {OsSshError} from '../../errors.ts'
import type {RouteKind} from '../../protocol/index.ts'
import type {Reach} from '../store/schema.ts'
import type {Candidate, Nic} from './facts.ts'

/** A gate as the planner sees it. */
export interface GateChoice {
  readonly id: string
  readonly project_id: string
  readonly scope: 'project' | 'shared'
  readonly state: 'new' | 'ready' | 'down'
  readonly paths: number
  readonly attachments: readonly {
    readonly id: string
    readonly network_id: string
    readonly reach: readonly Reach[]
    readonly removing: boolean
  }[]
}

export interface Limits {
  /** NICs that one gate takes for attachments. */
  readonly attachments: number
  /** Accounts of one gate. */
  readonly paths: number
}

export interface Plan {
  readonly gate_id: string
  readonly route: RouteKind
  readonly nic: Nic
  /** The attachment to reuse, or the network to plug the gate into. */
  readonly attachment: {readonly reuse: string} | {readonly create: Candidate}
}

/** Gates that may serve the project and have room for one more path, project gates and emptier ones first. */
function eligible(gates: readonly GateChoice[], projectId: string, limits: Limits): GateChoice[] {
  const allowed = gates.filter(gate => gate.scope === 'shared' || gate.project_id === projectId)
  if (allowed.length === 0) throw new OsSshError('NO_GATE', 'no gate serves the project of this VM')
  const up = allowed.filter(gate => gate.state !== 'down')
  if (up.length === 0) throw new OsSshError('GATE_DOWN', 'the gate of this project does not answer')
  const free = up.filter(gate => gate.paths < limits.paths)
  if (free.length === 0)
    throw new OsSshError('GATE_FULL', 'every gate of this project has its full number of paths')
  return free.sort(
    (a, b) =>
      Number(a.scope === 'shared') - Number(b.scope === 'shared') ||
      a.paths - b.paths ||
      (a.id < b.id ? -1 : 1),
  )
}

/**
 * Rule 1 of DESIGN 3: a gate that is there already, on the VM's network or behind a router it shares.
 *
 * @throws OsSshError NO_GATE, GATE_DOWN, GATE_FULL when no gate could serve the project at all
 */
export function planReuse(
  nics: readonly Nic[],
  gates: readonly GateChoice[],
  projectId: string,
  limits: Limits,
): Plan | undefined {
  const reachable = eligible(gates, projectId, limits).flatMap(gate =>
    gate.attachments
      .filter(attachment => !attachment.removing)
      .flatMap(attachment =>
        nics
          .filter(nic => attachment.reach.some(reach => reach.network_id === nic.network_id))
          .map((nic): Plan => {
            const route = attachment.network_id === nic.network_id ? 'attached' : 'routed'
            return {gate_id: gate.id, route, nic, attachment: {reuse: attachment.id}}
          }),
      ),
  )
  return reachable.find(plan => plan.route === 'attached') ?? reachable[0]
}

/**
 * Rules 2 and 3: plug a gate into the network that serves most VMs, the VM's own among equals.
 *
 * @throws OsSshError NO_GATE, GATE_DOWN, GATE_FULL
 */
export function planNew(
  nic: Nic,
  options: readonly Candidate[],
  gates: readonly GateChoice[],
  projectId: string,
  limits: Limits,
): Plan {
  const gate = eligible(gates, projectId, limits).find(g => g.attachments.length < limits.attachments)
  if (gate === undefined)
    throw new OsSshError('GATE_FULL', 'every gate of this project has all its interfaces in use')
  const taken = new Set(gate.attachments.map(attachment => attachment.network_id))
  const best = options
    .filter(option => !taken.has(option.network_id))
    .sort(
      (a, b) =>
        b.vms - a.vms ||
        Number(b.network_id === nic.network_id) - Number(a.network_id === nic.network_id) ||
        (a.network_id < b.network_id ? -1 : 1),
    )[0]
  if (best === undefined)
    throw new OsSshError('BUSY', 'the gate is just letting go of this network', {
      hint: 'try again in a few seconds',
    })
  const route = best.network_id === nic.network_id ? 'attached' : 'routed'
  return {gate_id: gate.id, route, nic, attachment: {create: best}}
}
