import {announce, attempt, ipBatch, nft, run, sysctl} from '../../src/system/commands.ts'
import {netnsName} from '../paths.ts'
import type {Cloud, FloatingIpRecord, PortRecord, RouterRecord} from '../state.ts'
import type {Bridges} from './bridges.ts'

function deviceName(port: PortRecord): string {
  const kind = port.device_owner === 'network:router_gateway' ? 'qg' : 'qr'
  return `${kind}-${port.id.replaceAll('-', '').slice(0, 11)}`
}

function prefix(cloud: Cloud, subnetId: string): string {
  return cloud.subnets.get(subnetId)?.cidr.split('/')[1] ?? '24'
}

interface Entry {
  readonly netns: string
  readonly plugged: Map<string, PortRecord>
  /** Floating IPs on the external leg, and the fixed ones that they lead to. */
  readonly floating: Map<string, string>
}

const quoted = (device: string) => `"${device}"`

/** What the L3 agent does with iptables: floating IPs both ways, then the rest of the tenant behind the router's own address. */
function natRules(device: string, own: string, snat: boolean, floating: readonly FloatingIpRecord[]): string {
  const from = quoted(device)
  const to = floating.map(ip => `ip daddr ${ip.floating_ip_address} dnat to ${ip.fixed_ip_address}`)
  const out = floating.map(
    ip => `oifname ${from} ip saddr ${ip.fixed_ip_address} snat to ${ip.floating_ip_address}`,
  )
  // two machines of the tenant that meet by a floating IP: the answer must come back this way
  const hairpin = `iifname != ${from} oifname != ${from} ct status dnat snat to ${own}`
  const rest = snat ? `oifname ${from} snat to ${own}` : ''
  return `chain pre {
 type nat hook prerouting priority dstnat; policy accept;
 ${to.join('\n ')}
}
chain post {
 type nat hook postrouting priority srcnat; policy accept;
 ${[...out, hairpin, rest].join('\n ')}
}`
}

/**
 * Routers: a namespace each that routes between its subnets and does SNAT and floating IPs on the external network
 * with nftables.
 */
export function createRouters(cloud: Cloud, lab: string, bridges: Bridges) {
  const made = new Map<string, Entry>()
  const queue = new Map<string, Promise<void>>()

  async function make(router: RouterRecord): Promise<Entry> {
    const netns = netnsName(lab, 'rtr', router.id)
    await run(['ip', 'netns', 'add', netns])
    await sysctl(netns, {
      'net.ipv4.ip_forward': 1,
      'net.ipv6.conf.all.forwarding': 1,
      'net.ipv6.conf.default.accept_dad': 0,
      'net.ipv4.conf.all.rp_filter': 0,
      'net.ipv4.conf.default.rp_filter': 0,
    })
    await ipBatch(netns, ['link set lo up'])
    const entry = {netns, plugged: new Map<string, PortRecord>(), floating: new Map<string, string>()}
    made.set(router.id, entry)
    return entry
  }

  async function sync(routerId: string): Promise<void> {
    const router = cloud.routers.get(routerId)
    if (!router) return remove(routerId)
    const ports = [...cloud.ports.values()].filter(
      port => port.device_id === routerId && port.device_owner.startsWith('network:router_'),
    )
    if (ports.length === 0 && !made.has(routerId)) return
    const entry = made.get(routerId) ?? (await make(router))
    for (const [id, port] of entry.plugged) {
      if (ports.some(wanted => wanted.id === id)) continue
      await bridges.disconnect(port)
      entry.plugged.delete(id)
    }
    for (const port of ports) {
      if (entry.plugged.has(port.id)) continue
      const device = deviceName(port)
      if (device.startsWith('qg-')) entry.floating.clear()
      await bridges.connect(port, entry.netns, device)
      await ipBatch(entry.netns, [
        ...port.fixed_ips.map(
          ip =>
            `addr add ${ip.ip_address}/${prefix(cloud, ip.subnet_id)} dev ${device}${ip.ip_address.includes(':') ? ' nodad' : ''}`,
        ),
        `link set ${device} up`,
      ])
      entry.plugged.set(port.id, port)
    }
    await gateway(router, entry, ports)
  }

  async function gateway(router: RouterRecord, entry: Entry, ports: readonly PortRecord[]): Promise<void> {
    const {netns} = entry
    const port = ports.find(candidate => candidate.device_owner === 'network:router_gateway')
    const address = port?.fixed_ips.find(ip => !ip.ip_address.includes(':'))
    const next = cloud.subnets.get(address?.subnet_id ?? '')?.gateway_ip
    const snat = router.external_gateway_info?.enable_snat === true
    const floating = port ? [...cloud.floatingips.values()].filter(ip => ip.router_id === router.id) : []
    const chains = port && address ? natRules(deviceName(port), address.ip_address, snat, floating) : ''
    await nft(netns, `add table ip lab\ndelete table ip lab\ntable ip lab {\n${chains}\n}\n`)
    if (port) await hold(entry, deviceName(port), floating)
    if (port && next) await ipBatch(netns, [`route replace default via ${next} dev ${deviceName(port)}`])
  }

  /** The external leg answers for the floating IPs; connections through one that leads elsewhere now are over. */
  async function hold(entry: Entry, device: string, floating: readonly FloatingIpRecord[]): Promise<void> {
    const {netns, floating: held} = entry
    const inside = ['nsenter', `--net=/run/netns/${netns}`]
    const wanted = new Map(floating.map(ip => [ip.floating_ip_address, ip.fixed_ip_address ?? '']))
    for (const [address, target] of held) {
      if (wanted.get(address) === target) continue
      await attempt([...inside, 'conntrack', '-D', '-d', address])
      if (wanted.has(address)) continue
      await attempt(['ip', '-n', netns, 'addr', 'del', `${address}/32`, 'dev', device])
      held.delete(address)
    }
    for (const [address, target] of wanted) {
      if (!held.has(address)) {
        await ipBatch(netns, [`addr add ${address}/32 dev ${device}`])
        announce(netns, device, address)
      }
      held.set(address, target)
    }
  }

  async function remove(routerId: string): Promise<void> {
    const entry = made.get(routerId)
    if (!entry) return
    made.delete(routerId)
    for (const port of entry.plugged.values()) await bridges.disconnect(port)
    await attempt(['ip', 'netns', 'del', entry.netns])
  }

  return {
    /** One at a time for a router; others side by side. */
    sync(routerId: string): Promise<void> {
      const next = (queue.get(routerId) ?? Promise.resolve())
        .catch(() => undefined)
        .then(() => sync(routerId))
      queue.set(routerId, next)
      return next
    },
  }
}
