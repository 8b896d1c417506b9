/**
 * Answers of the OpenStack APIs, as far as we use them, under the field names of the API reference
 * (https://docs.openstack.org/api-ref). Optional means: not every release, back end or role shows it.
 */

export interface Ref {
  readonly id: string
  readonly name: string
}

/** A Keystone token, as issued or validated. */
export interface Token {
  /** The secret itself (X-Auth-Token). */
  readonly id: string
  readonly expires_at: Date
  readonly user: Ref & {readonly domain: Ref}
  /** Absent when unscoped or scoped to a domain or the system. */
  readonly project?: Ref & {readonly domain: Ref}
  /** Scoped to the whole system. */
  readonly system?: boolean
  readonly roles: readonly string[]
  readonly catalog: readonly CatalogEntry[]
}

export interface CatalogEntry {
  readonly type: string
  readonly name: string
  readonly endpoints: readonly {readonly interface: string; readonly region?: string; readonly url: string}[]
}

export interface Server {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly tenant_id: string
  readonly user_id: string
  readonly key_name: string | null
  /** Null or absent for a server booted from a volume. */
  readonly image: {readonly id: string} | null
  readonly addresses: Readonly<Record<string, readonly ServerAddress[]>>
  readonly metadata: Readonly<Record<string, string>>
  readonly created: string
  /** Why it is in ERROR, in Nova's words; shown to members without its details. */
  readonly fault?: {readonly message: string}
  /** Empty until it was scheduled. */
  readonly 'OS-EXT-AZ:availability_zone'?: string
  readonly 'OS-EXT-SRV-ATTR:host'?: string
}

export interface Flavor {
  /** Whoever made it has chosen it: `1`, `m1 small`. */
  readonly id: string
  readonly name: string
  readonly vcpus: number
  /** MB */
  readonly ram: number
  /** GB; 0: it boots from a volume, or the image decides. */
  readonly disk: number
  readonly 'OS-FLV-DISABLED:disabled'?: boolean
  /** From 2.61, where the cloud lets its users see them. */
  readonly extra_specs?: Readonly<Record<string, string>>
}

export type ServerGroupPolicy = 'affinity' | 'anti-affinity' | 'soft-affinity' | 'soft-anti-affinity'

export interface ServerGroup {
  readonly id: string
  readonly name: string
  readonly policy: string
  /** Ids of its servers. */
  readonly members: readonly string[]
}

export interface ServerAddress {
  readonly version: 4 | 6
  readonly addr: string
  readonly 'OS-EXT-IPS:type': 'fixed' | 'floating'
  readonly 'OS-EXT-IPS-MAC:mac_addr': string
}

export interface InterfaceAttachment {
  readonly port_id: string
  readonly net_id: string
  readonly mac_addr: string
  readonly port_state: string
  readonly fixed_ips: readonly FixedIp[]
}

/** What was done to a server, as its members see it. */
export interface InstanceAction {
  readonly action: string
  readonly request_id: string
  /** UTC without a zone, as Nova writes it. */
  readonly start_time: string
  readonly user_id: string | null
}

export interface KeyPair {
  readonly name: string
  readonly public_key: string
  /** MD5, colon separated, as Nova computes it for SSH keys. */
  readonly fingerprint: string
}

export interface FixedIp {
  readonly subnet_id: string
  readonly ip_address: string
}

export interface Network {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly mtu: number
  readonly shared: boolean
  readonly 'router:external': boolean
  readonly subnets: readonly string[]
  readonly 'provider:network_type'?: string
  readonly 'provider:physical_network'?: string | null
}

export interface Subnet {
  readonly id: string
  readonly name: string
  readonly network_id: string
  readonly project_id: string
  readonly ip_version: 4 | 6
  readonly cidr: string
  readonly gateway_ip: string | null
  /** `device_owner`s that it is kept for; empty: anybody's. */
  readonly service_types?: readonly string[]
  readonly subnetpool_id?: string | null
  readonly host_routes: readonly {readonly destination: string; readonly nexthop: string}[]
}

