/** Records of the lab cloud, under the API's own field names (samples of a real Zed cloud were the model). */

/** `advsvc` is Neutron's own role for advanced services: it sees and updates what belongs to others. */
export type RoleName = 'admin' | 'member' | 'reader' | 'advsvc'

export interface Project {
  readonly id: string
  readonly name: string
}

export interface User {
  readonly id: string
  readonly name: string
  password: string
  readonly default_project_id: string | null
}

export interface Assignment {
  readonly user_id: string
  readonly project_id: string
  readonly role: RoleName
}

export interface AppCredential {
  readonly id: string
  readonly name: string
  readonly secret: string
  readonly user_id: string
  readonly project_id: string
  readonly roles: readonly RoleName[]
  readonly description: string | null
  readonly expires_at: string | null
}

export interface TokenRecord {
  readonly id: string
  readonly user_id: string
  readonly project_id: string | null
  readonly roles: readonly RoleName[]
  readonly methods: readonly string[]
  readonly issued_at: Date
  expires_at: Date
  readonly audit_id: string
  readonly app_credential_id: string | null
}

export interface ImageRecord {
  readonly id: string
  readonly name: string
  readonly owner: string
  readonly created_at: string
  readonly status: 'active' | 'deactivated'
  readonly visibility: 'public' | 'community' | 'shared' | 'private'
  readonly disk_format: string
  /** Bytes. */
  readonly size: number
  /** GiB. */
  readonly min_disk: number
  /** MiB. */
  readonly min_ram: number
  /** Custom properties such as os_distro and os_admin_user. */
  readonly properties: Readonly<Record<string, string>>
}

export interface Flavor {
  readonly id: string
  readonly name: string
  readonly vcpus: number
  /** MiB. */
  readonly ram: number
  /** GiB; with 0 the server must boot from a volume. */
  readonly disk: number
  readonly extra_specs: Readonly<Record<string, string>>
}

export interface ServerGroupRecord {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly user_id: string
  readonly policy: string
  readonly rules: {readonly max_server_per_host?: number}
  readonly members: string[]
}

/** The root disk of a server that boots from a volume. */
export interface RootVolume {
  readonly id: string
  /** GiB. */
  readonly size: number
  readonly delete_on_termination: boolean
}

export interface KeyPairRecord {
  readonly name: string
  readonly user_id: string
  readonly public_key: string
  readonly fingerprint: string
  readonly created_at: string
}

export interface ServerRecord {
  readonly id: string
  name: string
  readonly tenant_id: string
  readonly user_id: string
  status: string
  task_state: string | null
  /** What its root disk was made from. */
  image_id: string
  readonly flavor_id: string
  key_name: string | null
  /** The key pair's public key at the time of the boot. */
  key_data: string | null
  /** Empty when the scheduler found none. */
  readonly host: string
  /** As asked for, null when any will do. */
  readonly availability_zone: string | null
  readonly hostname: string
  metadata: Record<string, string>
  /** Base64, as given. */
  user_data: string | null
  readonly config_drive: boolean
  readonly root_volume: RootVolume | null
  readonly security_groups: readonly string[]
  readonly number: number
  readonly created: string
  updated: string
  launched_at: string | null
  fault: string | null
  /** Port ids in the order of the NICs. */
  readonly ports: string[]
  /** `type base64` of the guest's host key, known from the first boot on. */
  host_key: string
  /** What was done to it, newest first. */
  readonly actions: readonly ActionRecord[]
}

/** An instance action of Nova. */
export interface ActionRecord {
  readonly action: string
  readonly request_id: string
  readonly user_id: string
  readonly project_id: string
  readonly start_time: string
}

/** What every Neutron record carries. */
export interface Standard {
  readonly id: string
  name: string
  readonly project_id: string
  readonly tenant_id: string
  description: string
  tags: string[]
  readonly created_at: string
  updated_at: string
  revision_number: number
}

