import {
  type AgentFact,
  type Facts,
  type FloatingIpFact,
  LOCAL_SNAT,
  type NetworkFact,
  type PortFact,
  type RouterFact,
  type SubnetFact,
} from './facts.ts'
import {joinLegs, type Legs, legsOf} from './legs.ts'

/** A router with its ports sorted by what they are for. */
export interface RouterView {
  readonly router: RouterFact
  /** `network:router_gateway`: one for each external gateway; a plain member does not see it. */
  readonly gateways: PortFact[]
  /** Ports towards the tenant's subnets, of the three kinds Neutron has. */
  readonly interfaces: PortFact[]
  /** `network:router_centralized_snat`: DVR's legs in the SNAT namespace, one a subnet. */
  readonly csnat: PortFact[]
  /** `network:router_ha_interface`: one a VRRP replica. */
  readonly ha: PortFact[]
  /** `network:local_snat`: legs of local gateways, its own and those that it shares. That one is there does not say that it is in use. */
  readonly local: PortFact[]
  /** Ports of VMs whose default gateway this router is. */
  readonly vms: PortFact[]
  readonly floatingIps: FloatingIpFact[]
}

export type Backend = 'ovs' | 'ovn'

/** The facts, joined once: linear in the number of rows. */
export interface Inventory {
  readonly facts: Facts
  readonly routers: ReadonlyMap<string, RouterView>
  readonly subnets: ReadonlyMap<string, SubnetFact>
  readonly networks: ReadonlyMap<string, NetworkFact>
  /** subnet -> router that is its default gateway. */
  readonly defaultRouter: ReadonlyMap<string, RouterView>
  readonly floatingIpsOf: ReadonlyMap<string, readonly FloatingIpFact[]>
  readonly l3Agents: ReadonlyMap<string, AgentFact>
  readonly chassis: ReadonlyMap<string, AgentFact>
  /** `network:floatingip_agent_gateway`: one external address of DVR's a node and external network. */
  readonly fipGateways: readonly PortFact[]
  readonly legs: Legs
  /** subnet pool -> address scope; only pools that have one. */
  readonly scopes: ReadonlyMap<string, string>
  /** Routers whose SNAT Neutron writes a log of. */
  readonly logged: ReadonlySet<string>
  readonly aliases: ReadonlySet<string>
  /** Whether the API shows this account where things are bound (admin), or hides it (member). */
  readonly seesHosts: boolean
  /** Router ports whose router was gone, or not visible, when the routers were listed. */
  readonly orphans: number
}

const KINDS: Readonly<Record<string, 'gateways' | 'interfaces' | 'csnat' | 'ha'>> = {
  'network:router_gateway': 'gateways',
  'network:router_interface': 'interfaces',
  'network:router_interface_distributed': 'interfaces',
  'network:ha_router_replicated_interface': 'interfaces',
  'network:router_centralized_snat': 'csnat',
  'network:router_ha_interface': 'ha',
}

/** Whether a port belongs to a VM (or a bare-metal server). */
export function isVmPort(port: PortFact): boolean {
  const owner = port.device_owner ?? ''
  return owner.startsWith('compute:') || owner.startsWith('baremetal:')
}

/** Joins the listings. Rows that contradict each other (a listing is not a snapshot) are left out, never an error. */
export function inventory(facts: Facts): Inventory {
  const routers = new Map<string, RouterView>()
  for (const router of facts.routers) routers.set(router.id, emptyView(router))
  const fipGateways: PortFact[] = []
  const networks = new Map(facts.networks.map(n => [n.id, n]))
  let orphans = 0
  let seesHosts = facts.agents.length > 0
  for (const port of facts.ports) {
    if (port['binding:host_id'] !== undefined) seesHosts = true
    if (port.device_owner === 'network:floatingip_agent_gateway') fipGateways.push(port)
    if (port.device_owner === LOCAL_SNAT && !routers.has(port.device_id) && !networks.has(port.device_id))
      orphans++
    const kind = Object.hasOwn(KINDS, port.device_owner) ? KINDS[port.device_owner] : undefined
    if (kind === undefined) continue
    const view = routers.get(port.device_id)
    if (view) view[kind].push(port)
    else orphans++
  }
  const subnets = new Map(facts.subnets.map(s => [s.id, s]))
  const defaultRouter = defaultRouters(routers, subnets)
  for (const port of facts.ports) {
    if (isVmPort(port)) routersOf(port, defaultRouter).forEach(view => void view.vms.push(port))
  }
  const legs = giveLegs(facts, routers, subnets)
  return {
    facts,
    routers,
    subnets,
    defaultRouter,
    seesHosts,
    orphans,
    fipGateways,
    legs,
    networks,
    floatingIpsOf: joinFloatingIps(facts, routers),
    l3Agents: new Map(facts.agents.filter(a => a.agent_type === 'L3 agent').map(a => [a.host, a])),
    chassis: new Map(facts.agents.filter(isChassis).map(a => [a.host, a])),
    scopes: new Map(facts.subnetPools.flatMap(p => (p.address_scope_id ? [[p.id, p.address_scope_id]] : []))),
    logged: new Set(
      facts.logs.flatMap(log =>
        log.enabled && log.resource_type === 'snat' && log.resource_id ? [log.resource_id] : [],
      ),
    ),
    aliases: new Set(facts.extensions.map(e => e.alias)),
  }
}

