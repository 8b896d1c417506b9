import {nameOf} from '../names/brief.ts'
import type {PortFact} from './facts.ts'
import {type Inventory, setting} from './inventory.ts'
import {localOn} from './local.ts'
import {externalNetwork} from './observe.ts'
import {hostsOf} from './place.ts'
import type {Decided} from './status.ts'
import type {WayOut} from './wayout.ts'

/** One thing that a packet passes. */
export interface Hop {
  /** Null: the outside. `?`: this account cannot see it. */
  readonly host: string | null
  readonly kind: 'vm' | 'bridge' | 'namespace' | 'pipeline' | 'outside'
  readonly name: string
  /** The device by which the packet comes in. */
  readonly device: string | null
  readonly address: string | null
  readonly does: string
}

/** What the steps of a path are made of: looked up once. */
interface Scene {
  readonly inv: Inventory
  readonly about: Decided
  readonly port: PortFact
  readonly out: WayOut
  readonly vm: string
  readonly here: string
  readonly gateway: string
  readonly router: string
}

/** The hops from a VM to the outside, by the kind of its way out. Names are Neutron's (l3/dvr_fip_ns.py and siblings). */
export function pathOf(inv: Inventory, about: Decided, port: PortFact, out: WayOut, vm: string): Hop[] {
  const here = port['binding:host_id'] || '?'
  const gateway = hostsOf(about.view)[0] ?? '?'
  const scene: Scene = {inv, about, port, out, vm, here, gateway, router: about.view.router.id}
  const start = [guest(scene)]
  if (out.way === 'none') return start
  if (out.way === 'unknown') return [...start, unknown(scene), outside(scene)]
  const {carrier} = about.verdict
  if (carrier.startsWith('ovn')) return [...start, ...throughOvn(scene), outside(scene)]
  if (carrier.startsWith('dvr')) return [...start, ...throughDvr(scene), outside(scene)]
  return [...start, tap(scene), ...across(scene, here, gateway), ...centralRouter(scene), outside(scene)]
}

function guest({vm, here, port, out}: Scene): Hop {
  const fixed = out.fixed_ip
  return {
    host: here,
    kind: 'vm',
    name: vm,
    device: null,
    address: fixed,
    does: `sends from ${fixed ?? shortPort(port)}`,
  }
}

function tap({here, port}: Scene): Hop {
  return bridge(here, 'br-int', `tap${cut(port.id)}`, 'switches to the gateway address of the subnet')
}

function unknown({here, out}: Scene): Hop {
  return {host: here, kind: 'pipeline', name: '?', device: null, address: null, does: out.why}
}

function outside({inv, about, out}: Scene): Hop {
  const id = externalNetwork(about.view)
  const name = id === undefined ? 'outside' : nameOf(inv.networks.get(id) ?? {id})
  const seen = out.source_ip === null ? 'source address not known' : `sees ${out.source_ip}`
  return {host: null, kind: 'outside', name, device: null, address: out.source_ip, does: seen}
}

/** From one host to another through the tunnels (or the provider's VLAN); nothing when both are the same. */
function across(scene: Scene, from: string, to: string): Hop[] {
  if (from === to && from !== '?') return []
  const {how, name} = fabric(scene)
  return [
    bridge(from, name, null, `${how} to ${to}`),
    bridge(to, name, null, `${how} from ${from}`),
    bridge(to, 'br-int', null, 'switches to the router'),
  ]
}

function fabric({inv, out, port}: Scene): {how: string; name: string} {
  const subnet = (port.fixed_ips ?? []).find(ip => ip.ip_address === out.fixed_ip)?.subnet_id ?? ''
  const network = inv.networks.get(inv.subnets.get(subnet)?.network_id ?? '')
  const type = network?.['provider:network_type']
  if (type === 'vlan' || type === 'flat')
    return {how: type.toUpperCase(), name: `br-${network?.['provider:physical_network']}`}
  return {how: type ? `${type.toUpperCase()} tunnel` : 'tunnel', name: 'br-tun'}
}

function centralRouter(scene: Scene): Hop[] {
  const {gateway, router, out} = scene
  const leg = legOf(scene)
  return [
    {
      host: gateway,
      kind: 'namespace',
      name: `qrouter-${router}`,
      device: leg ? `qr-${cut(leg.id)}` : null,
      address: leg?.ip ?? null,
      does: `${translation(out)}; out by ${gatewayDevice(scene)}`,
    },
    exit(scene, gateway),
  ]
}

function throughDvr(scene: Scene): Hop[] {
  const {here, gateway, out} = scene
  if (out.kind === 'snat-local') return [tap(scene), ...localGateway(scene)]
  if (out.way === 'bypass')
    return [
      tap(scene),
      localRouter(scene, `${translation(out)}; out by rfp-${scene.router.slice(0, 10)}`),
      ...fipNamespace(scene),
    ]
  const sg = scene.about.view.csnat.find(p => sameSubnet(scene, p))
  const via = sg?.fixed_ips?.[0]?.ip_address ?? 'its port in the SNAT namespace'
  return [
    tap(scene),
    localRouter(scene, `policy rule of the subnet: default via ${via}`),
    bridge(here, 'br-int', null, `switches to ${via}`),
    ...across(scene, here, gateway),
    {
      host: gateway,
      kind: 'namespace',
      name: `snat-${scene.router}`,
      device: sg ? `sg-${cut(sg.id)}` : null,
      address: sg?.fixed_ips?.[0]?.ip_address ?? null,
      does: `${translation(out)}; out by ${gatewayDevice(scene)}`,
    },
    exit(scene, gateway),
  ]
}

