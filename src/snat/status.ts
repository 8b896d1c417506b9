import {nameOf} from '../names/brief.ts'
import type {Facts, Gap} from './facts.ts'
import {type Inventory, inventory, type RouterView, setting} from './inventory.ts'
import {decide, type Mode, type Observed, type Verdict} from './modes.ts'
import {type LocalAgent, type LocalNode, localAgents, localNodes, localNotes} from './nodes.ts'
import {gatewaysOf, observe} from './observe.ts'
import {type Flag, type Place, place} from './place.ts'
import {wayOut} from './wayout.ts'

/** One router, as `snat status` lists it. Null: this account cannot see it. */
export interface StatusRow {
  readonly id: string
  readonly router: string
  readonly project_id: string
  readonly mode: Mode
  /** Where its packets cross; differs from the mode for overlays such as `routed`. */
  readonly carrier: Mode
  readonly snat_ips: readonly string[]
  readonly hosts: readonly string[] | null
  readonly host_alive: boolean | null
  readonly replicas_live: number | null
  readonly replicas_total: number | null
  readonly spof: boolean | null
  /** VMs whose packets to the outside cross the gateway host, leave from their own, or nobody can tell. */
  readonly vms_central: number
  readonly vms_bypass: number
  readonly vms_unknown: number
  readonly flags: readonly Flag[]
  readonly notes: readonly string[]
  /** Of a router with local gateways: its nodes. */
  readonly local_nodes: readonly LocalNode[]
}

/** A gateway host and what depends on it. */
export interface HostRow {
  readonly host: string
  readonly alive: boolean | null
  readonly routers: number
  readonly vms: number
  /** Its VMs against the mean of the gateway hosts: 1 is balanced. */
  readonly load: number
}

export interface Status {
  readonly rows: readonly StatusRow[]
  readonly hosts: readonly HostRow[]
  /** The agents of local gateways that were ever heard of. */
  readonly local_agents: readonly LocalAgent[]
  /** What the listing as a whole lacks, in sentences. */
  readonly notes: readonly string[]
  readonly gaps: readonly Gap[]
}

export interface StatusFilter {
  /** Router ids, when only some are wanted. */
  readonly ids?: ReadonlySet<string>
  readonly project?: string
  readonly host?: string
  readonly mode?: string
  /** Only routers with a problem. */
  readonly problems?: boolean
}

/** Everything decided about one router; what the other questions start from. */
export interface Decided {
  readonly view: RouterView
  readonly seen: Observed
  readonly verdict: Verdict
  readonly place: Place
}

/** Observes a router, decides its mode, and finds its place. */
export function decided(inv: Inventory, view: RouterView): Decided {
  const seen = observe(inv, view)
  const verdict = decide(seen)
  return {view, seen, verdict, place: place(inv, view, seen, verdict)}
}

/** Every router that the filter admits, sorted by name, with the gateway hosts of *all* routers below. */
export function status(facts: Facts, filter: StatusFilter = {}): Status {
  const inv = inventory(facts)
  const all = [...inv.routers.values()].map(view => statusRow(inv, decided(inv, view)))
  const rows = all.filter(row => admits(filter, row)).sort(byName)
  return {
    rows,
    hosts: hostRows(inv, all),
    local_agents: localAgents(inv),
    notes: notesOf(inv),
    gaps: facts.gaps,
  }
}

/** Whether a router needs attention. A single point of failure by design is none: it is in the SPOF column. */
export function hasProblem(row: Pick<StatusRow, 'flags'>): boolean {
  return row.flags.length > 0
}

/** One router as a row. */
export function statusRow(inv: Inventory, {view, seen, verdict, place: at}: Decided): StatusRow {
  const {router} = view
  const vms = countVms(inv, view, verdict)
  const nodes = localNodes(inv, view, verdict)
  return {
    id: router.id,
    router: nameOf(router),
    project_id: router.project_id ?? '',
    mode: verdict.mode,
    carrier: verdict.carrier,
    snat_ips:
      seen.enable_snat === false || verdict.mode === 'no-nat'
        ? []
        : gatewaysOf(view).flatMap(g => g.external_fixed_ips.map(ip => ip.ip_address)),
    hosts: at.hosts,
    host_alive: at.alive,
    replicas_live: at.replicas_live,
    replicas_total: at.replicas_total,
    spof: at.spof,
    vms_central: vms.central,
    vms_bypass: vms.bypass,
    vms_unknown: vms.unknown,
    flags: at.flags,
    notes: [...rowNotes(inv, view, seen, verdict, at), ...localNotes(nodes)],
    local_nodes: nodes,
  }
}

