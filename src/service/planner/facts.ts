import {isIP} from 'node:net'

import {OsSshError} from '../../errors.ts'
import type {Network, OpenStack, Port, Server} from '../../openstack/index.ts'
import {isOfGate} from '../marks.ts'
import type {Reach} from '../store/schema.ts'
import {isOwn, reachFrom, wayTo} from './reach.ts'

/** An interface of the VM, as its own user sees it. */
export interface Nic {
  readonly network_id: string
  readonly address: string
  readonly groups: readonly string[]
}

/** A network that a gate could be plugged into to reach the VM. */
export interface Candidate {
  readonly network_id: string
  /** The network's owner. */
  readonly project_id: string
  readonly mtu: number
  readonly reach: readonly Reach[]
  /** Compute ports on it: the more, the more VMs one attachment serves without a router hop. */
  readonly vms: number
}

/** A network interface of the VM and the networks that a gate could be plugged into for it. */
export interface Way {
  readonly nic: Nic
  readonly options: readonly Candidate[]
}

/** What the user's own token saw of the VM when they asked: a path is placed by it, later and elsewhere too. */
export interface Facts {
  readonly nics: readonly Nic[]
  /** The VM's availability zone, where that is known. */
  readonly zone?: string | undefined
  /** Looked for only where no gate is plugged in already; absent when there is none. */
  readonly way?: Way | undefined
}

/** Device owners of a router's interfaces: centralized, distributed, highly available. */
export const ROUTER_INTERFACES = [
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

/**
 * The networks from which the VM's address can be reached: its own, and, when it is its project's own and nobody shares it,
 * those of the same project that share a router of that project with it. A router is anybody's to make, and who has one on
 * a shared network must not lead others' paths through it.
 *
 * @param projectId the VM's project
 */
export async function candidates(cloud: OpenStack, nic: Nic, projectId: string): Promise<Candidate[]> {
  const [near, own] = await Promise.all([
    cloud.network.networks({id: [nic.network_id]}),
    ownLegs(cloud, nic.network_id, projectId),
  ])
  const legs = near.some(network => isOwn(network, projectId)) ? own : []
  const far = [...new Set(legs.map(port => port.network_id))].filter(id => id !== nic.network_id)
  const ids = [nic.network_id, ...far]
  const [others, subnets, ports] = await Promise.all([
    far.length === 0 ? [] : cloud.network.networks({id: far}),
    cloud.network.subnets({network_id: ids}),
    cloud.network.ports({network_id: ids, fields: ['id', 'network_id', 'device_owner']}),
  ])
  const usable = [...near, ...others.filter(network => isOwn(network, projectId))]
  const passable = legs.filter(leg => usable.some(network => network.id === leg.network_id))
  return usable
    .filter(network => !network['router:external'])
    .map(network => ({
      ...ofNetwork(network),
      reach: reachFrom(network.id, nic.network_id, subnets, passable),
      vms: ports.filter(p => p.network_id === network.id && p.device_owner.startsWith('compute:')).length,
    }))
    .filter(candidate => wayTo(candidate.reach, nic) !== undefined)
}

/** The first interface that gates could be plugged in for, if any. */
export async function wayOf(
  cloud: OpenStack,
  nics: readonly Nic[],
  projectId: string,
): Promise<Way | undefined> {
  for (const nic of nics) {
    const options = await candidates(cloud, nic, projectId)
    if (options.length > 0) return {nic, options}
  }
  return undefined
}

/**
 * Networks that a gate's own way out leads to: those of its own interfaces, and the external ones of its project's routers there.
 * By the service's account and the gate's own ports: that a network is external says nothing, as any member can make theirs so
 * for another project (RBAC, access_as_external), with whatever prefix they like.
 *
 * @param plugged ports that are in the gate for tenants' sake
 */
export async function outsideOf(
  cloud: OpenStack,
  gate: {readonly server_id: string; readonly project_id: string},
  plugged: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const ports = await cloud.network.ports({device_id: gate.server_id})
  const own = ports.filter(
    port => !plugged.has(port.id) && (isOfGate(port) || !port.name.startsWith('os-ssh-')),
  )
  const near = own.map(port => port.network_id)
  if (near.length === 0) return new Set()
  const legs = await cloud.network.ports({network_id: near, device_owner: ROUTER_INTERFACES})
  const ids = [...new Set(legs.map(leg => leg.device_id))]
  const routers = ids.length === 0 ? [] : await cloud.network.routers({id: ids})
  const far = routers
    .filter(router => router.project_id === gate.project_id)
    .flatMap(router => router.external_gateway_info?.network_id ?? [])
  return new Set([...near, ...far])
}

const ofNetwork = ({id, project_id, mtu}: Network) => ({network_id: id, project_id, mtu})

/**
 * All interfaces of the project's routers that are on this network. The owner is the router's: an interface's port may be its
 * maker's.
 */
async function ownLegs(cloud: OpenStack, networkId: string, projectId: string): Promise<readonly Port[]> {
  const near = await cloud.network.ports({network_id: networkId, device_owner: ROUTER_INTERFACES})
  const ids = [...new Set(near.map(port => port.device_id))]
  if (ids.length === 0) return []
  const routers = await cloud.network.routers({id: ids})
  const own = routers.filter(router => router.project_id === projectId).map(router => router.id)
  return own.length === 0 ? [] : cloud.network.ports({device_id: own, device_owner: ROUTER_INTERFACES})
}