function localRouter(scene: Scene, does: string): Hop {
  const leg = legOf(scene)
  const device = leg ? `qr-${cut(leg.id)}` : null
  return {
    host: scene.here,
    kind: 'namespace',
    name: `qrouter-${scene.router}`,
    device,
    address: leg?.ip ?? null,
    does,
  }
}

function fipNamespace(scene: Scene): Hop[] {
  const {here, router, about, inv} = scene
  const external = externalNetwork(about.view) ?? ''
  const fg = inv.fipGateways.find(
    p =>
      p['binding:host_id'] === here &&
      (p.fixed_ips ?? []).some(ip => inv.subnets.get(ip.subnet_id)?.network_id === external),
  )
  return [
    {
      host: here,
      kind: 'namespace',
      name: `fip-${external}`,
      device: `fpr-${router.slice(0, 10)}`,
      address: fg?.fixed_ips?.[0]?.ip_address ?? null,
      does: `routes; out by fg-${fg ? cut(fg.id) : '…'}, which answers ARP for the address`,
    },
    exit(scene, here),
  ]
}

/** Names and numbers are those of src/localgw/names.ts, which is above this room. */
function localGateway(scene: Scene): Hop[] {
  const {here, router, out, inv, about} = scene
  const id = localOn(inv, about.view, here)?.leg?.device_id ?? router
  const mark = 'nft os-ssh-lsnat sets the mark; rule 100000: fwmark 0x8000/0x8000 -> table 33000'
  return [
    localRouter(scene, `${mark}, by lq-${cut(router)}`),
    {
      host: here,
      kind: 'namespace',
      name: `lsnat-${id}`,
      device: `ls-${cut(router)}`,
      address: out.source_ip,
      does: `${translation(out)}; out by lg-${cut(id)}`,
    },
    exit(scene, here),
  ]
}

function throughOvn(scene: Scene): Hop[] {
  const {here, gateway, out} = scene
  const own = out.way === 'bypass'
  const pipeline = (host: string, name: string, does: string): Hop => ({
    host,
    kind: 'pipeline',
    name,
    device: null,
    address: null,
    does,
  })
  const logical = pipeline(
    here,
    'br-int',
    `logical switch and router in one pipeline${own ? `; ${translation(out)}` : ''}`,
  )
  if (own || (here === gateway && here !== '?')) {
    return [
      own ? logical : pipeline(here, 'br-int', `logical switch and router; ${translation(out)}`),
      exit(scene, here),
    ]
  }
  const gatewayPort = scene.about.view.gateways[0]
  return [
    logical,
    pipeline(
      gateway,
      'br-int',
      `Geneve tunnel from ${here}; ${translation(out)} at ${gatewayPort ? `cr-lrp-${gatewayPort.id}` : 'the gateway port'}`,
    ),
    exit(scene, gateway),
  ]
}

function translation({kind, fixed_ip, source_ip}: WayOut): string {
  if (kind === 'routed' || kind === 'routed-local') return 'routes without translation'
  const what = kind.startsWith('fip') ? 'floating IP' : 'SNAT'
  return `${what}: ${fixed_ip ?? '?'} -> ${source_ip ?? '?'}`
}

function exit({inv, about}: Scene, host: string): Hop {
  const physnet = inv.networks.get(externalNetwork(about.view) ?? '')?.['provider:physical_network']
  return bridge(
    host,
    bridgeTo(inv, host, physnet),
    null,
    physnet ? `onto physical network ${physnet}` : 'onto the external network',
  )
}

/** The external bridge, as the host's agent reports its mappings; `br-ex` where nothing is reported. */
function bridgeTo(inv: Inventory, host: string, physnet: string | null | undefined): string {
  if (!physnet) return 'br-ex'
  for (const agent of inv.facts.agents) {
    if (agent.host !== host) continue
    const ovs = setting(agent, 'bridge_mappings')
    const named = ovs && typeof ovs === 'object' ? (ovs as Record<string, unknown>)[physnet] : undefined
    if (typeof named === 'string' && named !== '') return named
    const ovn = setting(agent, 'bridge-mappings')
    const pair =
      typeof ovn === 'string' ? ovn.split(',').find(text => text.trim().startsWith(`${physnet}:`)) : undefined
    if (pair) return pair.split(':')[1]?.trim() || 'br-ex'
  }
  return 'br-ex'
}

function bridge(host: string, name: string, device: string | null, does: string): Hop {
  return {host, kind: 'bridge', name, device, address: null, does}
}

/** The router's own port on the VM's subnet. */
function legOf(scene: Scene): {id: string; ip: string | null} | undefined {
  const leg = scene.about.view.interfaces.find(p => sameSubnet(scene, p))
  return leg && {id: leg.id, ip: leg.fixed_ips?.[0]?.ip_address ?? null}
}

function sameSubnet({port, out}: Scene, other: PortFact): boolean {
  const mine = (port.fixed_ips ?? []).find(ip => ip.ip_address === out.fixed_ip)?.subnet_id
  return (other.fixed_ips ?? []).some(ip => ip.subnet_id === mine)
}

function gatewayDevice({about}: Scene): string {
  const port = about.view.gateways[0]
  return port ? `qg-${cut(port.id)}` : 'qg-…'
}

/** Device names, Neutron's and ours: a prefix and the first 11 characters of a UUID. */
function cut(id: string): string {
  return id.slice(0, 11)
}

function shortPort(port: PortFact): string {
  return `port ${port.id.slice(0, 8)}`
}
