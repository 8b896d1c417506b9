import {OsSshError} from '../../errors.ts'
import type {RouteKind} from '../../protocol/index.ts'
import type {Reach} from '../store/schema.ts'
import type {Candidate, Nic} from './facts.ts'
import {renewed, wayTo} from './reach.ts'

/** A network plugged into a gate, as the planner sees it. */
export interface AttachmentChoice {
  readonly id: string
  readonly network_id: string
  /** The network's owner. */
  readonly project_id: string
  readonly reach: readonly Reach[]
  readonly removing: boolean
  /** Since when no path needs it, epoch ms. */
  readonly idle_since: number | null
}

/** A gate as the planner sees it. */
export interface GateChoice {
  readonly id: string
  readonly project_id: string
  readonly scope: 'project' | 'shared'
  /** The one project that it serves, when that is not its own. */
  readonly serves?: string | null
  /** Availability zone, where that is known. */
  readonly zone?: string | null
  /** It takes no new paths. */
  readonly draining?: boolean
  readonly state: 'new' | 'ready' | 'down'
  /** Accounts that are taken, of all projects and by project. */
  readonly paths: number
  readonly held: ReadonlyMap<string, number>
  readonly attachments: readonly AttachmentChoice[]
}

export interface Limits {
  /** NICs that one gate takes for attachments. */
  readonly attachments: number
  /** Accounts of one gate. */
  readonly paths: number
}

/** For whom it is planned. */
export interface Asker {
  readonly project_id: string
  /** Accounts of one gate that the project may hold now; undefined: all of them. */
  readonly share?: number | undefined
  /** Networks of its own on one gate that it may have now; undefined: all of them. */
  readonly networks?: number | undefined
  /** Availability zone of the VM: gates there come first. */
  readonly zone?: string | undefined
}

export interface Plan {
  readonly gate_id: string
  readonly route: RouteKind
  readonly nic: Nic
  /**
   * The attachment to reuse, with what is newly known of its reach, or the network to plug the gate into; none where the gate's
   * own way out leads there.
   */
  readonly attachment:
    | {
        readonly reuse: string
        readonly reach?: {readonly was: readonly Reach[]; readonly now: readonly Reach[]}
      }
    | {readonly create: Candidate}
    | {readonly direct: true}
}

/** Whether a gate takes new paths of the project, as long as it answers. */
export const mayUse = (
  {scope, serves: one, project_id: own, draining}: GateChoice,
  project_id: string,
): boolean => (scope === 'shared' || (one ?? own) === project_id) && !draining

/** Gates that may serve the project and have room for one more path, project gates and emptier ones first. */
function eligible(gates: readonly GateChoice[], asker: Asker, limits: Limits): GateChoice[] {
  const {project_id, share, zone} = asker
  const isFar = (gate: GateChoice) => zone !== undefined && gate.zone != null && gate.zone !== zone
  const allowed = gates.filter(gate => mayUse(gate, project_id))
  if (allowed.length === 0) throw new OsSshError('NO_GATE', 'no gate serves the project of this VM')
  const up = allowed.filter(gate => gate.state !== 'down')
  if (up.length === 0) throw new OsSshError('GATE_DOWN', 'the gate of this project does not answer')
  const free = up.filter(gate => gate.paths < limits.paths)
  if (free.length === 0)
    throw new OsSshError('GATE_FULL', 'every gate of this project has its full number of paths')
  const fair = free.filter(gate => share === undefined || (gate.held.get(project_id) ?? 0) < share)
  if (fair.length === 0)
    throw new OsSshError('RATE_LIMITED', 'this project has its share of the gate, and others wait', {
      retryAfter: 30,
    })
  return fair.sort(
    (a, b) =>
      Number(a.scope === 'shared') - Number(b.scope === 'shared') ||
      Number(isFar(a)) - Number(isFar(b)) ||
      a.paths - b.paths ||
      (a.id < b.id ? -1 : 1),
  )
}

/** Does the attachment lead to the VM? What lies behind a router serves the project that owns router and network only. */
function serves(attachment: AttachmentChoice, nic: Nic, projectId: string): boolean {
  const way = wayTo(attachment.reach, nic)
  if (attachment.removing || way === undefined) return false
  return way.via === null ? attachment.network_id === nic.network_id : attachment.project_id === projectId
}

