import type {Port} from '../openstack/index.ts'
import type {Inventory} from '../snat/inventory.ts'
import type {Reason} from '../snat/reasons.ts'
import type {LegPort, LocalGateway, Sharing} from './desired.ts'
import {externalOf} from './eligible.ts'
import {MAX_MEMBERS} from './names.ts'
import {memberOf, type NodePlan, planRouter} from './plan.ts'

/** What of the cloud concerns one node. */
export interface Survey {
  readonly inv: Inventory
  /** The ports that are legs here. */
  readonly legs: readonly Port[]
}

/** A local gateway that shall be on this node, whether its port is there or not. */
export interface Wanted extends Omit<LocalGateway, 'port'> {
  /** UUID of the external network. */
  readonly network: string
  readonly port: LegPort | undefined
}

export interface Desire {
  readonly gateways: readonly Wanted[]
  /** Why a router that has VMs here stays central. */
  readonly central: ReadonlyMap<string, Reason>
  /** Ports of ours that belong to nothing any more. */
  readonly spare: readonly string[]
}

/**
 * What shall be on a node. Pure.
 *
 * @param numbers of the members that are there already, by router: they keep them
 */
export function desire(
  {inv, legs}: Survey,
  host: string,
  sharing: Sharing,
  numbers: ReadonlyMap<string, number> = new Map(),
): Desire {
  const central = new Map<string, Reason>()
  const groups = new Map<string, {network: string; members: {router: string; plan: NodePlan}[]}>()
  for (const view of inv.routers.values()) {
    const router = view.router.id
    const {reason, nodes} = planRouter(inv, view)
    const plan = nodes.find(node => node.host === host)
    const why = reason ?? plan?.reason
    if (why !== undefined && view.vms.some(port => port['binding:host_id'] === host)) central.set(router, why)
    if (why !== undefined || plan === undefined) continue
    const network = externalOf(view)
    const id = sharing === 'per-router' ? router : network
    const group = groups.get(id) ?? {network, members: []}
    group.members.push({router, plan})
    groups.set(id, group)
  }
  const gateways = [...groups].map(([id, {network, members}]): Wanted => {
    const numbered = numberOf(members.map(({router}) => router).sort(), numbers)
    return {
      id,
      network,
      port: portOf(inv, legs, id, network),
      members: members.flatMap(({router, plan}) => {
        const [view, number] = [inv.routers.get(router), numbered.get(router)]
        if (number === undefined) central.set(router, 'too-many')
        return view && number ? [memberOf(inv, view, plan, number)] : []
      }),
    }
  })
  const used = new Set(gateways.flatMap(({port}) => port?.id ?? []))
  return {gateways, central, spare: legs.map(({id}) => id).filter(id => !used.has(id))}
}

/** A number for each, those that they have first. */
function numberOf(routers: readonly string[], have: ReadonlyMap<string, number>): Map<string, number> {
  const given = new Map<string, number>()
  const taken = new Set<number>()
  for (const router of routers) {
    const number = have.get(router)
    if (number === undefined || taken.has(number) || number > MAX_MEMBERS) continue
    given.set(router, number)
    taken.add(number)
  }
  // A way that drains still has its own.
  for (const number of have.values()) taken.add(number)
  let next = 1
  for (const router of routers) {
    if (given.has(router)) continue
    while (taken.has(next)) next++
    if (next > MAX_MEMBERS) break
    given.set(router, next)
    taken.add(next)
  }
  return given
}

/** The first by id where there are two: another one is spare. */
function portOf(inv: Inventory, legs: readonly Port[], id: string, network: string): LegPort | undefined {
  const all = legs.filter(port => port.device_id === id && port.network_id === network)
  for (const port of all.sort((a, b) => (a.id < b.id ? -1 : 1))) {
    for (const {ip_address: address, subnet_id} of port.fixed_ips) {
      const subnet = inv.subnets.get(subnet_id)
      if (subnet?.ip_version !== 4 || !subnet.gateway_ip) continue
      const prefix = Number(subnet.cidr.split('/')[1])
      return {id: port.id, mac: port.mac_address, address, prefix, gateway: subnet.gateway_ip}
    }
  }
  return undefined
}