export interface NetworkRecord extends Standard {
  admin_state_up: boolean
  mtu: number
  status: string
  subnets: string[]
  shared: boolean
  availability_zone_hints: string[]
  availability_zones: string[]
  ipv4_address_scope: string | null
  ipv6_address_scope: string | null
  'router:external': boolean
  port_security_enabled: boolean
  l2_adjacency: boolean
  'provider:network_type': string
  'provider:physical_network': string | null
  'provider:segmentation_id': number | null
}

export interface SubnetRecord extends Standard {
  readonly network_id: string
  readonly ip_version: 4 | 6
  readonly subnetpool_id: string | null
  readonly enable_dhcp: boolean
  readonly ipv6_ra_mode: string | null
  readonly ipv6_address_mode: string | null
  gateway_ip: string | null
  readonly cidr: string
  allocation_pools: {start: string; end: string}[]
  host_routes: {destination: string; nexthop: string}[]
  dns_nameservers: string[]
  service_types: string[]
}

export interface FixedIp {
  subnet_id: string
  ip_address: string
}

export interface PortRecord extends Standard {
  readonly network_id: string
  mac_address: string
  admin_state_up: boolean
  status: string
  device_id: string
  device_owner: string
  fixed_ips: FixedIp[]
  allowed_address_pairs: unknown[]
  extra_dhcp_opts: unknown[]
  security_groups: string[]
  'binding:vnic_type': string
  'binding:profile': Record<string, unknown>
  'binding:host_id': string
  'binding:vif_type': string
  'binding:vif_details': Record<string, unknown>
  port_security_enabled: boolean
  ip_allocation: string
}

export interface ExternalGatewayInfo {
  network_id: string
  enable_snat: boolean
  external_fixed_ips: FixedIp[]
  qos_policy_id?: string | null
}

export interface RouterRecord extends Standard {
  admin_state_up: boolean
  status: string
  external_gateway_info: ExternalGatewayInfo | null
  external_gateways?: ExternalGatewayInfo[]
  availability_zones: string[]
  availability_zone_hints: string[]
  /** Absent on OVN. */
  distributed?: boolean
  ha?: boolean
  routes: {destination: string; nexthop: string}[]
  conntrack_helpers: {helper: string; protocol: string; port: number}[]
  flavor_id: string | null
  enable_ndp_proxy?: boolean
}

export interface SecurityGroupRecord extends Standard {
  stateful: boolean
  shared: boolean
}

export interface SecurityGroupRuleRecord extends Omit<Standard, 'name'> {
  readonly security_group_id: string
  readonly ethertype: 'IPv4' | 'IPv6'
  readonly direction: 'ingress' | 'egress'
  readonly protocol: string | null
  readonly port_range_min: number | null
  readonly port_range_max: number | null
  readonly remote_ip_prefix: string | null
  readonly remote_address_group_id: string | null
  readonly normalized_cidr: string | null
  readonly remote_group_id: string | null
}

export interface AgentRecord {
  readonly id: string
  readonly agent_type: string
  readonly binary: string
  readonly topic: string
  readonly host: string
  admin_state_up: boolean
  readonly created_at: string
  readonly started_at: string
  heartbeat_timestamp: string
  readonly description: string | null
  readonly resources_synced: boolean | null
  readonly availability_zone: string | null
  alive: boolean
  readonly configurations: Readonly<Record<string, unknown>>
}

export interface FloatingIpRecord extends Omit<Standard, 'name'> {
  readonly floating_ip_address: string
  readonly floating_network_id: string
  router_id: string | null
  port_id: string | null
  fixed_ip_address: string | null
  status: string
  port_details: Record<string, unknown> | null
  port_forwardings: unknown[]
}

export interface SubnetPoolRecord extends Standard {
  readonly prefixes: string[]
  readonly ip_version: 4 | 6
  readonly default_prefixlen: string
  readonly min_prefixlen: string
  readonly max_prefixlen: string
  readonly address_scope_id: string | null
  readonly shared: boolean
  readonly is_default: boolean
  readonly default_quota: number | null
}

export interface AddressScopeRecord {
  readonly id: string
  readonly name: string
  readonly project_id: string
  readonly tenant_id: string
  readonly ip_version: 4 | 6
  readonly shared: boolean
}