const routeFrom = (networkId: string, nic: Nic): RouteKind =>
  networkId === nic.network_id ? 'attached' : 'routed'

/**
 * A gate that is there already, on the VM's network or behind a router it shares: no call to anybody.
 *
 * @throws OsSshError NO_GATE, GATE_DOWN, GATE_FULL, RATE_LIMITED when no gate could serve the project at all
 */
export function planReuse(
  nics: readonly Nic[],
  gates: readonly GateChoice[],
  asker: Asker,
  limits: Limits,
): Plan | undefined {
  const reachable = eligible(gates, asker, limits).flatMap(gate =>
    gate.attachments.flatMap(attachment =>
      nics
        .filter(nic => serves(attachment, nic, asker.project_id))
        .map((nic): Plan => {
          const route = routeFrom(attachment.network_id, nic)
          return {gate_id: gate.id, route, nic, attachment: {reuse: attachment.id}}
        }),
    ),
  )
  return reachable.find(plan => plan.route === 'attached') ?? reachable[0]
}

/**
 * Plugs a gate into the network that serves most VMs, the VM's own among equals. Where one is plugged in already, of which it
 * was not known that it leads there (a subnet or a router is new), that one is used.
 *
 * @throws OsSshError NO_GATE, GATE_DOWN, GATE_FULL, RATE_LIMITED; BUSY when the gate is letting go of the network
 */
export function planNew(
  nic: Nic,
  options: readonly Candidate[],
  gates: readonly GateChoice[],
  asker: Asker,
  limits: Limits,
): Plan {
  const usable = eligible(gates, asker, limits)
  const sorted = [...options].sort(
    (a, b) =>
      b.vms - a.vms ||
      Number(b.network_id === nic.network_id) - Number(a.network_id === nic.network_id) ||
      (a.network_id < b.network_id ? -1 : 1),
  )
  const there = sorted.flatMap(option =>
    usable.flatMap(gate =>
      gate.attachments
        .filter(one => one.network_id === option.network_id && !one.removing)
        .flatMap((one): Plan[] => {
          const byOwner = option.project_id === asker.project_id
          const now = renewed(one.reach, option.reach, {target: nic.network_id, byOwner})
          if (wayTo(now, nic) === undefined) return []
          const route = routeFrom(one.network_id, nic)
          return [{gate_id: gate.id, route, nic, attachment: {reuse: one.id, reach: {was: one.reach, now}}}]
        }),
    ),
  )[0]
  if (there !== undefined) return there

  const owned = (g: GateChoice) => g.attachments.filter(one => one.project_id === asker.project_id).length
  const open = usable.filter(g => g.attachments.length < limits.attachments)
  const gate = open.find(g => asker.networks === undefined || owned(g) < asker.networks)
  if (gate === undefined && open.length > 0)
    throw new OsSshError(
      'RATE_LIMITED',
      'this project has its share of the gate’s networks, and others wait',
      {
        retryAfter: 30,
      },
    )
  if (gate === undefined)
    throw new OsSshError('GATE_FULL', 'every gate of this project has all its interfaces in use')
  const taken = new Set(gate.attachments.map(attachment => attachment.network_id))
  const create = sorted.find(option => !taken.has(option.network_id))
  if (create === undefined)
    throw new OsSshError('BUSY', 'the gate is just letting go of this network', {
      hint: 'try again in a few seconds',
    })
  return {gate_id: gate.id, route: routeFrom(create.network_id, nic), nic, attachment: {create}}
}

/**
 * A VM whose address is on an external network: the gate reaches it as it reaches the world, without an interface there.
 *
 * @throws OsSshError NO_GATE, GATE_DOWN, GATE_FULL, RATE_LIMITED
 */
export function planDirect(nic: Nic, gates: readonly GateChoice[], asker: Asker, limits: Limits): Plan {
  const [gate] = eligible(gates, asker, limits) as [GateChoice, ...GateChoice[]]
  return {gate_id: gate.id, route: 'direct', nic, attachment: {direct: true}}
}
