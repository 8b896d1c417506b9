import {nameOf} from '../names/brief.ts'
import type {RouterAgent} from '../openstack/index.ts'
import type {Facts} from './facts.ts'
import {type Inventory, inventory, type RouterView} from './inventory.ts'
import {explain, type Observed, type Step} from './modes.ts'
import type {LocalNode} from './nodes.ts'
import {externalNetwork, gatewaysOf, isNoNat, subnetsOf} from './observe.ts'
import type {Flag} from './place.ts'
import {decided, notesOf, type StatusRow, statusRow} from './status.ts'
import {floatingIpOf, type WayOut, wayOut} from './wayout.ts'

export interface Replica {
  readonly host: string
  readonly alive: boolean | null
  /** As VRRP reports it through /l3-agents; null when that was not asked or does not tell. */
  readonly state: string | null
}

export interface ExternalAddress {
  readonly ip_address: string
  readonly for: 'gateway' | 'floating IP' | 'floating IP agent' | 'local gateway'
  readonly network: string
  /** Free addresses left on its subnet; null when the API does not say. */
  readonly free: number | null
  readonly cost: string
}

export interface SubnetRow {
  readonly id: string
  readonly name: string
  readonly cidr: string
  readonly gateway_ip: string | null
  readonly nat: string
  readonly vms: number
}

export interface VmRow extends WayOut {
  readonly vm_id: string
  readonly vm: string
  readonly host: string | null
  readonly floating_ip: string | null
}

/** Everything on one router. */
export interface Detail {
  readonly router: StatusRow
  readonly seen: Observed
  readonly explain: readonly Step[]
  readonly replicas: readonly Replica[]
  readonly external: readonly ExternalAddress[]
  /** Its local gateways, a row a node. */
  readonly local_nodes: readonly LocalNode[]
  readonly subnets: readonly SubnetRow[]
  readonly vms: readonly VmRow[]
  readonly notes: readonly string[]
}

export interface ShowExtras {
  /** The answer of /routers/ID/l3-agents; the HA states are only there. */
  readonly agents?: readonly RouterAgent[]
  /** VM id -> name, from Nova. */
  readonly names?: ReadonlyMap<string, string>
}

/** One router in full. The id must be of the facts: see pick(). */
export function show(facts: Facts, routerId: string, extras: ShowExtras = {}): Detail {
  const inv = inventory(facts)
  const view = inv.routers.get(routerId)
  if (view === undefined) throw new Error('show() wants a router of the facts')
  const about = decided(inv, view)
  const replicas = replicasOf(inv, view, extras.agents)
  const row = statusRow(inv, about)
  const flags: readonly Flag[] =
    replicas.filter(r => r.state === 'active').length > 1 ? [...row.flags, 'two-actives'] : row.flags
  const vms = view.vms.map((port): VmRow => {
    const out = wayOut(inv, view, port, about.verdict)
    return {
      vm_id: port.device_id,
      vm: nameOf({id: port.device_id, name: extras.names?.get(port.device_id) ?? ''}),
      host: port['binding:host_id'] ?? null,
      floating_ip: floatingIpOf(inv, port, out.fixed_ip ?? '')?.floating_ip_address ?? null,
      ...out,
    }
  })
  vms.sort((a, b) => (a.vm < b.vm ? -1 : a.vm > b.vm ? 1 : a.vm_id < b.vm_id ? -1 : 1))
  return {
    router: {...row, flags},
    seen: about.seen,
    explain: explain(about.seen),
    replicas,
    external: externalAddresses(inv, view),
    local_nodes: row.local_nodes,
    subnets: subnetRows(inv, view),
    vms,
    notes: notesOf(inv),
  }
}

/** From /l3-agents where it was asked, else from the HA ports. */
function replicasOf(inv: Inventory, view: RouterView, agents: readonly RouterAgent[] | undefined): Replica[] {
  if (agents) {
    return agents.map(a => ({host: a.host, alive: a.alive ?? null, state: a.ha_state ?? null})).sort(byHost)
  }
  return view.ha
    .flatMap(port => port['binding:host_id'] || [])
    .map(host => ({host, alive: inv.l3Agents.get(host)?.alive ?? null, state: null}))
    .sort(byHost)
}

function byHost(a: Replica, b: Replica): number {
  return a.host < b.host ? -1 : a.host > b.host ? 1 : 0
}

