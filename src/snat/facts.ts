import {
  type Agent,
  type Compute,
  type Extension,
  type FloatingIp,
  type IpAvailability,
  isOfSession,
  type Network,
  type Networking,
  type NetworkLog,
  OpenStackError,
  type Port,
  type Router,
  type Subnet,
  type SubnetPool,
} from '../openstack/index.ts'
import {readHeartbeat} from './heartbeat.ts'

/*
 * The facts: ten listings at most, whatever the number of routers. `fields=` keeps an answer of
 * 100,000 ports at a fifth of its size; nothing is asked per router, because /routers/ID/l3-agents runs in a writer
 * transaction of Neutron's database.
 */

/** What is asked of each listing. */
export const FIELDS = {
  routers: [
    'id',
    'name',
    'project_id',
    'status',
    'admin_state_up',
    'external_gateway_info',
    'external_gateways',
    'distributed',
    'ha',
    'flavor_id',
    'routes',
    'conntrack_helpers',
  ],
  ports: ['id', 'device_id', 'device_owner', 'fixed_ips', 'status', 'binding:host_id', 'description'],
  agents: ['id', 'agent_type', 'host', 'alive', 'admin_state_up', 'configurations'],
  floatingIps: [
    'id',
    'floating_ip_address',
    'floating_network_id',
    'fixed_ip_address',
    'port_id',
    'router_id',
    'project_id',
    'port_forwardings',
  ],
  networks: ['id', 'name', 'router:external', 'provider:network_type', 'provider:physical_network'],
  subnets: ['id', 'name', 'network_id', 'ip_version', 'cidr', 'gateway_ip', 'subnetpool_id', 'service_types'],
  availabilities: ['network_id', 'network_name', 'subnet_ip_availability'],
  subnetPools: ['id', 'address_scope_id'],
  logs: ['id', 'resource_type', 'resource_id', 'enabled'],
} as const

/** What is asked of the logs: those that groups' rules write are no matter of a router's. */
export const SNAT_LOGS = {resource_type: 'snat', fields: FIELDS.logs}

/** Rows a page: 100,000 ports in one answer would be 40 MB of text in memory, and minutes in one request. */
const PAGE = 2000

export type RouterFact = Pick<Router, 'id' | 'name' | 'project_id' | 'external_gateway_info'> &
  Partial<Router>
export type PortFact = Pick<Port, 'id' | 'device_id' | 'device_owner' | 'fixed_ips'> & Partial<Port>
export type AgentFact = Pick<Agent, 'id' | 'agent_type' | 'host' | 'alive'> & Partial<Agent>
export type FloatingIpFact = Pick<
  FloatingIp,
  'id' | 'floating_ip_address' | 'floating_network_id' | 'port_id'
> &
  Partial<FloatingIp>
export type NetworkFact = Pick<Network, 'id' | 'name'> & Partial<Network>
export type SubnetFact = Pick<Subnet, 'id' | 'network_id' | 'ip_version' | 'cidr' | 'gateway_ip'> &
  Partial<Subnet>
export type AvailabilityFact = Pick<IpAvailability, 'network_id' | 'subnet_ip_availability'> &
  Partial<IpAvailability>
export type SubnetPoolFact = Pick<SubnetPool, 'id' | 'address_scope_id'> & Partial<SubnetPool>

export type ListingName = keyof typeof FIELDS | 'extensions'

/** A listing that did not come, and why: the extension is not there, the role may not, or Neutron failed. */
export interface Gap {
  readonly listing: ListingName
  readonly why: 'missing' | 'forbidden' | 'failed'
  readonly message: string
}

/** All that is known of a cloud; every other function of this room is a pure function of it. */
export interface Facts {
  /** When it was asked, ms since 1970: heartbeats have their age by this. */
  readonly at: number
  readonly extensions: readonly Pick<Extension, 'alias'>[]
  readonly routers: readonly RouterFact[]
  readonly ports: readonly PortFact[]
  readonly agents: readonly AgentFact[]
  readonly floatingIps: readonly FloatingIpFact[]
  readonly networks: readonly NetworkFact[]
  readonly subnets: readonly SubnetFact[]
  readonly availabilities: readonly AvailabilityFact[]
  readonly subnetPools: readonly SubnetPoolFact[]
  /** Of SNAT alone. */
  readonly logs: readonly NetworkLog[]
  readonly gaps: readonly Gap[]
}

/** No facts at all; tests and callers spread over it. */
export const NO_FACTS: Facts = {
  at: 0,
  extensions: [],
  routers: [],
  ports: [],
  agents: [],
  floatingIps: [],
  networks: [],
  subnets: [],
  availabilities: [],
  subnetPools: [],
  logs: [],
  gaps: [],
}

