import type {
  Flavor,
  Image,
  Network,
  NetworkTraits,
  Port,
  Quota,
  Router,
  Subnet,
} from '../../../openstack/index.ts'

/** What the service's own account sees of the cloud, as far as a gate is chosen by it. */
export interface Seen {
  /** Of the account: where gates are made. */
  readonly project: string
  readonly images: readonly Image[]
  readonly flavors: readonly Flavor[]
  /** Is there a volume service? */
  readonly volumes: boolean
  /** Nova's, by its own names; -1 is no limit. */
  readonly limits: Readonly<Record<string, number>>
  /** Neutron's, by resource; empty where it does not tell. */
  readonly quotas: Readonly<Record<string, Quota>>
  /** The project's own, shared and external ones: a role that shows the account tenants' networks changes nothing. */
  readonly networks: readonly SeenNetwork[]
  readonly subnets: readonly SeenSubnet[]
  readonly routers: readonly SeenRouter[]
  /** Ports of the project's routers. */
  readonly legs: readonly Pick<Port, 'device_id' | 'fixed_ips'>[]
  /** Of Nova, those that are available. */
  readonly zones: readonly string[]
  /** What clouds.yaml says of networks, in its order. */
  readonly traits: readonly NetworkTraits[]
}

export type SeenNetwork = Pick<Network, 'id' | 'name' | 'project_id' | 'shared' | 'router:external'>
export type SeenSubnet = Pick<
  Subnet,
  'id' | 'name' | 'network_id' | 'project_id' | 'ip_version' | 'cidr' | 'gateway_ip'
>
export type SeenRouter = Pick<
  Router,
  | 'id'
  | 'project_id'
  | 'status'
  | 'admin_state_up'
  | 'external_gateway_info'
  | 'external_gateways'
  | 'created_at'
>
