import {OsSshError} from '../errors.ts'
import type {Facts, PortFact} from './facts.ts'
import {type Inventory, inventory, isChassis, type RouterView, setting} from './inventory.ts'
import {externalNetwork} from './observe.ts'
import {decided} from './status.ts'
import {floatingIpOf, wayOut} from './wayout.ts'

/** The figures of a cloud that the alternatives are computed from. Null: needs admin. */
export interface Quantities {
  /** R: routers that translate. */
  readonly routers: number
  /** T: projects that own one of them. */
  readonly tenants: number
  /** N: compute nodes. */
  readonly nodes: number | null
  /** E: external networks that these routers lead to. */
  readonly external_networks: number
  /** V: VMs behind these routers. */
  readonly vms: number
  /** Those of them that have no floating IP, and so need SNAT. */
  readonly snat_vms: number
  /** P: (node, router) pairs with at least one such VM. */
  readonly pairs: number | null
  /** H: nodes with such VMs. */
  readonly snat_nodes: number | null
  /** (node, external network) pairs where DVR has a gateway address for floating IPs. */
  readonly fip_gateways: number
  /** VMs whose packets to the outside cross to another host today. */
  readonly crossing_vms: number | null
  /** Most SNAT VMs behind one router, on one node, in one pair, behind one gateway host. */
  readonly largest_router: number
  readonly largest_node: number | null
  readonly largest_pair: number | null
  readonly largest_gateway: number | null
  /** SNAT VMs of each router, for sums that round up a router. */
  readonly router_vms: readonly number[]
  /** IPv4 addresses of the external networks: all, and still free; null when the API does not say. */
  readonly pool_total: number | null
  readonly pool_free: number | null
}

/** Counts what the alternatives depend on, for the whole cloud or one router. */
export function measure(facts: Facts, routerId?: string): Quantities {
  const inv = inventory(facts)
  const views = [...inv.routers.values()].filter(
    view => translates(view) && (routerId ?? view.router.id) === view.router.id,
  )
  const count = new Counter(inv)
  for (const view of views) count.router(view)
  const external = new Set(views.flatMap(view => externalNetwork(view) ?? []))
  const known = inv.seesHosts
  return {
    routers: views.length,
    tenants: new Set(views.map(view => view.router.project_id)).size,
    nodes: known ? computeNodes(inv).size : null,
    external_networks: external.size,
    vms: count.vms,
    snat_vms: sum(count.perRouter),
    pairs: known ? count.perPair.size : null,
    snat_nodes: known ? count.perNode.size : null,
    fip_gateways: inv.fipGateways.filter(p => isOn(inv, p, external)).length,
    crossing_vms: known ? count.crossing : null,
    largest_router: largest(count.perRouter),
    largest_node: known ? largest(count.perNode.values()) : null,
    largest_pair: known ? largest(count.perPair.values()) : null,
    largest_gateway: known ? largest(count.perGateway.values()) : null,
    router_vms: count.perRouter,
    ...pool(inv, external),
  }
}

function translates(view: RouterView): boolean {
  const info = view.router.external_gateway_info
  return info != null && info.enable_snat !== false
}

class Counter {
  readonly perRouter: number[] = []
  readonly perPair = new Map<string, number>()
  readonly perNode = new Map<string, number>()
  readonly perGateway = new Map<string, number>()
  vms = 0
  crossing = 0
  readonly #inv: Inventory

  constructor(inv: Inventory) {
    this.#inv = inv
  }

