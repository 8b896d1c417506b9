import ipaddr from 'ipaddr.js'

import {OsSshError} from '../errors.ts'
import {nameOf, shortId} from '../names/brief.ts'
import {plain, shortened} from '../names/plain.ts'
import type {Facts, PortFact} from './facts.ts'
import {type Inventory, inventory, isVmPort, type RouterView} from './inventory.ts'
import type {Mode} from './modes.ts'
import {localNodes} from './nodes.ts'
import {subnetsOf} from './observe.ts'
import {type Hop, pathOf} from './path.ts'
import {type Decided, decided, notesOf} from './status.ts'
import {type Kind, type WayOut, wayOut} from './wayout.ts'

/** The way of a VM's packets to the outside. */
export interface Trace {
  readonly vm_id: string
  readonly vm: string
  readonly fixed_ip: string | null
  readonly to: string | null
  readonly router_id: string | null
  readonly router: string | null
  readonly mode: Mode | null
  readonly kind: Kind | 'inside'
  readonly why: string
  /** The address that the other side sees. */
  readonly source_ip: string | null
  /** Where the router's SNAT is, whether this packet passes it or not; null when unknown. */
  readonly gateway_host: string | null
  /** Hosts crossed between the VM's own and the outside; null when this account does not see the hosts. */
  readonly inter_host_hops: number | null
  readonly hops: readonly Hop[]
  readonly notes: readonly string[]
}

export interface TraceOptions {
  /** Destination; the outside at large when absent. */
  readonly to?: string
  /** The VM's name, when Nova told it. */
  readonly name?: string
}

/**
 * The hops from a VM to the outside, or to an address.
 * @param vm UUID of the VM, or one of its fixed or floating addresses
 * @throws OsSshError NOT_FOUND, AMBIGUOUS (an address that several VMs have), USAGE for a wrong address
 */
export function trace(facts: Facts, vm: string, options: TraceOptions = {}): Trace {
  const to = options.to === undefined ? null : parseAddress(options.to)
  const inv = inventory(facts)
  const ports = portsOfVm(inv, vm)
  const routes = ports.flatMap(port => routeOf(inv, port))
  const [best] = routes.sort((a, b) => Number(a.out.way === 'none') - Number(b.out.way === 'none'))
  const first = ports[0]
  if (first === undefined) throw new Error('portsOfVm() finds one at least')
  const name = nameOf({id: first.device_id, name: options.name ?? ''})
  const about = {vm_id: first.device_id, vm: name, to, notes: notesFor(inv, ports, best)}
  if (best === undefined) return {...about, ...nowhere(first)}
  return {...about, ...along(inv, best, name, to)}
}

interface Route {
  readonly port: PortFact
  readonly about: Decided
  readonly out: WayOut
}

function routeOf(inv: Inventory, port: PortFact): Route[] {
  const views = new Set((port.fixed_ips ?? []).flatMap(ip => inv.defaultRouter.get(ip.subnet_id) ?? []))
  return [...views].map(view => {
    const about = decided(inv, view)
    return {port, about, out: wayOut(inv, view, port, about.verdict)}
  })
}

function nowhere(port: PortFact) {
  return {
    fixed_ip: port.fixed_ips?.[0]?.ip_address ?? null,
    router_id: null,
    router: null,
    mode: null,
    gateway_host: null,
    kind: 'none' as const,
    why: 'no router is the gateway of any network of this VM (or you may not see it)',
    source_ip: null,
    inter_host_hops: 0,
    hops: [],
  }
}

function along(inv: Inventory, {port, about, out}: Route, vm: string, to: string | null) {
  const {view, verdict} = about
  const base = {
    fixed_ip: out.fixed_ip,
    router_id: view.router.id,
    router: nameOf(view.router),
    mode: verdict.mode,
    gateway_host: about.place.hosts?.[0] ?? null,
  }
  const inside = to === null ? undefined : insideOf(inv, view, to)
  if (inside) {
    return {
      ...base,
      kind: 'inside' as const,
      why: inside,
      source_ip: out.fixed_ip,
      inter_host_hops: 0,
      hops: [],
    }
  }
  const hops = pathOf(inv, about, port, out, vm)
  return {
    ...base,
    kind: out.kind,
    why: out.why,
    source_ip: out.source_ip,
    inter_host_hops: crossed(hops),
    hops,
  }
}