/** What the commands ask of a cloud: the listings, the states of one router's HA replicas, the names of VMs. */
export interface SnatCloud {
  readonly network: Pick<
    Networking,
    | 'routers'
    | 'ports'
    | 'agents'
    | 'floatingIps'
    | 'networks'
    | 'subnets'
    | 'subnetPools'
    | 'logs'
    | 'ipAvailabilities'
    | 'extensions'
    | 'routerAgents'
  >
  readonly compute: Pick<Compute, 'servers'>
  /** When a recording was made, ms since 1970; a cloud answers as of now. */
  readonly at?: number
}

/** What a question needs beside the rest: the free addresses cost Neutron a count over all allocations. */
export interface Wants {
  readonly availabilities?: boolean
  /** The time of these facts, ms since 1970; now by default. */
  readonly at?: number | undefined
}

/**
 * Reads the listings of a cloud, all at once; free addresses (when wanted) of the external networks alone, as soon as
 * the routers name them, and subnet pools only when a subnet comes from one.
 * A listing that is refused, missing or fails leaves a gap; without the routers there is nothing to say, so their
 * error, and one that concerns the account as a whole (401), is thrown.
 * @throws OpenStackError
 */
export async function gather(network: SnatCloud['network'], wants: Wants = {}): Promise<Facts> {
  const gaps: Gap[] = []
  const ask = <T>(listing: ListingName, answer: Promise<readonly T[]>) =>
    answer.catch((error: unknown): readonly T[] => {
      gaps.push(gapOf(listing, error))
      return []
    })
  const page = {limit: PAGE}
  const routers = network.routers({fields: FIELDS.routers, ...page})
  const extensions = ask('extensions', network.extensions())
  const subnets = ask('subnets', network.subnets({fields: FIELDS.subnets, ...page}))
  const [
    routerRows,
    extensionRows,
    ports,
    agents,
    floatingIps,
    networks,
    subnetRows,
    subnetPools,
    logs,
    availabilities,
  ] = await Promise.all([
    routers,
    extensions,
    ask('ports', network.ports({fields: FIELDS.ports, ...page})),
    ask('agents', network.agents({fields: FIELDS.agents})),
    ask('floatingIps', network.floatingIps({fields: FIELDS.floatingIps, ...page})),
    ask('networks', network.networks({fields: FIELDS.networks, ...page})),
    subnets,
    subnets.then(rows =>
      rows.some(s => s.subnetpool_id)
        ? ask('subnetPools', network.subnetPools({fields: FIELDS.subnetPools}))
        : [],
    ),
    extensions.then(rows =>
      rows.some(({alias}) => alias === 'logging') ? ask('logs', network.logs(SNAT_LOGS)) : [],
    ),
    wants.availabilities ? routers.then(rows => ask('availabilities', freeAddresses(network, rows))) : [],
  ])
  gaps.sort((a, b) => (a.listing < b.listing ? -1 : 1))
  return {
    at: wants.at ?? Date.now(),
    routers: routerRows,
    extensions: extensionRows,
    ports: withHeartbeats(ports),
    agents,
    floatingIps,
    networks,
    availabilities,
    subnets: subnetRows,
    subnetPools,
    logs,
    gaps,
  }
}

/** `device_owner` of the legs of local gateways: ours. */
export const LOCAL_SNAT = 'network:local_snat'

/** Of all descriptions of ports heartbeats alone: what people write of theirs is nothing that we need to hold, or to record. */
export function withHeartbeats(ports: readonly PortFact[]): readonly PortFact[] {
  return ports.map(port => {
    if (port.description === undefined) return port
    const {description, ...rest} = port
    return port.device_owner === LOCAL_SNAT && readHeartbeat(description) ? port : rest
  })
}

async function freeAddresses(
  network: SnatCloud['network'],
  routers: readonly RouterFact[],
): Promise<readonly AvailabilityFact[]> {
  const external = new Set<string>()
  for (const router of routers) {
    for (const gateway of [router.external_gateway_info, ...(router.external_gateways ?? [])]) {
      if (gateway?.network_id) external.add(gateway.network_id)
    }
  }
  if (external.size === 0) return []
  return network.ipAvailabilities({network_id: [...external], fields: FIELDS.availabilities})
}

/** @throws the error itself when it is not about this one listing */
function gapOf(listing: ListingName, error: unknown): Gap {
  if (!(error instanceof OpenStackError) || isOfSession(error.fault)) throw error
  const why = error.fault === 'not-found' ? 'missing' : error.fault === 'forbidden' ? 'forbidden' : 'failed'
  return {listing, why, message: error.message}
}

/** Whether the facts are incomplete through a failure (not through a role or an old release): the exit status tells. */
export function isPartial(facts: Facts): boolean {
  return facts.gaps.some(gap => gap.why === 'failed')
}

/** Undefined when Nova or the agents will not say: the names and states are an extra. */
export async function optional<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof OpenStackError && !isOfSession(error.fault)) return undefined
    throw error
  }
}
