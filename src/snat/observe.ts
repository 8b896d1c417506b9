import {backendOf, type Inventory, PLAIN, type RouterView, setting} from './inventory.ts'
import {localOn} from './local.ts'
import type {Observed} from './modes.ts'

/*
 * What is observed of a router, from what the API shows to this account. A plain member sees neither `distributed`
 * nor `ha`, but the kinds of the ports on its own networks give the same away.
 */

/** The attributes that decide the mode of a router. */
export function observe(inv: Inventory, view: RouterView): Observed {
  const {router} = view
  const backend = backendOf(inv, view)
  const distributed = distributedOf(view, backend)
  return {
    gateways: gatewaysOf(view).length,
    enable_snat: router.external_gateway_info?.enable_snat ?? null,
    flavor_id: router.flavor_id || null,
    backend,
    distributed,
    ha: haOf(view, backend, distributed),
    same_scope: sameScope(inv, view),
    central_fips: distributed === true && backend === 'ovs' ? centralFips(inv, view) : null,
    external_type: inv.networks.get(externalNetwork(view) ?? '')?.['provider:network_type'] ?? null,
    local_gateways: localHosts(inv, view),
  }
}

/** Nodes where new flows leave by a local gateway. */
function localHosts(inv: Inventory, view: RouterView): number {
  const hosts = new Set(view.local.flatMap(port => port['binding:host_id'] || []))
  return [...hosts].filter(host => localOn(inv, view, host)?.state === 'local').length
}

export interface GatewayFact {
  readonly network_id: string
  readonly external_fixed_ips: readonly {readonly subnet_id: string; readonly ip_address: string}[]
}

/** The external gateways of a router: `external_gateways` where the release has it, else the one of old. */
export function gatewaysOf(view: RouterView): readonly GatewayFact[] {
  const {external_gateways: many, external_gateway_info: one} = view.router
  const infos = Array.isArray(many) && many.length > 0 ? many : one ? [one] : []
  return infos.map((info, index) => ({
    network_id: info?.network_id ?? '',
    external_fixed_ips: info?.external_fixed_ips ?? view.gateways[index]?.fixed_ips ?? [],
  }))
}

/** The external network that SNAT goes to: the first gateway's. */
export function externalNetwork(view: RouterView): string | undefined {
  return gatewaysOf(view)[0]?.network_id
}

function distributedOf(view: RouterView, backend: Observed['backend']): boolean | null {
  const shown = view.router.distributed
  if (typeof shown === 'boolean') return shown
  if (
    view.csnat.length > 0 ||
    view.interfaces.some(p => p.device_owner === 'network:router_interface_distributed')
  ) {
    return true
  }
  // A port of another kind would be there if it were distributed; on OVN all interfaces look alike.
  return backend === 'ovs' && view.interfaces.length > 0 ? false : null
}

function haOf(view: RouterView, backend: Observed['backend'], distributed: boolean | null): boolean | null {
  const shown = view.router.ha
  if (typeof shown === 'boolean') return shown
  const replicated = view.interfaces.some(p => p.device_owner === 'network:ha_router_replicated_interface')
  if (replicated || view.ha.length > 0) return true
  const plain = view.interfaces.some(p => p.device_owner === PLAIN)
  return backend === 'ovs' && distributed === false && plain ? false : null
}

/** The address scope that a subnet's pool is in, if any. */
export function scopeOf(inv: Inventory, subnetId: string): string | undefined {
  return inv.scopes.get(inv.subnets.get(subnetId)?.subnetpool_id ?? '')
}

/** Whether packets of an IPv4 subnet leave through this router's gateway without translation. */
export function isNoNat(inv: Inventory, view: RouterView, subnetId: string): boolean {
  const scope = scopeOf(inv, subnetId)
  if (scope === undefined) return false
  return (gatewaysOf(view)[0]?.external_fixed_ips ?? []).some(ip => scopeOf(inv, ip.subnet_id) === scope)
}

function sameScope(inv: Inventory, view: RouterView): Observed['same_scope'] {
  if (inv.scopes.size === 0) return inv.facts.gaps.some(g => g.listing === 'subnetPools') ? null : 'none'
  const subnets = subnetsOf(inv, view).filter(s => s.ip_version === 4)
  const same = subnets.filter(s => isNoNat(inv, view, s.id)).length
  return same === 0 ? 'none' : same === subnets.length ? 'all' : 'some'
}

/** The subnets that a router's interfaces are on, as far as they are listed. */
export function subnetsOf(inv: Inventory, view: RouterView) {
  const ids = new Set(view.interfaces.flatMap(p => (p.fixed_ips ?? []).map(ip => ip.subnet_id)))
  return [...ids].flatMap(id => inv.subnets.get(id) ?? [])
}

/** Agent mode of the L3 agent on a host; undefined when there is none, or agents are not shown. */
export function agentMode(inv: Inventory, host: string): string | undefined {
  const mode = setting(inv.l3Agents.get(host), 'agent_mode')
  return typeof mode === 'string' ? mode : undefined
}

/** The VM hosts decide for routers whose VMs have no floating IP yet: where would one be translated? */
function centralFips(inv: Inventory, view: RouterView): Observed['central_fips'] {
  if (!inv.seesHosts || inv.l3Agents.size === 0) return null
  const withFip = view.vms.filter(p => inv.floatingIpsOf.has(p.id))
  const ports = withFip.length > 0 ? withFip : view.vms.filter(p => p['binding:host_id'])
  const central = ports.filter(p => !isLocalFipHost(inv, p['binding:host_id'] ?? '')).length
  return central === 0 ? 'none' : central === ports.length ? 'all' : 'some'
}

/** Whether DVR translates floating IPs on this host itself. */
export function isLocalFipHost(inv: Inventory, host: string): boolean {
  const mode = agentMode(inv, host)
  return mode === 'dvr' || mode === 'dvr_snat'
}
