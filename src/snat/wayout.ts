import type {FloatingIpFact, PortFact} from './facts.ts'
import {type Inventory, type RouterView, setting} from './inventory.ts'
import {localOn} from './local.ts'
import type {Mode, Verdict} from './modes.ts'
import {agentMode, externalNetwork, gatewaysOf, isLocalFipHost, isNoNat} from './observe.ts'

/** What happens to the packets of a VM on their way out. */
export type Kind =
  | 'none'
  | 'unknown'
  /** Source address translated on the gateway host. */
  | 'snat'
  /** Crosses the gateway host with the VM's own address. */
  | 'routed'
  /** Leaves from the VM's own host with the VM's own address. */
  | 'routed-local'
  /** Floating IP, translated in the router's namespace on the gateway host, or in its SNAT namespace. */
  | 'fip-central'
  /** Floating IP, translated on the VM's own host. */
  | 'fip-local'
  /** Source address translated by a local gateway on the VM's own host. */
  | 'snat-local'

export interface WayOut {
  readonly kind: Kind
  /** central: crosses the gateway host; bypass: leaves from the VM's own host. */
  readonly way: 'central' | 'bypass' | 'unknown' | 'none'
  readonly why: string
  /** The address the outside sees; null when there is none or it is not known. */
  readonly source_ip: string | null
  /** The fixed IP that goes this way. */
  readonly fixed_ip: string | null
}

const WAY: Readonly<Record<Kind, WayOut['way']>> = {
  none: 'none',
  unknown: 'unknown',
  snat: 'central',
  routed: 'central',
  'fip-central': 'central',
  'routed-local': 'bypass',
  'fip-local': 'bypass',
  'snat-local': 'bypass',
}

type Answer = readonly [kind: Kind, why: string, source?: string | null]

/** The way out of one VM port through the router that is its default gateway, and why it is that one. */
export function wayOut(inv: Inventory, view: RouterView, port: PortFact, verdict: Verdict): WayOut {
  const ip = addressVia(inv, view, port)
  const [kind, why, source] = answer(inv, view, port, verdict, ip)
  return {kind, way: WAY[kind], why, source_ip: source ?? null, fixed_ip: ip?.ip_address ?? null}
}

/** The port's address that this router serves, IPv4 before IPv6. */
function addressVia(inv: Inventory, view: RouterView, port: PortFact) {
  const ips = (port.fixed_ips ?? []).filter(ip => inv.defaultRouter.get(ip.subnet_id) === view)
  return ips.find(ip => !ip.ip_address.includes(':')) ?? ips[0]
}

function answer(
  inv: Inventory,
  view: RouterView,
  port: PortFact,
  {carrier}: Verdict,
  ip: PortFact['fixed_ips'][number] | undefined,
): Answer {
  if (ip === undefined) return ['none', 'no subnet of it uses this router as its gateway']
  if (carrier === 'no-gateway') return ['none', 'the router has no external gateway']
  const fip = floatingIpOf(inv, port, ip.ip_address)
  if (carrier === 'custom') return ['unknown', "the router's flavor has a driver of its own"]
  if (carrier === 'unknown') return ['unknown', 'the mode of the router is not shown to this account']
  if (fip) return withFloatingIp(inv, view, port, carrier, fip)
  const own = ip.ip_address
  const distributed = carrier.startsWith('dvr')
  const host = port['binding:host_id'] ?? ''
  if (own.includes(':')) return ['routed', 'IPv6 is not translated; it crosses the gateway host', own]
  if (isNoNat(inv, view, ip.subnet_id)) {
    if (distributed && isLocalFipHost(inv, host)) {
      return [
        'routed-local',
        'its subnet is in the address scope of the external network; DVR routes it locally',
        own,
      ]
    }
    return ['routed', 'its subnet is in the address scope of the external network: no translation', own]
  }
  if (view.router.external_gateway_info?.enable_snat === false) {
    return ['routed', 'SNAT is off on this router: it crosses the gateway host with its own address', own]
  }
  const local = distributed ? localOn(inv, view, host) : undefined
  if (local?.state === 'local') {
    const replies = hasForwarding(view, own) ? '; replies of its forwarded ports stay central' : ''
    return ['snat-local', `${local.why}${replies}`, local.leg?.fixed_ips?.[0]?.ip_address ?? null]
  }
  return ['snat', withoutFloatingIp(view, carrier, host), snatIp(view)]
}

