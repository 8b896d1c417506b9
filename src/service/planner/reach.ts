import {isIP} from 'node:net'

import type {Network, Port, Subnet} from '../../openstack/index.ts'
import type {Reach} from '../store/schema.ts'
import {contains, overlap} from './prefix.ts'

/** May a project go through routers from this network? Only where it is its own and nobody shares it. */
export const isOwn = (network: Network, projectId: string) =>
  network.project_id === projectId && !network.shared && !network['router:external']

/**
 * What a NIC on a network reaches: its own subnets on the link, and through the routers of `legs` those of other networks.
 *
 * @param legs interfaces of routers that may be used from here; none on a foreign or shared network
 * @param target the network that it is about: of two ways that exclude each other, its is kept
 */
export function reachFrom(
  from: string,
  target: string,
  subnets: readonly Subnet[],
  legs: readonly Port[],
): Reach[] {
  const link = subnets
    .filter(subnet => subnet.network_id === from)
    .map(subnet => ({network_id: from, cidr: subnet.cidr, via: null, subnet_id: subnet.id}))
  const routed = legs
    .filter(leg => leg.network_id === from)
    .flatMap(leg => behind(leg, subnets, legs))
    .sort((a, b) => Number(b.network_id === target) - Number(a.network_id === target))
  return disjoint(link, routed)
}

/** Subnets of other networks that the router of this leg is in, too. */
function behind(leg: Port, subnets: readonly Subnet[], legs: readonly Port[]): Reach[] {
  const others = legs.filter(
    other => other.device_id === leg.device_id && other.network_id !== leg.network_id,
  )
  const ids = new Set(others.flatMap(other => other.fixed_ips.map(ip => ip.subnet_id)))
  return subnets
    .filter(subnet => ids.has(subnet.id))
    .flatMap(subnet => {
      const via = leg.fixed_ips.find(ip => isIP(ip.ip_address) === subnet.ip_version)?.ip_address
      return via === undefined ? [] : [{network_id: subnet.network_id, cidr: subnet.cidr, via}]
    })
}

/**
 * The link's prefixes, and those routed ones that overlap neither the link's nor one before them: the kernel takes the
 * longest, so a router's owner could otherwise take over addresses of the link or of another network.
 */
function disjoint(link: readonly Reach[], routed: readonly Reach[]): Reach[] {
  const kept = [...link]
  for (const one of routed) if (!kept.some(other => overlap(other.cidr, one.cidr))) kept.push(one)
  return kept
}

/**
 * An attachment's reach with what is known now of the link and of the ways to one more network. What lies behind routers is
 * the attachment's owner's to say; others see the link only. Ways to other networks stay: paths use them.
 */
export function renewed(
  was: readonly Reach[],
  now: readonly Reach[],
  {target, byOwner}: {readonly target: string; readonly byOwner: boolean},
): Reach[] {
  const routed = (reach: readonly Reach[]) => reach.filter(one => one.via !== null)
  const others = routed(was).filter(one => !byOwner || one.network_id !== target)
  return disjoint(
    now.filter(one => one.via === null),
    byOwner ? [...others, ...routed(now)] : others,
  )
}

/** The entry of an attachment's reach by which this address of that network is reached. */
export function wayTo(
  reach: readonly Reach[],
  {network_id, address}: {readonly network_id: string; readonly address: string},
): Reach | undefined {
  return reach.find(one => one.network_id === network_id && contains(one.cidr, address))
}
