/*
 * What a local gateway shall be on one node. It has one leg in an external network, and one member or many: of one router
 * alone (an address a router and node), or of all routers of the node that lead to this network (an address a node).
 */

/** How many addresses: one a router and node, or one a node and external network. */
export type Sharing = 'per-router' | 'per-node'

/** What a floating IP's port forwarding leads to. */
export interface Keep {
  readonly address: string
  readonly protocol: 'tcp' | 'udp'
  /** First and last; equal for one port. */
  readonly ports: readonly [number, number]
}

/** A router that leaves by the leg. */
export interface Member {
  /** UUID. */
  readonly router: string
  /** 1 to MAX_MEMBERS; its conntrack zone, mark and pair of addresses in the node. */
  readonly number: number
  /** The smallest MTU of its inner networks, bytes. */
  readonly mtu: number
  /** IPv4 addresses of the VMs that leave locally. */
  readonly locals: readonly string[]
  readonly keeps: readonly Keep[]
  /** Addresses of the router's ports in its SNAT namespace. */
  readonly central: readonly string[]
}

/** The Neutron port that the leg is. */
export interface LegPort {
  /** UUID. */
  readonly id: string
  readonly mac: string
  readonly address: string
  /** Length of its subnet's prefix, bits. */
  readonly prefix: number
  /** The external network's router. */
  readonly gateway: string
}

export interface LocalGateway {
  /** UUID of its only router, or of the external network. */
  readonly id: string
  readonly port: LegPort
  readonly members: readonly Member[]
}