/** Every external address that exists for the sake of this router, shared ones included, and what it costs. */
export function externalAddresses(inv: Inventory, view: RouterView): ExternalAddress[] {
  const free = freeBySubnet(inv)
  const network = (id: string | undefined) => (id === undefined ? '' : nameOf(inv.networks.get(id) ?? {id}))
  const external = externalNetwork(view)
  const entry = (
    ip: {subnet_id: string; ip_address: string},
    what: ExternalAddress['for'],
    cost: string,
    net = external,
  ) => ({
    ip_address: ip.ip_address,
    for: what,
    network: network(net),
    free: free.get(ip.subnet_id) ?? null,
    cost,
  })
  const gateways = gatewaysOf(view).flatMap(g =>
    g.external_fixed_ips.map(ip => entry(ip, 'gateway', 'one a router and external network', g.network_id)),
  )
  const hosts = hostsWith(inv, view)
  const isDvr = view.csnat.length > 0 || view.router.distributed === true
  const agents = inv.fipGateways
    .filter(
      port => isDvr && hosts.has(port['binding:host_id'] ?? '') && onNetwork(inv, port.fixed_ips, external),
    )
    .flatMap(port =>
      port.fixed_ips.map(ip =>
        entry(ip, 'floating IP agent', `shared by all routers on ${port['binding:host_id']}`),
      ),
    )
  const local = view.local.flatMap(port =>
    port.fixed_ips.map(ip =>
      entry(
        ip,
        'local gateway',
        port.device_id === view.router.id
          ? `one a router and node: ${port['binding:host_id'] ?? '?'}`
          : `shared by all routers on ${port['binding:host_id'] ?? '?'}`,
      ),
    ),
  )
  const floating = view.floatingIps.map(fip => ({
    ip_address: fip.floating_ip_address,
    for: 'floating IP' as const,
    network: network(fip.floating_network_id),
    free: null,
    cost: (fip.port_forwardings?.length ?? 0) > 0 ? 'shared by its port forwardings' : 'one a VM',
  }))
  return [...gateways, ...local, ...agents, ...floating]
}

/** Hosts where a distributed router is: with its gateway or a replica, and wherever a port is that it serves (VMs, DHCP, load balancers). */
function hostsWith(inv: Inventory, view: RouterView): ReadonlySet<string> {
  const subnets = new Set(view.interfaces.flatMap(port => (port.fixed_ips ?? []).map(ip => ip.subnet_id)))
  const served = inv.facts.ports.filter(port => (port.fixed_ips ?? []).some(ip => subnets.has(ip.subnet_id)))
  const all = [...view.gateways, ...view.csnat, ...view.ha, ...view.vms, ...served]
  return new Set(all.flatMap(port => port['binding:host_id'] || []))
}

function onNetwork(
  inv: Inventory,
  ips: readonly {subnet_id: string}[] | undefined,
  network: string | undefined,
): boolean {
  return (ips ?? []).some(ip => inv.subnets.get(ip.subnet_id)?.network_id === network)
}

/** Subnet -> addresses that can still be allocated. */
export function freeBySubnet(inv: Inventory): ReadonlyMap<string, number> {
  const rows = inv.facts.availabilities.flatMap(a => a.subnet_ip_availability ?? [])
  return new Map(rows.map(s => [s.subnet_id, Math.max(0, s.total_ips - s.used_ips)]))
}

function subnetRows(inv: Inventory, view: RouterView): SubnetRow[] {
  const translated =
    view.router.external_gateway_info !== null && view.router.external_gateway_info?.enable_snat !== false
  return subnetsOf(inv, view).map(subnet => ({
    id: subnet.id,
    name: nameOf(subnet),
    cidr: subnet.cidr,
    gateway_ip: subnet.gateway_ip,
    nat: natOf(subnet.ip_version === 6, isNoNat(inv, view, subnet.id), translated),
    vms: view.vms.filter(port => (port.fixed_ips ?? []).some(ip => ip.subnet_id === subnet.id)).length,
  }))
}

function natOf(ipv6: boolean, sameScope: boolean, translated: boolean): string {
  if (ipv6) return 'none (IPv6)'
  if (sameScope) return 'none (same address scope)'
  return translated ? 'SNAT' : 'none'
}