/** `OVN Controller agent`, or `OVN Controller Gateway agent` where the release shows the difference. */
export function isChassis(agent: AgentFact): boolean {
  return typeof agent.agent_type === 'string' && agent.agent_type.startsWith('OVN Controller')
}

function emptyView(router: RouterFact): RouterView {
  return {router, gateways: [], interfaces: [], csnat: [], ha: [], local: [], vms: [], floatingIps: []}
}

/** Each router its legs: of those that are shared, a distributed router has the ones on its VMs' nodes. */
function giveLegs(
  facts: Facts,
  routers: ReadonlyMap<string, RouterView>,
  subnets: ReadonlyMap<string, SubnetFact>,
): Legs {
  const outside = ({router}: RouterView) => router.external_gateway_info?.network_id
  const external = new Set([...routers.values()].flatMap(view => outside(view) ?? []))
  const legs = joinLegs(facts.ports, subnets, external)
  if (legs.of.size === 0) return legs
  for (const view of routers.values()) {
    const hosts = new Set(view.vms.flatMap(port => port['binding:host_id'] || []))
    view.local.push(...legsOf(legs, view.router, hosts))
  }
  return legs
}

/** A subnet may hang on several routers; the VMs' packets go to the one that has the subnet's gateway address. */
function defaultRouters(routers: ReadonlyMap<string, RouterView>, subnets: ReadonlyMap<string, SubnetFact>) {
  const found = new Map<string, RouterView>()
  for (const view of routers.values()) {
    for (const port of view.interfaces) {
      for (const {subnet_id, ip_address} of port.fixed_ips ?? []) {
        const subnet = subnets.get(subnet_id)
        const owns = subnet === undefined || subnet.gateway_ip === ip_address
        if (owns || !found.has(subnet_id)) found.set(subnet_id, view)
      }
    }
  }
  return found
}

/** The routers of a VM port: nearly always none or one, two when its subnets of a network hang on different routers. */
function routersOf(port: PortFact, defaultRouter: ReadonlyMap<string, RouterView>): readonly RouterView[] {
  const ips = port.fixed_ips ?? []
  if (ips.length === 1) {
    const only = defaultRouter.get(ips[0]?.subnet_id ?? '')
    return only ? [only] : []
  }
  return [...new Set(ips.flatMap(ip => defaultRouter.get(ip.subnet_id) ?? []))]
}

function joinFloatingIps(facts: Facts, routers: ReadonlyMap<string, RouterView>) {
  const found = new Map<string, FloatingIpFact[]>()
  for (const fip of facts.floatingIps) {
    if (fip.router_id) routers.get(fip.router_id)?.floatingIps.push(fip)
    if (!fip.port_id) continue
    const same = found.get(fip.port_id)
    if (same) same.push(fip)
    else found.set(fip.port_id, [fip])
  }
  return found
}

/**
 * Which back end carries a router. Agents decide; without them (a plain member, no agents extension) the kinds of its
 * ports, then the extensions: only the agent-based L3 plug-in has `l3_agent_scheduler` without chassis priorities.
 */
export function backendOf(inv: Inventory, view: RouterView): Backend | null {
  const {l3Agents, chassis, aliases} = inv
  const ovsOnly =
    view.csnat.length + view.ha.length > 0 || view.interfaces.some(p => p.device_owner !== PLAIN)
  if (ovsOnly) return 'ovs'
  if (l3Agents.size > 0 && chassis.size > 0) {
    const host = view.gateways[0]?.['binding:host_id'] ?? ''
    // Both kinds of agents, as in a migration: the agent-based plug-in shows an admin both attributes, always.
    const {distributed, ha} = view.router
    if (host === '' && distributed === undefined && ha === undefined) return 'ovn'
    return chassis.has(host) && !l3Agents.has(host) ? 'ovn' : l3Agents.has(host) ? 'ovs' : null
  }
  if (l3Agents.size > 0) return 'ovs'
  if (chassis.size > 0) return 'ovn'
  if (aliases.has('l3-agent-scheduler-ha-chassis-priority')) return 'ovn'
  if (aliases.has('l3_agent_scheduler')) return 'ovs'
  return aliases.size > 0 && aliases.has('router') ? 'ovn' : null
}

/** `device_owner` of an interface that is neither distributed nor replicated. */
export const PLAIN = 'network:router_interface'

/** One entry of an agent's free-form `configurations`. */
export function setting(agent: AgentFact | undefined, key: string): unknown {
  return agent?.configurations?.[key]
}
