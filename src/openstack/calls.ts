/** What a cloud can be asked, by service; its answers are in types.ts. */

import type {
  Agent,
  Extension,
  FixedIp,
  Flavor,
  FloatingIp,
  Image,
  InstanceAction,
  InterfaceAttachment,
  IpAvailability,
  KeyPair,
  Network,
  NetworkLog,
  Port,
  Quota,
  Ref,
  Router,
  RouterAgent,
  SecurityGroup,
  SecurityGroupRule,
  Server,
  ServerGroup,
  ServerGroupPolicy,
  Subnet,
  SubnetPool,
  Token,
} from './types.ts'

/** What is to be booted. */
export interface ServerCreate {
  readonly name: string
  readonly flavorRef: string
  /** Not with a block device that is made from an image. */
  readonly imageRef?: string | undefined
  /** `auto` and `none` from 2.37. */
  readonly networks:
    | readonly ({readonly port: string} | {readonly uuid: string | undefined})[]
    | 'auto'
    | 'none'
  /** Base64, 65535 bytes at most. */
  readonly user_data?: string
  readonly config_drive?: boolean
  readonly key_name?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly availability_zone?: string
  readonly security_groups?: readonly {readonly name: string}[]
  readonly block_device_mapping_v2?: readonly BlockDevice[]
}

/** A volume that Nova makes from an image, to boot from. */
export interface BlockDevice {
  readonly boot_index: number
  /** Of the image. */
  readonly uuid: string
  readonly source_type: 'image'
  readonly destination_type: 'volume'
  /** GB */
  readonly volume_size: number
  readonly delete_on_termination: boolean
}

/** Beside the server in the body: `group` is a server group's id. */
export interface SchedulerHints {
  readonly group: string
}

export interface PortCreate {
  readonly network_id: string
  readonly name?: string
  readonly project_id?: string
  readonly security_groups?: readonly string[]
  readonly fixed_ips?: readonly Partial<FixedIp>[]
  readonly description?: string
  readonly device_owner?: string
  readonly device_id?: string
  readonly 'binding:host_id'?: string
}

/** A rule to be made; what is absent is any. */
export type SecurityGroupRuleCreate = Pick<
  SecurityGroupRule,
  'security_group_id' | 'direction' | 'ethertype'
> &
  Partial<Omit<SecurityGroupRule, 'id'>>

export interface FloatingIpCreate {
  readonly floating_network_id: string
  /** Associated in the same call. */
  readonly port_id?: string
  readonly description?: string
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
  /**
   * Takes a validated token of somebody with the same rights, where it lives longer than the one that there is: for who has no secret
   * to get one by.
   */
  adopt(token: Token): void
  /** When the token that there is ends, epoch ms; undefined: there is none. */
  readonly until: number | undefined
  /** Revokes the current token. */
  revoke(): Promise<void>
  projects(): Promise<readonly Ref[]>
}

export interface Compute {
  servers(filter?: Filter): Promise<readonly Server[]>
  server(id: string): Promise<Server>
  createServer(server: ServerCreate, hints?: SchedulerHints): Promise<{readonly id: string}>
  deleteServer(id: string): Promise<void>
  startServer(id: string): Promise<void>
  stopServer(id: string): Promise<void>
  rebootServer(id: string, how: 'SOFT' | 'HARD'): Promise<void>
  interfaces(serverId: string): Promise<readonly InterfaceAttachment[]>
  attachPort(serverId: string, portId: string): Promise<InterfaceAttachment>
  detachPort(serverId: string, portId: string): Promise<void>
  instanceActions(serverId: string): Promise<readonly InstanceAction[]>
  /** The last `lines` lines of the console, all that Nova has when absent. */
  consoleLog(serverId: string, lines?: number): Promise<string>
  keyPairs(): Promise<readonly KeyPair[]>
  keyPair(name: string): Promise<KeyPair>
  flavors(filter?: Filter): Promise<readonly Flavor[]>
  /** Limits of the project and what it uses of them (`maxTotalCores`, `totalCoresUsed`); -1 is no limit. */
  limits(): Promise<Readonly<Record<string, number>>>
  /** Names of those that are available. */
  availabilityZones(): Promise<readonly string[]>
  serverGroups(): Promise<readonly ServerGroup[]>
  createServerGroup(group: {readonly name: string; readonly policy: ServerGroupPolicy}): Promise<ServerGroup>
  deleteServerGroup(id: string): Promise<void>
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
  createFloatingIp(wanted: FloatingIpCreate): Promise<FloatingIp>
  /** `port_id: null` takes it from its port. */
  updateFloatingIp(
    id: string,
    change: {readonly port_id?: string | null; readonly description?: string},
  ): Promise<FloatingIp>
  deleteFloatingIp(id: string): Promise<void>
  securityGroups(filter?: Filter): Promise<readonly SecurityGroup[]>
  /** Neutron puts two rules into it that let everything out. */
  createSecurityGroup(wanted: {readonly name: string; readonly description?: string}): Promise<SecurityGroup>
  deleteSecurityGroup(id: string): Promise<void>
  createSecurityGroupRule(rule: SecurityGroupRuleCreate): Promise<SecurityGroupRule>
  deleteSecurityGroupRule(id: string): Promise<void>
  ipAvailabilities(filter?: Filter): Promise<readonly IpAvailability[]>
  subnetPools(filter?: Filter): Promise<readonly SubnetPool[]>
  /** By default only an admin sees them; a cloud without the extension `logging` knows nothing of them. */
  logs(filter?: Filter): Promise<readonly NetworkLog[]>
  extensions(): Promise<readonly Extension[]>
  /** By resource (`port`, `floatingip`, `security_group`), what is used counted. */
  quotas(projectId: string): Promise<Readonly<Record<string, Quota>>>
}

export interface Images {
  image(id: string): Promise<Image>
  /** Without a filter: public ones, the project's own, and those shared with it that it has accepted. */
  images(filter?: Filter): Promise<readonly Image[]>
}
