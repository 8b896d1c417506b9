import type {FloatingIpFact, PortFact} from '../snat/facts.ts'
import type {Inventory, RouterView} from '../snat/inventory.ts'
import {subnetsOf} from '../snat/observe.ts'
import type {Reason} from '../snat/reasons.ts'
import {decided} from '../snat/status.ts'
import {wayOut} from '../snat/wayout.ts'
import type {Keep, Member, Sharing} from './desired.ts'
import {externalOf, nodeReason, routerReason} from './eligible.ts'

/** A node that has VMs of a router which central SNAT translates, or would without us. */
export interface NodePlan {
  readonly host: string
  /** Why they stay central; undefined: they leave from here. */
  readonly reason?: Reason
  /** Their IPv4 addresses, in order. */
  readonly locals: readonly string[]
}

export interface RouterPlan {
  readonly router: string
  /** Why it stays central everywhere; then there are no nodes. */
  readonly reason?: Reason
  readonly nodes: readonly NodePlan[]
}

/** Where packets of a router would leave by local gateways, and why not. Pure. */
export function planRouter(inv: Inventory, view: RouterView): RouterPlan {
  const router = view.router.id
  const reason = routerReason(inv, view)
  if (reason !== undefined) return {router, reason, nodes: []}
  const {verdict} = decided(inv, view)
  const byHost = new Map<string, Set<string>>()
  for (const port of view.vms) {
    const host = port['binding:host_id']
    const {kind, fixed_ip} = wayOut(inv, view, port, verdict)
    // Floating IPs, IPv6 and untranslated subnets have a way of their own.
    if (!host || fixed_ip === null || (kind !== 'snat' && kind !== 'snat-local')) continue
    const locals = byHost.get(host) ?? new Set()
    byHost.set(host, locals.add(fixed_ip))
  }
  const nodes = [...byHost].map(([host, locals]): NodePlan => {
    const why = nodeReason(inv, view, host)
    return {host, ...(why && {reason: why}), locals: [...locals].sort(inOrder)}
  })
  return {router, nodes: nodes.sort((a, b) => inOrder(a.host, b.host))}
}

/** External addresses that local gateways of these routers take: one a (router, node), or one a (node, external network). */
export function addressesOf(inv: Inventory, plans: readonly RouterPlan[], sharing: Sharing): number {
  const legs = plans.flatMap(({router, nodes}) => {
    const view = inv.routers.get(router)
    const of = view && (sharing === 'per-router' ? router : externalOf(view))
    return nodes.flatMap(({host, reason}) => (reason === undefined ? `${of} ${host}` : []))
  })
  return new Set(legs).size
}

/** Every link of IPv4 that may carry IPv6 has at least this, bytes: RFC 8200. */
const LEAST_MTU = 1280

/**
 * The router as a member of a local gateway on one node.
 * @param number one that no other member on the node has
 */
export function memberOf(inv: Inventory, view: RouterView, {locals}: NodePlan, number: number): Member {
  const mtus = subnetsOf(inv, view).map(subnet => inv.networks.get(subnet.network_id)?.mtu ?? LEAST_MTU)
  return {
    router: view.router.id,
    number,
    mtu: mtus.length === 0 ? LEAST_MTU : Math.min(...mtus),
    locals,
    keeps: merged(view.floatingIps.flatMap(keepsOf).filter(({address}) => locals.includes(address))),
    central: view.csnat.flatMap(addresses).filter(isIpv4).sort(inOrder),
  }
}

const inOrder = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
const isIpv4 = (address: string) => !address.includes(':')
const addresses = (port: PortFact) => (port.fixed_ips ?? []).map(ip => ip.ip_address)

/** The forwardings of a floating IP as Neutron embeds them; a listing of another project's is empty for an admin in Zed. */
function keepsOf({port_forwardings: all}: FloatingIpFact): Keep[] {
  return (all ?? []).flatMap(value => {
    const {protocol, internal_ip_address: address, internal_port, internal_port_range} = Object(value)
    const [, first, last = first] =
      /^(\d{1,5})(?::(\d{1,5}))?$/.exec(String(internal_port ?? internal_port_range)) ?? []
    const ports = [Number(first), Number(last)] as const
    const isWhole = ports.every(port => port > 0 && port < 65_536) && ports[0] <= ports[1]
    if (typeof address !== 'string' || (protocol !== 'tcp' && protocol !== 'udp') || !isWhole) return []
    return [{address, protocol, ports}]
  })
}

/** Those that overlap as one: nft refuses a set of intervals that do, and with it all of the router's rules. */
function merged(keeps: readonly Keep[]): Keep[] {
  const of = ({address, protocol}: Keep) => `${address} ${protocol}`
  const all: Keep[] = []
  for (const keep of keeps.toSorted((a, b) => inOrder(of(a), of(b)) || a.ports[0] - b.ports[0])) {
    const last = all.at(-1)
    if (last === undefined || of(last) !== of(keep) || last.ports[1] < keep.ports[0]) all.push(keep)
    else all[all.length - 1] = {...last, ports: [last.ports[0], Math.max(last.ports[1], keep.ports[1])]}
  }
  return all
}
