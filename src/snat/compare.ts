import {OsSshError} from '../errors.ts'
import type {Quantities} from './measure.ts'

/** Ports that one address can give to one destination: all but the well-known ones. */
export const PORTS = 65_536 - 1024

/** How long Linux keeps a port of a closed connection (nf_conntrack_tcp_timeout_time_wait), seconds. */
export const TIME_WAIT = 120

/** Ports of one VM when they are shared out in ranges, unless told otherwise. */
export const DEFAULT_PORTS_PER_VM = 1024

/** One way to do SNAT, with this cloud's figures. Null: needs admin, or does not apply. */
export interface AlternativeRow {
  readonly alternative: string
  /** External addresses when every node has a VM of every router, and with today's placement. */
  readonly addresses_max: number | null
  readonly addresses_lazy: number | null
  /** Addresses that the pools would have to give beyond what is in use today, and whether they have them. */
  readonly addresses_extra: number | null
  readonly pool_free: number | null
  readonly fits: boolean | null
  readonly nat_layers: string
  /** Hosts crossed on the way out, and VMs that would cross one less than today. */
  readonly hops: string
  readonly hops_saved_vms: number | null
  /** What one failure or one blacklisted address takes with it, and how many VMs that are at most. */
  readonly blast_radius: string
  readonly blast_vms: number | null
  readonly source_address: string
  readonly on_failure: string
  /** Simultaneous connections of one VM to one destination (address, port, protocol) in the most crowded place. */
  readonly ports_per_vm: number | null
  /** New connections a second, sustained, to one destination, at which these ports run out (TIME_WAIT 120 s). */
  readonly rate_per_vm: number | null
}

/**
 * The alternatives of the 2017 posts and their successors, with the figures of a cloud.
 * @param portsPerVm for the one that shares out port ranges
 * @throws OsSshError USAGE
 */
export function compare(q: Quantities, portsPerVm = DEFAULT_PORTS_PER_VM): AlternativeRow[] {
  if (!Number.isInteger(portsPerVm) || portsPerVm < 1 || portsPerVm > PORTS) {
    throw new OsSshError('USAGE', `ports per VM are a number from 1 to ${PORTS}`)
  }
  return [central(q), perPair(q), edge(q), perNode(q), sharded(q, portsPerVm), floating(q), noNat(q)]
}

function central(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'central SNAT (DVR), as today',
    // DVR's gateway addresses for floating IPs are on its network nodes too: there may be more than N a network.
    addresses_max: plus(q.routers, atLeast(times(q.nodes, q.external_networks), q.fip_gateways)),
    addresses_lazy: q.routers + q.fip_gateways,
    addresses_extra: 0,
    nat_layers: '1',
    hops: '1',
    hops_saved_vms: 0,
    blast_radius: 'the network node: all its routers',
    blast_vms: q.largest_gateway,
    source_address: 'stable',
    on_failure: 'down, or VRRP/BFD takes over',
    ports_per_vm: share(q.largest_router),
  })
}

function perPair(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'per (router, node)',
    addresses_max: times(q.nodes, q.routers),
    addresses_lazy: q.pairs,
    addresses_extra: q.pairs,
    nat_layers: '1',
    hops: '0',
    hops_saved_vms: q.crossing_vms,
    blast_radius: 'one node; blacklisted: one tenant on one node',
    blast_vms: q.largest_pair,
    source_address: 'one a node, changes on migration',
    on_failure: 'own node only; falls back to central',
    ports_per_vm: share(q.largest_pair),
  })
}

function edge(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'per (router, node), edge NAT beyond',
    addresses_max: q.tenants,
    addresses_lazy: q.tenants,
    addresses_extra: 0,
    nat_layers: `2 (private: at most ${show(times(q.nodes, q.routers))}, lazily ${show(q.pairs)})`,
    hops: '0, then the edge',
    hops_saved_vms: q.crossing_vms,
    blast_radius: 'the edge: everybody',
    blast_vms: q.snat_vms,
    source_address: 'stable at the edge',
    on_failure: 'the edge is shared fate',
    ports_per_vm: share(q.largest_router),
  })
}

function perNode(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'per node, double NAT',
    addresses_max: q.nodes,
    addresses_lazy: q.snat_nodes,
    addresses_extra: q.snat_nodes,
    nat_layers: '2, logical',
    hops: '0',
    hops_saved_vms: q.crossing_vms,
    blast_radius: 'one node; blacklisted: all its tenants',
    blast_vms: q.largest_node,
    source_address: 'shared, changes on migration',
    on_failure: 'own node only',
    ports_per_vm: share(q.largest_node),
  })
}

function sharded(q: Quantities, portsPerVm: number): AlternativeRow {
  const lazy = shards(q.router_vms, portsPerVm)
  const idle = q.router_vms.filter(vms => vms === 0).length
  return row(q, {
    alternative: `port ranges, ${portsPerVm} a VM`,
    addresses_max: lazy + idle,
    addresses_lazy: lazy,
    addresses_extra: Math.max(0, lazy + idle - q.routers),
    nat_layers: '1',
    hops: '0 out; the way back needs steering by port',
    hops_saved_vms: q.crossing_vms,
    blast_radius: 'one router',
    blast_vms: q.largest_router,
    source_address: 'stable',
    on_failure: 'that VM only',
    ports_per_vm: portsPerVm,
  })
}

/** External addresses when every VM of a router has a range of its own: rounded up a router. */
export function shards(routerVms: readonly number[], portsPerVm: number): number {
  return routerVms.reduce((total, vms) => total + Math.ceil(vms / Math.floor(PORTS / portsPerVm)), 0)
}

function floating(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'a floating IP per VM',
    addresses_max: q.vms,
    addresses_lazy: q.vms,
    addresses_extra: q.snat_vms,
    nat_layers: '1:1',
    hops: '0',
    hops_saved_vms: q.crossing_vms,
    blast_radius: 'one VM',
    blast_vms: Math.min(1, q.vms),
    source_address: 'stable',
    on_failure: 'own node only',
    ports_per_vm: PORTS,
  })
}

function noNat(q: Quantities): AlternativeRow {
  return row(q, {
    alternative: 'no NAT (address scopes, BGP)',
    addresses_max: 0,
    addresses_lazy: 0,
    addresses_extra: 0,
    nat_layers: '0',
    hops: '0-1',
    hops_saved_vms: q.crossing_vms,
    blast_radius: '-',
    blast_vms: null,
    source_address: "the VM's own",
    on_failure: '-',
    ports_per_vm: PORTS,
  })
}

function row(
  q: Quantities,
  given: Omit<AlternativeRow, 'pool_free' | 'fits' | 'rate_per_vm'>,
): AlternativeRow {
  const {addresses_extra: extra, ports_per_vm: ports} = given
  return {
    ...given,
    pool_free: q.pool_free,
    fits: extra === 0 ? true : extra === null || q.pool_free === null ? null : extra <= q.pool_free,
    rate_per_vm: ports === null ? null : Math.round((ports / TIME_WAIT) * 10) / 10,
  }
}

/** The ports of one address among the VMs that share it. */
function share(vms: number | null): number | null {
  return vms === null ? null : Math.floor(PORTS / Math.max(1, vms))
}

function times(a: number | null, b: number): number | null {
  return a === null ? null : a * b
}

function atLeast(a: number | null, least: number): number | null {
  return a === null ? null : Math.max(a, least)
}

function plus(a: number, b: number | null): number | null {
  return b === null ? null : a + b
}

function show(n: number | null): string {
  return n === null ? '?' : String(n)
}
