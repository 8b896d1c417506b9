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
  readonly 'OS-EXT-AZ:availability_zone'?: string
  readonly 'OS-EXT-SRV-ATTR:host'?: string
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
  readonly 'binding:host_id'?: string
}

export interface PortCreate {
  readonly network_id: string
  readonly name?: string
  readonly project_id?: string
  readonly security_groups?: readonly string[]
  readonly fixed_ips?: readonly Partial<FixedIp>[]
  readonly description?: string
  readonly device_owner?: string
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
  readonly distributed?: boolean
  readonly ha?: boolean
  readonly flavor_id?: string | null
  readonly routes?: readonly {readonly destination: string; readonly nexthop: string}[]
  readonly enable_ndp_proxy?: boolean
}

export interface SecurityGroup {
  readonly id: string
  readonly name: string
  readonly project_id: string
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
  readonly limit: number
  readonly used: number
  readonly reserved: number
}

export interface Image {
  readonly id: string
  readonly name: string
  readonly os_admin_user?: string
  readonly os_distro?: string
}

/** Filter of a listing: an array repeats the key, which Neutron reads as SQL IN. */
export type Filter = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export interface Identity {
  /** The current token, authenticating first if there is none or it is about to expire. */
  token(): Promise<Token>
  /** Validates a token with itself (X-Subject-Token = X-Auth-Token), which every user may. 401 when it is not valid. */
  validate(token: string): Promise<Token>
  /** Lets the current token be: the next call gets one with the roles that the user has by then. */
  renew(): void
  /** Revokes the current token. */
  revoke(): Promise<void>
  projects(): Promise<readonly Ref[]>
}

export interface Compute {
  servers(filter?: Filter): Promise<readonly Server[]>
  server(id: string): Promise<Server>
  createServer(body: Readonly<Record<string, unknown>>): Promise<{readonly id: string}>
  deleteServer(id: string): Promise<void>
  interfaces(serverId: string): Promise<readonly InterfaceAttachment[]>
  attachPort(serverId: string, portId: string): Promise<InterfaceAttachment>
  detachPort(serverId: string, portId: string): Promise<void>
  instanceActions(serverId: string): Promise<readonly InstanceAction[]>
  /** The last `lines` lines of the console, all that Nova has when absent. */
  consoleLog(serverId: string, lines?: number): Promise<string>
  keyPairs(): Promise<readonly KeyPair[]>
  keyPair(name: string): Promise<KeyPair>
}

export interface Networking {
  networks(filter?: Filter): Promise<readonly Network[]>
  network(id: string): Promise<Network>
  subnets(filter?: Filter): Promise<readonly Subnet[]>
  ports(filter?: Filter): Promise<readonly Port[]>
  port(id: string): Promise<Port>
  createPort(port: PortCreate): Promise<Port>
  updatePort(id: string, change: Readonly<Record<string, unknown>>): Promise<Port>
  deletePort(id: string): Promise<void>
  /** Replaces the port's tags. */
  tagPort(id: string, tags: readonly string[]): Promise<void>
  routers(filter?: Filter): Promise<readonly Router[]>
  router(id: string): Promise<Router>
  routerAgents(routerId: string): Promise<readonly RouterAgent[]>
  agents(filter?: Filter): Promise<readonly Agent[]>
  floatingIps(filter?: Filter): Promise<readonly FloatingIp[]>
  securityGroups(filter?: Filter): Promise<readonly SecurityGroup[]>
  ipAvailabilities(filter?: Filter): Promise<readonly IpAvailability[]>
  subnetPools(filter?: Filter): Promise<readonly SubnetPool[]>
  extensions(): Promise<readonly Extension[]>
  quota(projectId: string, resource: string): Promise<Quota>
}

export interface Images {
  image(id: string): Promise<Image>
  images(filter?: Filter): Promise<readonly Image[]>
}
