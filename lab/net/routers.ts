import {netnsName} from '../paths.ts'
import {attempt, ipBatch, nft, run, sysctl} from '../run.ts'
import type {Cloud, PortRecord, RouterRecord} from '../state.ts'
import type {Bridges} from './bridges.ts'

function deviceName(port: PortRecord): string {
  const kind = port.device_owner === 'network:router_gateway' ? 'qg' : 'qr'
  return `${kind}-${port.id.replaceAll('-', '').slice(0, 11)}`
}

function prefix(cloud: Cloud, subnetId: string): string {
  return cloud.subnets.get(subnetId)?.cidr.split('/')[1] ?? '24'
}

/** Routers: a namespace each that routes between its subnets and does SNAT to the external network with nftables. */
export function createRouters(cloud: Cloud, lab: string, bridges: Bridges) {
  const made = new Map<string, {netns: string; plugged: Map<string, PortRecord>}>()
  const queue = new Map<string, Promise<void>>()

  async function make(router: RouterRecord) {
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
    const entry = {netns, plugged: new Map<string, PortRecord>()}
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
    await gateway(router, entry.netns, ports)
  }

  async function gateway(router: RouterRecord, netns: string, ports: readonly PortRecord[]): Promise<void> {
    const port = ports.find(candidate => candidate.device_owner === 'network:router_gateway')
    const address = port?.fixed_ips.find(ip => !ip.ip_address.includes(':'))
    const next = cloud.subnets.get(address?.subnet_id ?? '')?.gateway_ip
    const snat = router.external_gateway_info?.enable_snat === true && port && address
    const rule = snat ? `oifname "${deviceName(port)}" snat to ${address.ip_address}` : ''
    await nft(
      netns,
      `add table ip lab\ndelete table ip lab\ntable ip lab {\n chain post {\n type nat hook postrouting priority srcnat; policy accept;\n ${rule}\n }\n}\n`,
    )
    if (port && next) await ipBatch(netns, [`route replace default via ${next} dev ${deviceName(port)}`])
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
