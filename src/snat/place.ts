import type {AgentFact} from './facts.ts'
import {type Inventory, isChassis, type RouterView} from './inventory.ts'
import type {Observed, Verdict} from './modes.ts'
import {externalNetwork, gatewaysOf, subnetsOf} from './observe.ts'
import {physnets} from './wayout.ts'

/**
 * stale: the agent on the gateway host is not alive. unbound: the gateway port has no host. single-replica: ha, and
 * fewer than two replicas live. two-actives: VRRP split, seen through /l3-agents only. no-snat-port: distributed, and
 * the ports in the SNAT namespace are missing. no-gateway-port: the gateway's port is gone.
 */
export type Flag = 'stale' | 'unbound' | 'single-replica' | 'two-actives' | 'no-snat-port' | 'no-gateway-port'

/** Where a router's packets cross, and how well that would survive. Null: not known to this account. */
export interface Place {
  /** Usually one; one a gateway port when multihomed. Empty: unbound, or no gateway. */
  readonly hosts: readonly string[] | null
  readonly alive: boolean | null
  readonly replicas_live: number | null
  readonly replicas_total: number | null
  /** Whether the loss of one host cuts the VMs that have no way around it. */
  readonly spof: boolean | null
  readonly flags: readonly Flag[]
  readonly notes: readonly string[]
}

const NOWHERE: Place = {
  hosts: [],
  alive: null,
  replicas_live: null,
  replicas_total: null,
  spof: false,
  flags: [],
  notes: [],
}

/** OVN keeps at most five chassis in a gateway's group (neutron ovn_const.MAX_GW_CHASSIS). */
const MAX_CHASSIS = 5

/** Place and health of a router's gateway. */
export function place(inv: Inventory, view: RouterView, seen: Observed, {carrier}: Verdict): Place {
  if (carrier === 'no-gateway') return NOWHERE
  if (!inv.seesHosts) return {...NOWHERE, hosts: null, spof: null, notes: ['host and replicas need admin']}
  const hosts = hostsOf(view)
  const flags: Flag[] = []
  const listed = !inv.facts.gaps.some(gap => gap.listing === 'ports')
  if (listed && view.gateways.length < gatewaysOf(view).length) flags.push('no-gateway-port')
  else if (listed && hosts.length === 0 && carrier !== 'ovn-pinned') flags.push('unbound')
  const agents = hosts.map(host => agentOn(inv, host, seen))
  const alive =
    hosts.length === 0 || inv.facts.agents.length === 0 ? null : agents.every(a => a?.alive === true)
  if (alive === false && carrier !== 'custom') flags.push('stale')
  const rest = carrier.startsWith('ovn') ? ovn(inv, view, carrier) : ovs(inv, view, carrier, agents)
  if (carrier.startsWith('dvr') && listed && lacksSnatPorts(inv, view)) flags.push('no-snat-port')
  if (seen.ha === true && !carrier.startsWith('ovn') && rest.live !== null && rest.live < 2)
    flags.push('single-replica')
  return {
    hosts,
    alive,
    replicas_live: rest.live,
    replicas_total: rest.total,
    spof: rest.spof,
    flags,
    notes: rest.notes,
  }
}

/** Hosts of the gateway ports; where these are unbound, DVR's SNAT ports tell. */
export function hostsOf(view: RouterView): readonly string[] {
  const bound = view.gateways.flatMap(p => p['binding:host_id'] || [])
  return [...new Set(bound.length > 0 ? bound : view.csnat.flatMap(p => p['binding:host_id'] || []))]
}

function agentOn(inv: Inventory, host: string, seen: Observed): AgentFact | undefined {
  return seen.backend === 'ovn' ? inv.chassis.get(host) : (inv.l3Agents.get(host) ?? inv.chassis.get(host))
}

interface Redundancy {
  readonly live: number | null
  readonly total: number | null
  readonly spof: boolean | null
  readonly notes: readonly string[]
}

function ovs(
  inv: Inventory,
  view: RouterView,
  carrier: string,
  agents: readonly (AgentFact | undefined)[],
): Redundancy {
  if (carrier === 'custom' || carrier === 'unknown') return {live: null, total: null, spof: null, notes: []}
  const ha = carrier.endsWith('-ha') || view.ha.length > 0
  const unlisted = inv.facts.agents.length === 0
  if (!ha) {
    const live = unlisted ? null : agents.filter(a => a?.alive === true).length
    return {live, total: agents.length, spof: true, notes: unlisted ? ['agents are not listed'] : []}
  }
  const replicas = [...new Set(view.ha.flatMap(p => p['binding:host_id'] || []))]
  const live = unlisted ? null : replicas.filter(host => inv.l3Agents.get(host)?.alive === true).length
  const notes = unlisted ? ['agents are not listed'] : replicas.length === 0 ? ['no HA port is bound'] : []
  return {live, total: replicas.length, spof: live === null ? null : live < 2, notes}
}

/**
 * On OVN `ha` is always true and says nothing. Gateway chassis are marked in the agent type, but with no chassis marked
 * every one is eligible, and some pairs of Neutron and OVN (Debian 12's) never show the mark.
 */
function ovn(inv: Inventory, view: RouterView, carrier: string): Redundancy {
  if (carrier === 'ovn-pinned')
    return {live: null, total: null, spof: null, notes: ['the host is not in the API']}
  const chassis = inv.facts.agents.filter(isChassis)
  const marked = chassis.filter(a => a.agent_type.includes('Gateway'))
  const physnet = inv.networks.get(externalNetwork(view) ?? '')?.['provider:physical_network']
  const pool = marked.length > 0 ? marked : chassis
  const mapped = physnet ? pool.filter(a => physnets(inv, a.host).includes(physnet)) : []
  const eligible = mapped.length > 0 ? mapped : pool
  const live = eligible.filter(a => a.alive === true).length
  const total = Math.min(MAX_CHASSIS, eligible.length)
  const shown = Math.min(live, total)
  if (marked.length > 0) return {live: shown, total, spof: live < 2, notes: []}
  return {
    live: shown,
    total,
    spof: live < 2 ? true : null,
    notes: ['no chassis is marked as a gateway: any may be one'],
  }
}

function lacksSnatPorts(inv: Inventory, view: RouterView): boolean {
  if (view.router.external_gateway_info?.enable_snat === false || view.csnat.length > 0) return false
  return subnetsOf(inv, view).some(s => s.ip_version === 4)
}