function crossed(hops: readonly Hop[]): number | null {
  const hosts = hops.map(hop => hop.host).filter(host => host !== null)
  if (hosts.includes('?')) return null
  return hosts.filter((host, index) => index > 0 && host !== hosts[index - 1]).length
}

/** Why a destination is not outside at all: on a subnet of the router, or behind one of its extra routes. */
function insideOf(inv: Inventory, view: RouterView, to: string): string | undefined {
  const subnet = subnetsOf(inv, view).find(s => contains(s.cidr, to))
  if (subnet)
    return `${to} is on subnet ${nameOf(subnet)} (${subnet.cidr}) of the same router: routed, never translated`
  const internal = subnetsOf(inv, view)
  const routes = (view.router.routes ?? []).filter(r => contains(r?.destination, to))
  const best = routes.sort((a, b) => lengthOf(b.destination) - lengthOf(a.destination))[0]
  if (best && internal.some(s => contains(s.cidr, best.nexthop))) {
    return `an extra route of the router sends ${plain(best.destination)} to ${plain(best.nexthop)}, not to the gateway`
  }
  return undefined
}

function notesFor(inv: Inventory, ports: readonly PortFact[], best: Route | undefined): string[] {
  const notes = notesOf(inv)
  if (ports.length > 1 && best) {
    notes.push(
      `the VM has ${ports.length} ports; this is the way through ${best.out.fixed_ip ?? shortId(best.port.id)}`,
    )
  }
  if (best) notes.push(...best.about.place.flags.map(flag => `router: ${flag}`), ...whyCentral(inv, best))
  return notes
}

/** How a note begins that says why a VM takes the central way. */
export const NOT_LOCAL = 'not by a local gateway: '

/** Why a VM of a router with local gateways takes the central way all the same. */
function whyCentral(inv: Inventory, {port, about, out}: Route): string[] {
  if (out.kind !== 'snat') return []
  const here = localNodes(inv, about.view, about.verdict).find(node => node.host === port['binding:host_id'])
  return here ? [`${NOT_LOCAL}${here.why}`] : []
}

/** The ports of a VM named by UUID or address. @throws OsSshError NOT_FOUND, AMBIGUOUS */
export function portsOfVm(inv: Inventory, word: string): readonly PortFact[] {
  const vmPorts = inv.facts.ports.filter(isVmPort)
  const own = vmPorts.filter(port => port.device_id === word)
  if (own.length > 0) return own
  const fip = inv.facts.floatingIps.find(f => f.floating_ip_address === word)
  const byAddress = vmPorts.filter(
    port => (fip && port.id === fip.port_id) || (port.fixed_ips ?? []).some(ip => ip.ip_address === word),
  )
  if (byAddress.length === 1) return byAddress
  if (byAddress.length === 0) {
    throw new OsSshError('NOT_FOUND', `no VM with a port is "${shortened(word, 80)}", or you may not see it`)
  }
  const some = byAddress.slice(0, 5).map(port => port.device_id)
  throw new OsSshError(
    'AMBIGUOUS',
    `${byAddress.length} VMs have the address ${shortened(word, 80)}: ${some.join(', ')}`,
  )
}

/** @throws OsSshError USAGE */
function parseAddress(text: string): string {
  if (!ipaddr.isValid(text) || /^[\d]+$/.test(text)) {
    throw new OsSshError('USAGE', `"${shortened(text, 80)}" is not an IP address`, {
      hint: 'for example: --to 192.0.2.1',
    })
  }
  return ipaddr.parse(text).toString()
}

function contains(cidr: unknown, address: string): boolean {
  try {
    const ip = ipaddr.parse(address)
    const net = ipaddr.parseCIDR(String(cidr))
    return ip.kind() === net[0].kind() && ip.match(net)
  } catch {
    return false
  }
}

function lengthOf(cidr: string): number {
  return Number(cidr.split('/')[1] ?? 0)
}