export interface Port {
  readonly id: string
  readonly name: string
  readonly network_id: string
  readonly project_id: string
  readonly mac_address: string
  readonly status: string
  readonly device_id: string
  readonly device_owner: string
  readonly fixed_ips: readonly FixedIp[]
  readonly security_groups: readonly string[]
  readonly tags?: readonly string[]
  readonly description?: string
  readonly 'binding:host_id'?: string
}

export interface ExternalGateway {
  readonly network_id: string
  readonly enable_snat?: boolean
  readonly external_fixed_ips: readonly FixedIp[]
  readonly qos_policy_id?: string | null
}

export interface Router {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly status: string
  readonly admin_state_up: boolean
  readonly external_gateway_info: ExternalGateway | null
  readonly external_gateways?: readonly ExternalGateway[]
  readonly created_at?: string
  readonly distributed?: boolean
  readonly ha?: boolean
  readonly flavor_id?: string | null
  readonly routes?: readonly {readonly destination: string; readonly nexthop: string}[]
  readonly enable_ndp_proxy?: boolean
  /** Where the extension expose-l3-conntrack-helper is. */
  readonly conntrack_helpers?: readonly {readonly helper: string}[] | null
}

export interface SecurityGroup {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly description: string | null
  readonly security_group_rules: readonly SecurityGroupRule[]
}

/** Null: any. */
export interface SecurityGroupRule {
  readonly id: string
  readonly security_group_id: string
  readonly direction: 'ingress' | 'egress'
  readonly ethertype: 'IPv4' | 'IPv6'
  /** A name, or a number as text. */
  readonly protocol: string | null
  readonly port_range_min: number | null
  readonly port_range_max: number | null
  readonly remote_ip_prefix: string | null
  readonly remote_group_id: string | null
}

export interface Agent {
  readonly id: string
  readonly agent_type: string
  readonly binary: string
  readonly host: string
  readonly alive: boolean
  readonly admin_state_up: boolean
  readonly availability_zone: string | null
  readonly configurations: Readonly<Record<string, unknown>>
}

/** An entry of /routers/ID/l3-agents: an agent with its HA state on that router. */
export interface RouterAgent extends Agent {
  readonly ha_state?: 'active' | 'standby' | 'unknown' | null
}

export interface FloatingIp {
  readonly id: string
  readonly floating_ip_address: string
  readonly floating_network_id: string
  readonly fixed_ip_address: string | null
  readonly port_id: string | null
  readonly router_id: string | null
  readonly project_id: string
  readonly status: string
  readonly description: string | null
  readonly port_forwardings?: readonly unknown[]
  readonly port_details?: {readonly device_id: string; readonly device_owner: string} | null
}

export interface IpAvailability {
  readonly network_id: string
  readonly network_name: string
  readonly total_ips: number
  readonly used_ips: number
  readonly subnet_ip_availability: readonly {
    readonly subnet_id: string
    readonly subnet_name: string
    readonly cidr: string
    readonly ip_version: 4 | 6
    readonly total_ips: number
    readonly used_ips: number
  }[]
}

/** A log of connections that Neutron's agents write: extension `logging`. */
export interface NetworkLog {
  readonly id: string
  /** `snat`: of the router `resource_id`. */
  readonly resource_type: string
  readonly resource_id?: string | null
  readonly enabled: boolean
}

export interface SubnetPool {
  readonly id: string
  readonly name: string
  readonly address_scope_id: string | null
}

export interface Extension {
  readonly alias: string
  readonly name: string
}

export interface Quota {
  /** -1: none */
  readonly limit: number
  readonly used: number
  readonly reserved: number
}

/** Optional ones are properties that whoever made the image has set, or not. */
export interface Image {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly visibility: 'public' | 'community' | 'shared' | 'private'
  readonly owner: string | null
  readonly disk_format: string | null
  /** Bytes of the file; null until there is one. */
  readonly size: number | null
  /** Bytes of the disk that it becomes, where Glance knows. */
  readonly virtual_size: number | null
  /** MB */
  readonly min_ram: number
  /** GB */
  readonly min_disk: number
  readonly created_at: string
  readonly os_admin_user?: string
  readonly os_distro?: string
  readonly os_version?: string
  readonly architecture?: string
  /** `snapshot`: of a server, by Nova. */
  readonly image_type?: string
}