  router(view: RouterView): void {
    const {verdict, place} = decided(this.#inv, view)
    const gateway = place.hosts?.[0]
    const seen = new Set<string>()
    let snat = 0
    for (const port of view.vms) {
      if (seen.has(port.device_id)) continue
      seen.add(port.device_id)
      const host = port['binding:host_id'] || undefined
      const out = wayOut(this.#inv, view, port, verdict)
      if (out.way === 'central' && gateway !== host) this.crossing++
      if (floatingIpOf(this.#inv, port, out.fixed_ip ?? '')) continue
      snat++
      if (host) bump(this.perNode, host)
      if (host) bump(this.perPair, `${view.router.id} ${host}`)
    }
    this.vms += seen.size
    this.perRouter.push(snat)
    if (gateway) bump(this.perGateway, gateway, snat)
  }
}

/**
 * Hosts that run VMs or could: those with a VM, those whose L3 agent only serves local VMs, and those with an L2 agent
 * that are no network node (an L3 agent that takes SNAT or legacy routers, or a DHCP agent, marks one).
 */
function computeNodes(inv: Inventory): ReadonlySet<string> {
  const nodes = new Set<string>()
  const network = new Set<string>()
  for (const agent of inv.facts.agents) {
    const mode = setting(agent, 'agent_mode')
    const isNetwork = agent.agent_type === 'DHCP agent' || mode === 'legacy' || mode === 'dvr_snat'
    if (isNetwork || agent.agent_type.includes('Gateway')) network.add(agent.host)
  }
  const l2 = inv.facts.agents.filter(a => a.agent_type === 'Open vSwitch agent' || isChassis(a))
  for (const agent of l2) if (!network.has(agent.host)) nodes.add(agent.host)
  for (const view of inv.routers.values()) {
    for (const port of view.vms) if (port['binding:host_id']) nodes.add(port['binding:host_id'])
  }
  for (const [host, agent] of inv.l3Agents) {
    if (/^dvr(_no_external)?$/.test(String(setting(agent, 'agent_mode')))) nodes.add(host)
  }
  return nodes
}

function pool(inv: Inventory, external: ReadonlySet<string>) {
  const rows = inv.facts.availabilities.filter(a => external.has(a.network_id))
  const subnets = rows.flatMap(a => a.subnet_ip_availability ?? []).filter(s => s.ip_version === 4)
  if (subnets.length === 0) return {pool_total: null, pool_free: null}
  const total = sum(subnets.map(s => s.total_ips))
  return {pool_total: total, pool_free: Math.max(0, total - sum(subnets.map(s => s.used_ips)))}
}

function isOn(inv: Inventory, port: PortFact, networks: ReadonlySet<string>): boolean {
  return (port.fixed_ips ?? []).some(ip => networks.has(inv.subnets.get(ip.subnet_id)?.network_id ?? ''))
}

export interface Growth {
  readonly nodes: (now: number) => number
  readonly tenants: (now: number) => number
  readonly vms: (now: number) => number
}

const GROWS = ['nodes', 'tenants', 'vms'] as const
const LIMIT = 1_000_000

/**
 * Reads `nodes=x2,tenants=+50,vms=20000`: factors, increments and new totals.
 * @throws OsSshError USAGE
 */
export function parseGrowth(text: string): Growth {
  const found = new Map<string, (now: number) => number>()
  for (const part of text.split(',')) {
    const [, name = '', sign, digits] = part.trim().match(/^([a-z]+)=([x+]?)(\d{1,7}(?:\.\d{1,3})?)$/) ?? []
    if (!GROWS.some(known => known === name) || found.has(name)) {
      throw new OsSshError('USAGE', `"${part.trim().slice(0, 40)}" is not a growth`, {
        hint: 'for example: --growth nodes=x2,tenants=+50,vms=20000',
      })
    }
    const n = Number(digits)
    found.set(name, now => Math.min(LIMIT, Math.ceil(sign === 'x' ? now * n : sign === '+' ? now + n : n)))
  }
  const same = (now: number) => now
  return {
    nodes: found.get('nodes') ?? same,
    tenants: found.get('tenants') ?? same,
    vms: found.get('vms') ?? same,
  }
}

/**
 * The figures after a growth: routers grow with the tenants, VMs with the routers unless they are given, and pairs as
 * VMs would fill nodes at random, times how far today's placement is from random.
 */
export function grow(now: Quantities, growth: Growth): Quantities {
  const tenants = growth.tenants(now.tenants)
  const factor = tenants / Math.max(1, now.tenants)
  const routers = Math.ceil(now.routers * factor)
  const vms = growth.vms(Math.ceil(now.vms * factor))
  const share = vms / Math.max(1, now.vms * factor)
  const sample = now.router_vms.length
  const router_vms = Array.from({length: sample === 0 ? 0 : Math.min(LIMIT, routers)}, (_, i) =>
    Math.ceil((now.router_vms[i % sample] ?? 0) * share),
  )
  const nodes = now.nodes === null ? null : growth.nodes(now.nodes)
  const next = {
    ...now,
    tenants,
    routers,
    vms,
    nodes,
    router_vms,
    snat_vms: sum(router_vms),
    largest_router: largest(router_vms),
  }
  return {...next, ...spread(now, next, factor * share)}
}

function spread(now: Quantities, next: Quantities, vmFactor: number) {
  const {nodes} = next
  if (nodes === null || now.nodes === null) return {}
  const thinner = vmFactor * (now.nodes / Math.max(1, nodes))
  const scaled = (n: number | null, by: number) =>
    n === null ? null : Math.max(Math.min(1, n), Math.ceil(n * by))
  const bias = (real: number | null, expected: number) => (real ?? 0) / Math.max(1, expected)
  const pairs =
    expectedPairs(next.router_vms, nodes) * bias(now.pairs, expectedPairs(now.router_vms, now.nodes))
  const snatNodes = occupied(next.snat_vms, nodes) * bias(now.snat_nodes, occupied(now.snat_vms, now.nodes))
  return {
    pairs: Math.min(Math.ceil(pairs), next.routers * nodes, next.snat_vms),
    snat_nodes: Math.min(Math.ceil(snatNodes), nodes),
    fip_gateways: Math.ceil(now.fip_gateways * (nodes / Math.max(1, now.nodes))),
    crossing_vms: scaled(now.crossing_vms, vmFactor),
    largest_node: scaled(now.largest_node, thinner),
    largest_pair: scaled(now.largest_pair, thinner / Math.max(1, next.routers / Math.max(1, now.routers))),
    largest_gateway: scaled(now.largest_gateway, vmFactor),
  }
}

/** Nodes that hold at least one of `vms` placed at random on `nodes`. */
export function occupied(vms: number, nodes: number): number {
  return nodes <= 0 ? 0 : nodes === 1 ? Math.min(1, vms) : nodes * (1 - (1 - 1 / nodes) ** vms)
}

/** (node, router) pairs when the VMs of every router are placed at random. */
export function expectedPairs(routerVms: readonly number[], nodes: number): number {
  const counts = new Map<number, number>()
  for (const vms of routerVms) counts.set(vms, (counts.get(vms) ?? 0) + 1)
  return sum([...counts].map(([vms, times]) => times * occupied(vms, nodes)))
}

function bump(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by)
}

/** Not Math.max(...): ten thousand arguments are too many for some engines. */
function largest(values: Iterable<number>): number {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
