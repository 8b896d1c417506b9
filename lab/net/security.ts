import {nft} from '../../src/system/commands.ts'
import type {Cloud, PortRecord, SecurityGroupRuleRecord} from '../state.ts'
import {type Bridges, tapName} from './bridges.ts'

/**
 * Answers that a guest may always get. This kernel has no connection tracking on bridges, so "established" is told
 * by the packet alone: TCP that does not open a connection, replies of ICMP, DNS, DHCP and NTP.
 */
const replies = [
  'ether type arp accept',
  'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert, echo-reply, destination-unreachable, packet-too-big, time-exceeded } accept',
  'tcp flags & (syn | ack) != syn accept',
  'icmp type { echo-reply, destination-unreachable, time-exceeded } accept',
  'udp sport { 53, 67, 123, 547 } accept',
]

const numbers: Readonly<Record<string, string>> = {'1': 'icmp', '6': 'tcp', '17': 'udp', '58': 'ipv6-icmp'}

function remotes(cloud: Cloud, rule: SecurityGroupRuleRecord, family: 'ip' | 'ip6'): string | undefined {
  if (rule.remote_ip_prefix !== null) {
    return /^[0-9a-fA-F.:/]+$/.test(rule.remote_ip_prefix)
      ? `${family} saddr ${rule.remote_ip_prefix} `
      : undefined
  }
  if (rule.remote_group_id === null) return ''
  const group = rule.remote_group_id
  const ips = [...cloud.ports.values()]
    .filter(port => port.security_groups.includes(group))
    .flatMap(port => port.fixed_ips.map(ip => ip.ip_address))
    .filter(ip => ip.includes(':') === (family === 'ip6'))
  return ips.length === 0 ? undefined : `${family} saddr { ${[...new Set(ips)].join(', ')} } `
}

/** One ingress rule in nft's words; undefined when nothing can match it. */
function ingress(cloud: Cloud, rule: SecurityGroupRuleRecord): string | undefined {
  const family = rule.ethertype === 'IPv6' ? 'ip6' : 'ip'
  const from = remotes(cloud, rule, family)
  if (from === undefined) return undefined
  const protocol = numbers[rule.protocol ?? ''] ?? rule.protocol
  const type = `ether type ${family} ${from}`
  if (protocol === null || protocol === 'any') return `${type}accept`
  if (protocol === 'icmp' || protocol === 'icmpv6' || protocol === 'ipv6-icmp') {
    return `${type}meta l4proto ${family === 'ip' ? 'icmp' : 'ipv6-icmp'} accept`
  }
  if (protocol !== 'tcp' && protocol !== 'udp') return undefined
  const [low, high] = [rule.port_range_min ?? 1, rule.port_range_max ?? rule.port_range_min ?? 65535]
  return `${type}${protocol} dport ${Number(low)}-${Number(high)} accept`
}

/** What a guest may send: its own addresses only, as Neutron's port security has it. */
function antispoof(port: PortRecord): string[] {
  const four = port.fixed_ips.map(ip => ip.ip_address).filter(ip => !ip.includes(':'))
  const six = port.fixed_ips.map(ip => ip.ip_address).filter(ip => ip.includes(':'))
  const own = four.length > 0 ? `!= { ${four.join(', ')} } ` : ''
  return [
    `ether saddr != ${port.mac_address} drop`,
    `ether type ip ip saddr ${own === '' ? '0.0.0.0/0 ' : own}drop`,
    `ether type arp arp saddr ip ${own === '' ? '0.0.0.0/0 ' : own}drop`,
    `ether type ip6 ip6 saddr != { ${['::', 'fe80::/10', ...six].join(', ')} } drop`,
  ]
}

/** The rules of one network: a pair of chains for every guest's port with port security. */
export function ruleset(cloud: Cloud, ports: readonly PortRecord[]): string {
  const rules = [...cloud.security_group_rules.values()]
  const chains = ports.map(port => {
    const tap = tapName(port)
    const mine = rules.filter(
      rule => rule.direction === 'ingress' && port.security_groups.includes(rule.security_group_id),
    )
    const lines = [...replies, ...new Set(mine.flatMap(rule => ingress(cloud, rule) ?? [])), 'drop']
    return `chain to_${tap} {\n ${lines.join('\n ')}\n}\nchain from_${tap} {\n ${antispoof(port).join('\n ')}\n}\n`
  })
  const jumps = ports.flatMap(port => {
    const tap = tapName(port)
    return [`iifname "${tap}" jump from_${tap}`, `oifname "${tap}" jump to_${tap}`]
  })
  // both chains of a packet between two guests must see it: `from_` only drops, `to_` decides
  const hook = `chain forward {\n type filter hook forward priority 0; policy accept;\n ${jumps.sort().join('\n ')}\n}\n`
  return `add table bridge lab\ndelete table bridge lab\ntable bridge lab {\n${chains.join('')}${hook}}\n`
}

/** Security groups on the bridges: ingress rules and anti-spoofing. Egress rules are not enforced. */
export function createSecurity(cloud: Cloud, bridges: Bridges) {
  const running = new Map<string, Promise<void>>()
  const waiting = new Map<string, Promise<void>>()

  async function apply(networkId: string): Promise<void> {
    const bridge = await bridges.made(networkId)
    if (bridge === undefined || !cloud.networks.has(networkId)) return
    const guarded = [...cloud.ports.values()].filter(
      port =>
        port.network_id === networkId &&
        port.port_security_enabled &&
        port.device_owner.startsWith('compute:'),
    )
    await nft(bridge, ruleset(cloud, guarded))
  }

  /** Many calls that come while one is carried out become one. */
  function sync(networkId: string): Promise<void> {
    const next = waiting.get(networkId)
    if (next !== undefined) return next
    const before = running.get(networkId) ?? Promise.resolve()
    const mine = before
      .catch(() => undefined)
      .then(() => {
        waiting.delete(networkId)
        const work = apply(networkId)
        running.set(networkId, work)
        return work
      })
    waiting.set(networkId, mine)
    return mine
  }

  return {
    sync,
    /** Every network that has a bridge: members of a remote group may sit anywhere. */
    async syncAll(): Promise<void> {
      await Promise.all([...cloud.networks.keys()].filter(id => bridges.made(id) !== undefined).map(sync))
    },
  }
}

export type Security = ReturnType<typeof createSecurity>
