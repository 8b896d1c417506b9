import {shortened} from '../names/plain.ts'
import type {PortFact} from './facts.ts'
import type {Inventory, RouterView} from './inventory.ts'
import {keptOn, type Local, type LocalState, localOn, silenceOf} from './local.ts'
import type {Verdict} from './modes.ts'
import {isLocalFipHost} from './observe.ts'
import {wayOut} from './wayout.ts'

/** One node of a router that has local gateways. */
export interface LocalNode {
  readonly host: string
  readonly state: LocalState
  readonly why: string
  /** External address of its leg there; null: it has none. */
  readonly address: string | null
  /** Since its agent was last heard of, s; null: never. */
  readonly age: number | null
  /** VMs of this router there that SNAT translates, wherever that is done. */
  readonly vms: number
  /** Routers that leave from this node, and that could and do not, as its agent said last; null: it said nothing. */
  readonly routers_local: number | null
  readonly routers_other: number | null
}

/** What the agent of a node has said last. */
export interface LocalAgent {
  readonly host: string
  /** s */
  readonly age: number
  readonly routers_local: number
  readonly routers_other: number
}

/** Nodes where a router has VMs that SNAT translates, or a leg, by name; none when it has no local gateway, and none is tried. */
export function localNodes(inv: Inventory, view: RouterView, verdict: Verdict): LocalNode[] {
  if (inv.legs.heartbeats.size === 0 && view.local.length === 0) return []
  const vms = snatVms(inv, view, verdict)
  const hosts = new Set([...vms.keys(), ...view.local.flatMap(port => port['binding:host_id'] || [])])
  const known = [...hosts].map(host => [host, localOn(inv, view, host)] as const)
  if (known.every(([, local]) => local === undefined)) return []
  return known
    .map(([host, local]) => nodeRow(inv, host, vms.get(host) ?? 0, local ?? centralOn(inv, view, host)))
    .sort((a, b) => (a.host < b.host ? -1 : 1))
}

/** By host: VMs with a port that SNAT translates. */
function snatVms(inv: Inventory, view: RouterView, verdict: Verdict): Map<string, number> {
  const found = new Map<string, Set<string>>()
  for (const port of view.vms) {
    const host = port['binding:host_id']
    if (!host || !isTranslated(inv, view, port, verdict)) continue
    found.set(host, (found.get(host) ?? new Set()).add(port.device_id))
  }
  return new Map([...found].map(([host, vms]) => [host, vms.size]))
}

function isTranslated(inv: Inventory, view: RouterView, port: PortFact, verdict: Verdict): boolean {
  const {kind} = wayOut(inv, view, port, verdict)
  return kind === 'snat' || kind === 'snat-local'
}

/** A node without a leg of which no agent says anything. */
function centralOn(inv: Inventory, view: RouterView, host: string): Local {
  const noWay =
    inv.l3Agents.size > 0 && !isLocalFipHost(inv, host)
      ? 'the L3 agent of the node has no way to the external network'
      : undefined
  const why = keptOn(inv, view, host) ?? noWay ?? silenceOf(inv, host) ?? 'its agent has no leg for it'
  return {state: 'central', why, leg: undefined, heartbeat: inv.legs.heartbeats.get(host)}
}

function nodeRow(inv: Inventory, host: string, vms: number, local: Local): LocalNode {
  const {state, why, leg, heartbeat} = local
  const address = leg?.fixed_ips?.[0]?.ip_address ?? null
  const said = heartbeat && agentOf(inv, host, heartbeat)
  return {
    host,
    state,
    why,
    address,
    age: said?.age ?? null,
    vms,
    routers_local: said?.routers_local ?? null,
    routers_other: said?.routers_other ?? null,
  }
}

/** Every agent of local gateways that has said something. */
export function localAgents(inv: Inventory): LocalAgent[] {
  return [...inv.legs.heartbeats]
    .map(([host, heartbeat]) => agentOf(inv, host, heartbeat))
    .sort((a, b) => (a.host < b.host ? -1 : 1))
}

function agentOf({facts}: Inventory, host: string, heartbeat: NonNullable<Local['heartbeat']>): LocalAgent {
  const {at, local, exceptions, more} = heartbeat
  return {
    host,
    age: Math.round((facts.at - at) / 1000),
    routers_local: local,
    routers_other: exceptions.length + more,
  }
}

/** How the states are told, in this order. */
const TOLD: readonly (readonly [state: LocalState, words: string])[] = [
  ['fallback', 'fallen back to central on'],
  ['no-address', 'without external address on'],
  ['probing', 'probing on'],
  ['draining', 'draining on'],
  ['waiting', 'waiting on'],
]

/** The nodes of a router in a few words, for its row: those that are local as a number, the others by name. */
export function localNotes(nodes: readonly LocalNode[]): string[] {
  if (nodes.length === 0) return []
  const of = (state: LocalState) => nodes.filter(node => node.state === state)
  const count = of('local').length
  const states = TOLD.flatMap(([state, words]) => {
    const some = of(state)
    return some.length === 0 ? [] : [`${words} ${names(some)}`]
  })
  const silent = of('silent')
  const central = Map.groupBy(of('central'), node => reasonOf(node))
  return [
    `local on ${count} of ${nodes.length} ${nodes.length === 1 ? 'node' : 'nodes'}`,
    ...states,
    ...(silent.length === 0 ? [] : [`not heard of: ${names(silent, sinceOf)}`]),
    ...[...central].map(([why, some]) => `central on ${names(some)}: ${why}`),
  ]
}

/** Why a node is central, without its name. */
function reasonOf({host, why}: LocalNode): string {
  return why.replace(` on ${host}`, '')
}

function sinceOf({age}: LocalNode): string {
  if (age === null) return ' (never)'
  return age < 0 ? ' (its clock is ahead)' : ` (${Math.floor(age / 60)} min)`
}

const SHOWN = 3

function names(nodes: readonly LocalNode[], detail: (node: LocalNode) => string = () => ''): string {
  const shown = nodes.slice(0, SHOWN).map(node => `${shortened(node.host, 40)}${detail(node)}`)
  return [...shown, ...(nodes.length > SHOWN ? [`${nodes.length - SHOWN} more`] : [])].join(', ')
}
