import {nameOf} from '../names/brief.ts'
import {type Facts, LOCAL_SNAT} from '../snat/facts.ts'
import {type Inventory, inventory, type RouterView} from '../snat/inventory.ts'
import {type LocalState, localOn} from '../snat/local.ts'
import type {Mode} from '../snat/modes.ts'
import {externalNetwork} from '../snat/observe.ts'
import {REASONS, type Reason} from '../snat/reasons.ts'
import {freeBySubnet} from '../snat/show.ts'
import {decided, notesOf} from '../snat/status.ts'
import type {Sharing} from './desired.ts'
import {addressesOf, type NodePlan, planRouter, type RouterPlan} from './plan.ts'

/* What local gateways would change for one router: for operators, before they start an agent on a node. */

/** A node with VMs of the router that SNAT translates. */
export interface ProposedNode {
  readonly host: string
  /** How new flows leave there now. */
  readonly now: LocalState
  /** VMs of the router that would leave from here, or stay central for the reason. */
  readonly vms: number
  /** Other routers with such VMs here: the agent of the node takes all of them along. */
  readonly other_routers: number
  readonly reason: Reason | null
  /** The same in a sentence; empty when there is none. */
  readonly why: string
}

/** What one way to share addresses takes. */
export interface Need {
  readonly mode: Sharing
  /** External addresses that this router leaves by: one a node. */
  readonly addresses: number
  /** Of these, ports that are there already. */
  readonly there: number
  /** What agents on these nodes take of this external network for all routers there, this one included. */
  readonly all_routers: number
  /** To be typed on each node that the router can leave from; undefined when there is none. */
  readonly command: string | undefined
}

/** A subnet that addresses come from. */
export interface Pool {
  readonly subnet: string
  readonly cidr: string
  /** Addresses that can still be allocated; null: the API does not say. */
  readonly free: number | null
  /** Whether it is kept for local gateways: addresses come from such first, then from subnets that are kept for nobody. */
  readonly kept: boolean
}

export interface Proposal {
  readonly id: string
  readonly router: string
  /** Where its SNAT is done now. */
  readonly mode: Mode
  /** Whether its VMs may leave from their nodes at all. */
  readonly eligible: boolean
  readonly reason: Reason | null
  readonly why: string
  readonly nodes: readonly ProposedNode[]
  readonly addresses: readonly Need[]
  readonly pools: readonly Pool[]
  readonly notes: readonly string[]
}

const SHARINGS: readonly Sharing[] = ['per-router', 'per-node']

/** Pure. The id must be of the facts: see pick(). @param sharing only this way to share addresses */
export function propose(facts: Facts, routerId: string, sharing?: Sharing): Proposal {
  const inv = inventory(facts)
  const view = inv.routers.get(routerId)
  if (view === undefined) throw new Error('propose() wants a router of the facts')
  const plans = [...inv.routers.values()].map(one => planRouter(inv, one))
  const plan = plans.find(one => one.router === routerId) ?? {router: routerId, nodes: []}
  const {reason} = plan
  return {
    id: routerId,
    router: nameOf(view.router),
    mode: decided(inv, view).verdict.mode,
    eligible: reason === undefined,
    ...told(reason),
    nodes: plan.nodes.map(node => nodeRow(inv, view, node, plans)),
    addresses:
      reason === undefined
        ? SHARINGS.filter(one => (sharing ?? one) === one).map(one => needOf(inv, view, plans, plan, one))
        : [],
    pools: reason === undefined ? poolsOf(inv, view) : [],
    notes: [...ownNotes(inv, view, plan), ...notesOf(inv)],
  }
}

const told = (reason: Reason | undefined) => ({
  reason: reason ?? null,
  why: reason === undefined ? '' : REASONS[reason],
})

/** Whether the agent of a node takes a router. */
const leavesFrom =
  (host: string) =>
  ({nodes}: RouterPlan) =>
    nodes.some(node => node.host === host && node.reason === undefined)

function nodeRow(
  inv: Inventory,
  view: RouterView,
  {host, reason, locals}: NodePlan,
  plans: readonly RouterPlan[],
): ProposedNode {
  const here = view.vms.filter(
    port =>
      port['binding:host_id'] === host && (port.fixed_ips ?? []).some(ip => locals.includes(ip.ip_address)),
  )
  return {
    host,
    now: localOn(inv, view, host)?.state ?? 'central',
    vms: new Set(here.map(port => port.device_id)).size,
    other_routers: plans.filter(plan => plan.router !== view.router.id).filter(leavesFrom(host)).length,
    ...told(reason),
  }
}

function needOf(
  inv: Inventory,
  view: RouterView,
  plans: readonly RouterPlan[],
  plan: RouterPlan,
  mode: Sharing,
): Need {
  const network = externalNetwork(view)
  const hosts = new Set(plan.nodes.flatMap(node => (node.reason === undefined ? node.host : [])))
  const neighbours = plans
    .filter(one => one.reason === undefined && networkOf(inv, one) === network)
    .map(one => ({...one, nodes: one.nodes.filter(node => hosts.has(node.host))}))
  const owner = mode === 'per-router' ? view.router.id : network
  const legs = view.local.filter(port => port.device_id === owner && hosts.has(port['binding:host_id'] ?? ''))
  return {
    mode,
    addresses: addressesOf(inv, [plan], mode),
    there: new Set(legs.map(port => port['binding:host_id'])).size,
    all_routers: addressesOf(inv, neighbours, mode),
    command: hosts.size === 0 ? undefined : `os-ssh snat agent --mode ${mode}`,
  }
}

function networkOf(inv: Inventory, {router}: RouterPlan): string | undefined {
  const view = inv.routers.get(router)
  return view && externalNetwork(view)
}

/** As Neutron chooses: neutron/db/ipam_backend_mixin.py `_ipam_get_subnets`. */
function poolsOf(inv: Inventory, view: RouterView): Pool[] {
  const network = externalNetwork(view)
  const free = freeBySubnet(inv)
  return [...inv.subnets.values()]
    .filter(subnet => subnet.network_id === network && subnet.ip_version === 4)
    .filter(({service_types: kept = []}) => kept.length === 0 || kept.includes(LOCAL_SNAT))
    .map(subnet => ({
      subnet: nameOf(subnet),
      cidr: subnet.cidr,
      free: free.get(subnet.id) ?? null,
      kept: subnet.service_types?.includes(LOCAL_SNAT) ?? false,
    }))
    .sort((a, b) => Number(b.kept) - Number(a.kept) || (a.cidr < b.cidr ? -1 : 1))
}

/** What the tables leave out. */
function ownNotes(inv: Inventory, view: RouterView, {reason, nodes}: RouterPlan): string[] {
  if (reason !== undefined || view.vms.length === 0) return []
  const planned = new Map(nodes.map(node => [node.host, node.locals]))
  const unbound = view.vms.filter(port => !port['binding:host_id']).length
  const others = view.vms.filter(port => {
    const host = port['binding:host_id']
    const locals = planned.get(host ?? '') ?? []
    return host && !(port.fixed_ips ?? []).some(ip => locals.includes(ip.ip_address))
  })
  return [
    ...(others.length > 0
      ? [`${ports(others.length)} a way of its own: floating IP, IPv6, no translation`]
      : []),
    ...(unbound > 0 && inv.seesHosts ? [`${ports(unbound)} no node`] : []),
    ...(inv.seesHosts ? [] : ['without the nodes of the VMs nothing can be planned: ask as an operator']),
  ]
}

const ports = (count: number) => (count === 1 ? '1 port of a VM has' : `${count} ports of VMs have`)