function withoutFloatingIp(view: RouterView, carrier: Mode, host: string): string {
  const here = host !== '' && view.gateways.some(p => p['binding:host_id'] === host)
  const why = carrier.startsWith('dvr')
    ? 'no floating IP: DVR redirects it to the SNAT namespace'
    : 'all traffic of this router to the outside crosses its gateway host'
  return here ? `${why}, which is on the VM's own host` : why
}

function withFloatingIp(
  inv: Inventory,
  view: RouterView,
  port: PortFact,
  carrier: Mode,
  fip: FloatingIpFact,
): Answer {
  const address = fip.floating_ip_address
  if (carrier.startsWith('dvr')) return dvrFloatingIp(inv, port, address)
  if (carrier === 'ovn-central') return ovnFloatingIp(inv, view, port, address)
  if (carrier === 'ovn-pinned')
    return ['fip-central', 'the external network is tunnelled: no distributed floating IPs', address]
  return [
    'fip-central',
    'a router that is not distributed translates floating IPs on its gateway host',
    address,
  ]
}

function dvrFloatingIp(inv: Inventory, port: PortFact, address: string): Answer {
  const host = port['binding:host_id']
  if (host === undefined)
    return ['unknown', 'has a floating IP; where it is translated needs admin to see', address]
  if (host === '')
    return [
      'fip-central',
      'its port is not bound to a host: the floating IP is in the SNAT namespace',
      address,
    ]
  if (inv.l3Agents.size === 0) return ['unknown', 'has a floating IP; the agents are not listed', address]
  const mode = agentMode(inv, host)
  if (isLocalFipHost(inv, host))
    return ['fip-local', `has a floating IP, and the agent on ${host} is ${mode}`, address]
  if (mode === undefined)
    return ['fip-central', `has a floating IP, but there is no L3 agent on ${host}`, address]
  return ['fip-central', `has a floating IP, but the agent on ${host} is ${mode}`, address]
}

function ovnFloatingIp(inv: Inventory, view: RouterView, port: PortFact, address: string): Answer {
  const {distributed} = view.router
  if (distributed === false) return ['fip-central', 'distributed floating IPs are off', address]
  const host = port['binding:host_id']
  if (host === undefined)
    return ['unknown', 'has a floating IP; where it is translated needs admin to see', address]
  const physnet = inv.networks.get(externalNetwork(view) ?? '')?.['provider:physical_network']
  const mapped = physnets(inv, host)
  if (physnet && mapped.length > 0 && !mapped.includes(physnet)) {
    return ['fip-central', `has a floating IP, but ${host} has no bridge to ${physnet}`, address]
  }
  if (distributed === true && physnet && mapped.includes(physnet)) {
    return ['fip-local', `distributed floating IPs are on, and ${host} has a bridge to ${physnet}`, address]
  }
  return ['unknown', 'has a floating IP; whether OVN distributes it is not in this API', address]
}

/** Physical networks that a chassis has a bridge for; empty also when the release does not show it. */
export function physnets(inv: Inventory, host: string): readonly string[] {
  const shown = setting(inv.chassis.get(host), 'bridge-mappings')
  return typeof shown === 'string' && shown !== ''
    ? shown.split(',').map(pair => pair.split(':')[0]?.trim() ?? '')
    : []
}

/** The floating IP of a fixed address, one made for the whole port included. */
export function floatingIpOf(inv: Inventory, port: PortFact, fixedIp: string): FloatingIpFact | undefined {
  return inv.floatingIpsOf.get(port.id)?.find(f => !f.fixed_ip_address || f.fixed_ip_address === fixedIp)
}

function hasForwarding(view: RouterView, fixedIp: string): boolean {
  return view.floatingIps.some(fip =>
    (fip.port_forwardings ?? []).some(
      f => (f as {internal_ip_address?: unknown} | null)?.internal_ip_address === fixedIp,
    ),
  )
}

/** The IPv4 address that central SNAT puts in, or null. */
export function snatIp(view: RouterView): string | null {
  const ips = (gatewaysOf(view)[0]?.external_fixed_ips ?? []).map(ip => ip?.ip_address ?? '')
  return ips.find(ip => ip.includes('.')) ?? null
}