/** A VM with several ports behind the router counts once, and as central if one of them is. */
function countVms(inv: Inventory, view: RouterView, verdict: Verdict) {
  const rank = {none: 0, bypass: 1, unknown: 2, central: 3}
  const worst = new Map<string, keyof typeof rank>()
  for (const port of view.vms) {
    const {way} = wayOut(inv, view, port, verdict)
    const before = worst.get(port.device_id)
    if (before === undefined || rank[way] > rank[before]) worst.set(port.device_id, way)
  }
  const count = {none: 0, bypass: 0, unknown: 0, central: 0}
  for (const way of worst.values()) count[way]++
  return count
}

function rowNotes(inv: Inventory, view: RouterView, seen: Observed, verdict: Verdict, at: Place): string[] {
  const notes = [...at.notes]
  if (verdict.carrier !== verdict.mode) notes.push(`carried as ${verdict.carrier}`)
  const hidden = verdict.unseen.filter(
    key => key === 'ha' || key === 'distributed' || key === 'external_type',
  )
  if (hidden.length > 0) notes.push(`${hidden.join(', ')}: ${inv.seesHosts ? 'not shown' : 'needs admin'}`)
  if (seen.same_scope === 'some') notes.push('some subnets without NAT')
  // Without floating IPs `central_fips` says where one would be.
  const hasFips = view.vms.some(port => inv.floatingIpsOf.has(port.id))
  if (seen.central_fips === 'some' && hasFips) notes.push('some floating IPs are central')
  const {status: state, admin_state_up: up} = view.router
  if (up === false) notes.push('administratively down')
  else if (typeof state === 'string' && state !== 'ACTIVE') notes.push(`status ${nameOf({id: state})}`)
  return notes
}

function admits(filter: StatusFilter, row: StatusRow): boolean {
  return (
    (filter.ids === undefined || filter.ids.has(row.id)) &&
    (filter.project === undefined || row.project_id === filter.project) &&
    (filter.host === undefined || (row.hosts ?? []).includes(filter.host)) &&
    (filter.mode === undefined || row.mode === filter.mode) &&
    (!filter.problems || hasProblem(row))
  )
}

/** Byte order: the same on every machine, whatever its locale. */
function byName(a: StatusRow, b: StatusRow): number {
  return compareText(a.router, b.router) || compareText(a.id, b.id)
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function hostRows(inv: Inventory, rows: readonly StatusRow[]): HostRow[] {
  const found = new Map<string, {routers: number; vms: number}>()
  // Idle gateway hosts belong here too: an imbalance is between what is used and what could be.
  for (const [host, agent] of [...inv.l3Agents, ...inv.chassis]) {
    if (setting(agent, 'agent_mode') === 'dvr_snat' || agent.agent_type.includes('Gateway')) {
      found.set(host, {routers: 0, vms: 0})
    }
  }
  for (const row of rows) {
    for (const host of row.hosts ?? []) {
      const sum = found.get(host) ?? {routers: 0, vms: 0}
      found.set(host, {routers: sum.routers + 1, vms: sum.vms + row.vms_central})
    }
  }
  const total = [...found.values()].reduce((sum, h) => sum + h.vms, 0)
  const mean = total / Math.max(1, found.size)
  return [...found]
    .map(([host, sum]) => ({
      host,
      alive: (inv.l3Agents.get(host) ?? inv.chassis.get(host))?.alive ?? null,
      ...sum,
      load: mean === 0 ? 0 : Math.round((sum.vms / mean) * 100) / 100,
    }))
    .sort((a, b) => b.vms - a.vms || b.routers - a.routers || compareText(a.host, b.host))
}

const GAP: Readonly<Record<Gap['why'], string>> = {
  missing: 'this cloud does not have it',
  forbidden: 'needs admin',
  failed: 'failed',
}

/** What the answer as a whole lacks: listings that did not come, and rows that fell between two of them. */
export function notesOf(inv: Inventory): string[] {
  const notes = inv.facts.gaps.map(
    ({listing, why, message}) => `${listing}: ${GAP[why]}${why === 'failed' ? `: ${message}` : ''}`,
  )
  if (!inv.seesHosts && inv.routers.size > 0) {
    notes.push('hosts, replicas and agents need admin; modes are told from the ports you see')
  }
  if (inv.orphans > 0 && inv.seesHosts) {
    notes.push(
      `${inv.orphans} router ports left out: their router was gone, or not visible, when the routers were listed`,
    )
  }
  return notes
}
