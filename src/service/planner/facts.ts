import {isIP} from 'node:net'

import {OsSshError} from '../../errors.ts'
import type {OpenStack, Port, Server} from '../../openstack/index.ts'
import type {Reach} from '../store/schema.ts'

/** An interface of the VM, as its own user sees it. */
export interface Nic {
  readonly network_id: string
  readonly address: string
  readonly groups: readonly string[]
}

/** A network that a gate could be plugged into to reach the VM. */
export interface Candidate {
  readonly network_id: string
  readonly project_id: string
  readonly mtu: number
  readonly reach: readonly Reach[]
  /** Compute ports on it: the more, the more VMs one attachment serves without a router hop. */
  readonly vms: number
}

const ROUTER_INTERFACES = [
  'network:router_interface',
  'network:router_interface_distributed',
  'network:ha_router_replicated_interface',
] as const

/**
 * The VM's interfaces with an address, IPv4 first, read with the user's own token.
 *
 * @throws OsSshError VM_OFF, VM_NO_ADDRESS; OpenStackError
 */
export async function nicsOf(cloud: OpenStack, server: Server): Promise<Nic[]> {
  if (server.status !== 'ACTIVE')
    throw new OsSshError('VM_OFF', `the VM is ${server.status.replace(/[^A-Z_]/g, '?')}, not ACTIVE`)
  const ports = await cloud.network.ports({device_id: server.id})
  const nics = ports.flatMap(port => {
    const address = bestAddress(port)
    return address === undefined ? [] : [{network_id: port.network_id, address, groups: port.security_groups}]
  })
  if (nics.length === 0) throw new OsSshError('VM_NO_ADDRESS', 'the VM has no address on any network')
  return nics
}

/** IPv4 before IPv6: every VM image has it configured when the network has it. */
function bestAddress(port: Port): string | undefined {
  const addresses = port.fixed_ips.map(ip => ip.ip_address)
  return addresses.find(a => isIP(a) === 4) ?? addresses.find(a => isIP(a) === 6)
}

/** The networks from which the VM's network can be reached: itself, and those that share a router with it. */
export async function candidates(cloud: OpenStack, networkId: string): Promise<Candidate[]> {
  const near = await cloud.network.ports({network_id: networkId, device_owner: ROUTER_INTERFACES})
  const routers = [...new Set(near.map(port => port.device_id))]
  const legs =
    routers.length === 0
      ? []
      : await cloud.network.ports({device_id: routers, device_owner: ROUTER_INTERFACES})
  const networkIds = [...new Set([networkId, ...legs.map(port => port.network_id)])]
  const [networks, subnets, ports] = await Promise.all([
    cloud.network.networks({id: networkIds}),
    cloud.network.subnets({network_id: networkIds}),
    cloud.network.ports({network_id: networkIds, fields: ['id', 'network_id', 'device_owner']}),
  ])
  return networks
    .filter(network => !network['router:external'])
    .map(network => ({
      network_id: network.id,
      project_id: network.project_id,
      mtu: network.mtu,
      reach: reachFrom(network.id, networkId, subnets, legs),
      vms: ports.filter(p => p.network_id === network.id && p.device_owner.startsWith('compute:')).length,
    }))
    .filter(candidate => candidate.reach.some(reach => reach.network_id === networkId))
}

type Subnets = Awaited<ReturnType<OpenStack['network']['subnets']>>

/** What a NIC on network `from` reaches: its own subnets on the link, the others through a router both share. */
function reachFrom(from: string, target: string, subnets: Subnets, legs: readonly Port[]): Reach[] {
  const own = subnets
    .filter(subnet => subnet.network_id === from)
    .map(subnet => ({network_id: from, cidr: subnet.cidr, via: null}))
  const routed = legs
    .filter(leg => leg.network_id === from)
    .flatMap(leg =>
      legs
        .filter(other => other.device_id === leg.device_id && other.network_id !== from)
        .flatMap(other => subnets.filter(s => other.fixed_ips.some(ip => ip.subnet_id === s.id)))
        .flatMap(subnet => {
          const via = leg.fixed_ips.find(ip => isIP(ip.ip_address) === subnet.ip_version)?.ip_address
          return via === undefined ? [] : [{network_id: subnet.network_id, cidr: subnet.cidr, via}]
        }),
    )
  const seen = new Set<string>()
  // Two routers may join the same two networks, and two of ours may have equal prefixes: the first way wins,
  // the VM's own network before all others, or the gate would send its packets elsewhere.
  return [
    ...own,
    ...routed.sort((a, b) => Number(b.network_id === target) - Number(a.network_id === target)),
  ].filter(reach => !seen.has(reach.cidr) && seen.add(reach.cidr))
}
