import ipaddr from 'ipaddr.js'

import {neutronFault} from '../fault.ts'
import type {Cloud, FixedIp, SubnetRecord} from '../state.ts'

/** An address as a number; IPv4 and IPv6 alike. */
export function toNumber(address: string): bigint {
  return ipaddr
    .parse(address)
    .toByteArray()
    .reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
}

/** The inverse of toNumber, in the canonical spelling. */
export function toAddress(value: bigint, version: 4 | 6): string {
  const bytes: number[] = []
  for (let rest = value, left = version === 4 ? 4 : 16; left > 0; left--, rest >>= 8n)
    bytes.unshift(Number(rest & 255n))
  return ipaddr.fromByteArray(bytes).toString()
}

/** First and last usable address and the network's base of a CIDR. */
export function range(cidr: string): {version: 4 | 6; base: bigint; first: bigint; last: bigint} {
  const [address = '', length = ''] = cidr.split('/')
  const version = address.includes(':') ? 6 : 4
  const host = BigInt((version === 4 ? 32 : 128) - Number(length))
  const base = (toNumber(address) >> host) << host
  const size = 1n << host
  return {version, base, first: base + 1n, last: version === 4 ? base + size - 2n : base + size - 1n}
}

/** Is the address in the subnet? A malformed one is not. */
export function inside(address: string, cidr: string): boolean {
  if (!ipaddr.isValid(address) || address.includes(':') !== cidr.includes(':')) return false
  const {base} = range(cidr)
  return range(`${address}/${cidr.split('/')[1]}`).base === base
}

function taken(cloud: Cloud, subnetId: string): Set<string> {
  const used = new Set<string>()
  for (const port of cloud.ports.values()) {
    for (const ip of port.fixed_ips) if (ip.subnet_id === subnetId) used.add(ip.ip_address)
  }
  return used
}

/** @throws ApiFault 409 when no address of the subnet's pools is free */
function anyFree(cloud: Cloud, subnet: SubnetRecord): string {
  const used = taken(cloud, subnet.id)
  if (subnet.gateway_ip !== null) used.add(subnet.gateway_ip)
  for (const pool of subnet.allocation_pools) {
    const last = toNumber(pool.end)
    for (let value = toNumber(pool.start); value <= last; value++) {
      const address = toAddress(value, subnet.ip_version)
      if (!used.has(address)) return address
    }
  }
  const text = `No more IP addresses available on network ${subnet.network_id}.`
  throw neutronFault(409, 'IpAddressGenerationFailure', text)
}

function exact(cloud: Cloud, subnet: SubnetRecord, asked: string): string {
  if (!inside(asked, subnet.cidr)) {
    const text = `IP address ${asked} is not a valid IP for the specified subnet.`
    throw neutronFault(400, 'InvalidIpForSubnet', text)
  }
  const address = ipaddr.parse(asked).toString()
  if (taken(cloud, subnet.id).has(address)) {
    const text = `IP address ${address} already allocated in subnet ${subnet.id}`
    throw neutronFault(409, 'IpAddressAlreadyAllocated', text)
  }
  return address
}

/**
 * Addresses for a port on a network, as asked or one per address family.
 * @throws ApiFault 400 for an address or subnet that does not fit, 409 when it is taken or nothing is left
 */
export function allocate(
  cloud: Cloud,
  networkId: string,
  asked: readonly Partial<FixedIp>[] | undefined,
): FixedIp[] {
  const subnets = [...cloud.subnets.values()].filter(subnet => subnet.network_id === networkId)
  if (asked === undefined) {
    const ordinary = subnets.filter(subnet => subnet.service_types.length === 0)
    const chosen = [4, 6].flatMap(version => ordinary.find(subnet => subnet.ip_version === version) ?? [])
    return chosen.map(subnet => ({subnet_id: subnet.id, ip_address: anyFree(cloud, subnet)}))
  }
  return asked.map(want => {
    const fits = (subnet: SubnetRecord) =>
      want.subnet_id ? subnet.id === want.subnet_id : inside(want.ip_address ?? '', subnet.cidr)
    const subnet = subnets.find(fits)
    if (!subnet) {
      const text = `IP address ${want.ip_address ?? ''} is not a valid IP for any of the subnets on the specified network.`
      throw neutronFault(400, 'InvalidIpForNetwork', text)
    }
    const ip_address = want.ip_address ? exact(cloud, subnet, want.ip_address) : anyFree(cloud, subnet)
    return {subnet_id: subnet.id, ip_address}
  })
}
