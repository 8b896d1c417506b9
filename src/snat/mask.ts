import {createHmac, randomBytes} from 'node:crypto'

import ipaddr from 'ipaddr.js'

import type {Recording} from './recording.ts'

/*
 * For a file that goes with a bug report: other names and addresses, the same in every place, so that the answers stay what
 * they are. UUIDs stay: they say nothing, and its sender finds the router again by them.
 */

/** Fields that name something, and what it is called instead. */
const NAMES: Readonly<Record<string, string>> = {
  network_name: 'network',
  subnet_name: 'subnet',
  host: 'host',
  'binding:host_id': 'host',
  'provider:physical_network': 'physnet',
  chassis_name: 'host',
}
/** What the field `name` is of. */
const LISTINGS: Readonly<Record<string, string>> = {
  routers: 'router',
  networks: 'network',
  subnets: 'subnet',
  subnetPools: 'pool',
  servers: 'vm',
}
/** Of an agent's free-form `configurations` those that the answers rest on. */
const SETTINGS = ['agent_mode', 'bridge_mappings', 'bridge-mappings']

/**
 * The recording with other names and addresses. Prefixes keep containing what they contained, lengths of prefixes and the
 * first octet (two of IPv6) stay, and what came from one place goes to one place.
 *
 * @param key the same key masks the same way; a random one, which is then forgotten, by default
 */
export function mask(recording: Recording, key: Uint8Array = randomBytes(32)): Recording {
  const known = new Map<string, string>()
  const rename = (kind: string, name: string): string => {
    if (name === '') return name
    const found = known.get(`${kind} ${name}`)
    if (found !== undefined) return found
    const made = `${kind}-${[...known.keys()].filter(one => one.startsWith(`${kind} `)).length + 1}`
    known.set(`${kind} ${name}`, made)
    return made
  }
  const masked = (value: unknown, field: string, listing: string): unknown => {
    if (Array.isArray(value)) return value.map(one => masked(one, field, listing))
    if (typeof value === 'object' && value !== null)
      return Object.fromEntries(
        Object.entries(value).flatMap(([name, inner]) => {
          if (field === 'configurations' && !SETTINGS.includes(name)) return []
          if (name.endsWith('_mappings') || name === 'bridge-mappings')
            return [[name, mappings(inner, rename)]]
          return [[name, masked(inner, name, listing)]]
        }),
      )
    if (typeof value !== 'string') return value
    if (field === 'name') return rename(LISTINGS[listing] ?? 'name', value)
    const kind = NAMES[field]
    if (kind !== undefined) return rename(kind, value)
    // OVN's agents have the chassis' name for an id.
    if (field === 'id' && listing === 'agents' && !/^[0-9a-f]{8}-/.test(value))
      return rename('chassis', value)
    if (listing === 'gaps' && field === 'message') return 'left out'
    return maskAddress(value, key) ?? value
  }
  return Object.fromEntries(
    Object.entries(recording).map(([listing, rows]) => [listing, masked(rows, '', listing)]),
  ) as unknown as Recording
}

/** Physical networks are mapped to bridges: as an object by ML2/OVS's agents, as `a:b,c:d` by OVN's chassis. */
function mappings(value: unknown, rename: (kind: string, name: string) => string): unknown {
  if (typeof value === 'string')
    return value
      .split(',')
      .map(pair => pair.split(':'))
      .map(([physnet = '', bridge = '']) => `${rename('physnet', physnet)}:${bridge}`)
      .join(',')
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).map(([physnet, bridge]) => [rename('physnet', physnet), bridge]),
  )
}

/**
 * An address, or prefix, under which everything that was below a common prefix is still below one: each bit is turned or not by
 * what stands before it (Xu et al., "Prefix-Preserving IP Address Anonymization", 2002). What is routed nowhere or everywhere
 * (0.0.0.0/0) stays.
 */
function maskAddress(text: string, key: Uint8Array): string | undefined {
  const [address = '', length] = text.split('/')
  if (!ipaddr.isValid(address) || !/[.:]/.test(address)) return undefined
  const parsed = ipaddr.parse(address)
  const bytes = parsed.toByteArray()
  const bits = length === undefined ? bytes.length * 8 : Number(length)
  // An unspecified, multicast or loopback address would be another thing.
  const fixed = bytes.length === 4 ? 8 : 16
  const out = [...bytes]
  for (let bit = fixed; bit < bits; bit++) {
    const at = Math.floor(bit / 8)
    const before = bytes.slice(0, at + 1)
    before[at] = (before[at] ?? 0) & (0xff00 >> (bit % 8))
    const digest = createHmac('sha256', key)
      .update(Uint8Array.from([bit, ...before]))
      .digest()
    if ((digest[0] ?? 0) & 1) out[at] = (out[at] ?? 0) ^ (0x80 >> (bit % 8))
  }
  const made = ipaddr.fromByteArray(out).toString()
  return length === undefined ? made : `${made}/${length}`
}
