import {createHmac, randomBytes} from 'node:crypto'

import ipaddr from 'ipaddr.js'

import {FIELDS} from './facts.ts'
import {readHeartbeat} from './heartbeat.ts'
import type {Recording} from './recording.ts'

/*
 * For a file that goes with a bug report: other names and addresses, the same in every place, so that the answers stay what
 * they are. What is not known to be harmless or to be changed is left out. UUIDs stay: they say nothing, and its sender finds
 * the router again by them.
 */

type Listing = Exclude<keyof Recording, 'at'>

/** Fields of each listing's rows that the answers rest on; no others get through. */
const KEPT: Readonly<Record<Listing, readonly string[]>> = {
  ...FIELDS,
  extensions: ['alias'],
  servers: ['id', 'name'],
  router_agents: ['id', 'host', 'agent_type', 'alive', 'admin_state_up', 'ha_state'],
  gaps: ['listing', 'why', 'message'],
}

/** The same of objects within a row. */
const INNER = new Set(
  `network_id enable_snat external_fixed_ips subnet_id ip_address internal_ip_address internal_port external_port protocol
  subnet_name cidr ip_version total_ips used_ips destination nexthop qos_policy_id agent_mode bridge_mappings bridge-mappings`.split(
    /\s+/,
  ),
)

/** Fields that name something, and what it is called instead. */
const NAMES: Readonly<Record<string, string>> = {
  network_name: 'network',
  subnet_name: 'subnet',
  host: 'host',
  'binding:host_id': 'host',
  'provider:physical_network': 'physnet',
}
/** What the field `name` is of. */
const LISTINGS: Readonly<Partial<Record<Listing, string>>> = {
  routers: 'router',
  networks: 'network',
  subnets: 'subnet',
  servers: 'vm',
}

/**
 * The recording with other names and addresses. Prefixes keep containing what they contained, and lengths of prefixes and the
 * first octet (two of IPv6) stay.
 *
 * @param key the same key masks the same way; a random one, which is then forgotten, by default
 */
export function mask(recording: Recording, key: Uint8Array = randomBytes(32)): Recording {
  const masks = new Masks(key)
  const rows = (listing: Listing, list: readonly object[]) => list.map(row => masks.row(row as Row, listing))
  const {at, ...listings} = recording
  const masked = Object.entries(listings).map(([listing, value]) => {
    if (listing !== 'router_agents') return [listing, rows(listing as Listing, value as readonly object[])]
    const byRouter = Object.entries(recording.router_agents)
    return [listing, Object.fromEntries(byRouter.map(([id, some]) => [id, rows(listing, some)]))]
  })
  return {at, ...Object.fromEntries(masked)} as Recording
}

type Row = Readonly<Record<string, unknown>>

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[0-9a-f]{32}$/

class Masks {
  readonly #key: Uint8Array
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<string, number>()
  /** Bits that are turned, by their place and what stands before them. */
  readonly #turned = new Map<string, boolean>()

  constructor(key: Uint8Array) {
    this.#key = key
  }

  row(row: Row, listing: Listing): Row {
    const kept = KEPT[listing].filter(field => row[field] !== undefined)
    return Object.fromEntries(kept.map(field => [field, this.#field(field, row[field], listing)]))
  }

  #field(field: string, value: unknown, listing: Listing): unknown {
    if (Array.isArray(value)) return value.map(one => this.#field(field, one, listing))
    if (field.endsWith('mappings')) return this.#mappings(value)
    if (typeof value === 'object' && value !== null) {
      const inner = Object.entries(value).filter(([name]) => INNER.has(name))
      return Object.fromEntries(inner.map(([name, one]) => [name, this.#field(name, one, listing)]))
    }
    if (typeof value !== 'string' || value === '') return value
    // A heartbeat says numbers and starts of UUIDs; other descriptions are not for us.
    if (field === 'description') return readHeartbeat(value) && value
    if (field === 'name') return this.#rename(LISTINGS[listing] ?? 'name', value)
    const kind = NAMES[field]
    if (kind !== undefined) return this.#rename(kind, value)
    if (listing === 'gaps') return field === 'message' ? 'left out' : value
    // Nova writes the availability zone behind it.
    if (field === 'device_owner' || field === 'service_types')
      return value.replace(/^compute:.*/s, 'compute:nova')
    // OVN's agents have the chassis' names for ids, and DHCP ports a word that is made of the host's.
    if (/^(id|device_id)$/.test(field) && !UUID.test(value)) return this.#rename('id', value)
    return this.#address(value) ?? value
  }

  #rename(kind: string, name: string): string {
    const known = this.#names.get(`${kind} ${name}`)
    if (known !== undefined) return known
    const count = (this.#counts.get(kind) ?? 0) + 1
    this.#counts.set(kind, count)
    this.#names.set(`${kind} ${name}`, `${kind}-${count}`)
    return `${kind}-${count}`
  }

  /** Physical networks are mapped to bridges: as an object by ML2/OVS's agents, as `a:b,c:d` by OVN's chassis. */
  #mappings(value: unknown): unknown {
    const pair = ([physnet = '', bridge]: readonly unknown[]) =>
      [this.#rename('physnet', String(physnet)), this.#rename('bridge', String(bridge))] as const
    if (typeof value === 'string')
      return value
        .split(',')
        .map(one => pair(one.split(':')).join(':'))
        .join(',')
    return Object.fromEntries(Object.entries(value ?? {}).map(pair))
  }

  /**
   * An address, or prefix, under which everything that was below a common prefix is still below one: each bit is turned or not by
   * what stands before it (Xu et al., "Prefix-Preserving IP Address Anonymization", 2002). Prefixes as short as what stays (such as
   * 0.0.0.0/0) stay whole.
   */
  #address(text: string): string | undefined {
    const [address = '', length] = text.split('/')
    if (!ipaddr.isValid(address) || !/[.:]/.test(address)) return undefined
    const bytes = ipaddr.parse(address).toByteArray()
    const bits = length === undefined ? bytes.length * 8 : Number(length)
    const out = [...bytes]
    // An unspecified, multicast or loopback address would be another thing.
    for (let bit = bytes.length === 4 ? 8 : 16; bit < bits; bit++) {
      const at = Math.floor(bit / 8)
      if (this.#turns(bytes, bit)) out[at] = (out[at] ?? 0) ^ (0x80 >> (bit % 8))
    }
    const made = ipaddr.fromByteArray(out).toString()
    return length === undefined ? made : `${made}/${length}`
  }

  #turns(bytes: readonly number[], bit: number): boolean {
    const at = Math.floor(bit / 8)
    const before = [...bytes.slice(0, at), (bytes[at] ?? 0) & (0xff00 >> (bit % 8)), bit, bytes.length]
    const known = this.#turned.get(before.join())
    if (known !== undefined) return known
    const [first = 0] = createHmac('sha256', this.#key).update(Uint8Array.from(before)).digest()
    this.#turned.set(before.join(), first % 2 === 1)
    return first % 2 === 1
  }
}
