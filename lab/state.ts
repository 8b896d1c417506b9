/**
 * The lab cloud's whole data: plain Maps of records. The records carry the API's own field names and hold what an
 * administrator sees; what others see is cut down in lab/api. Nothing here touches the kernel: a record becomes
 * a bridge, a router or a guest only when an operation of lab/ops plugs something into it, so that tests may put
 * any number of "paper" routers, agents and ports here.
 */
import type {
  AddressScopeRecord,
  AgentRecord,
  AppCredential,
  Assignment,
  Flavor,
  FloatingIpRecord,
  ImageRecord,
  KeyPairRecord,
  NetworkRecord,
  PortRecord,
  Project,
  RouterRecord,
  SecurityGroupRecord,
  SecurityGroupRuleRecord,
  ServerGroupRecord,
  ServerRecord,
  SubnetPoolRecord,
  SubnetRecord,
  TokenRecord,
  User,
} from './records.ts'

export type * from './records.ts'

/** A fault that a test asked for, see lab/api/faults.ts. */
export interface InjectedFault {
  /** `METHOD /path`, the path as a prefix in which `*` stands for one segment; with `$` at its end it is the whole path. */
  readonly match: string
  /** Answer this instead of doing the work. */
  readonly status?: number
  readonly body?: unknown
  /** How many requests meet it; for ever when absent. */
  times?: number
  readonly delay_ms?: number
  /** `answer` (default): instead of the work. `after`: the work is done, the answer is lost. `drop`: the connection is cut. `no-nic`: an attach answers 200 but no interface appears. Of a boot, `no-host`: the server ends in ERROR, as no valid host was found; `deaf`: it becomes ACTIVE, but its guest was not started and never answers; `no-user-data`: its guest has boot data that say nothing, as where the image does not read them. `no-console`: a console log is empty. */
  readonly effect?:
    | 'answer'
    | 'after'
    | 'drop'
    | 'no-nic'
    | 'no-host'
    | 'deaf'
    | 'no-user-data'
    | 'no-console'
}

export interface Cloud {
  readonly name: string
  /** Base of the API, e.g. http://127.0.0.1:5100; set when the port is known. */
  url: string
  /** What the catalog says of the service of type `ssh`. */
  ssh_endpoint: string
  readonly region: string
  /** Life of a new token, seconds. */
  token_life: number
  readonly projects: Map<string, Project>
  readonly users: Map<string, User>
  readonly assignments: Assignment[]
  readonly app_credentials: Map<string, AppCredential>
  /** By the token's secret. */
  readonly tokens: Map<string, TokenRecord>
  readonly images: Map<string, ImageRecord>
  readonly flavors: Map<string, Flavor>
  /** By `user_id/name`. */
  readonly keypairs: Map<string, KeyPairRecord>
  readonly servers: Map<string, ServerRecord>
  readonly server_groups: Map<string, ServerGroupRecord>
  readonly networks: Map<string, NetworkRecord>
  readonly subnets: Map<string, SubnetRecord>
  readonly ports: Map<string, PortRecord>
  readonly routers: Map<string, RouterRecord>
  readonly security_groups: Map<string, SecurityGroupRecord>
  readonly security_group_rules: Map<string, SecurityGroupRuleRecord>
  readonly agents: Map<string, AgentRecord>
  readonly floatingips: Map<string, FloatingIpRecord>
  readonly subnetpools: Map<string, SubnetPoolRecord>
  readonly address_scopes: Map<string, AddressScopeRecord>
  /** Router id -> agents that host it, for /routers/ID/l3-agents. */
  readonly router_agents: Map<string, {agent_id: string; ha_state: string | null}[]>
  /** Project id -> resource -> limit, where it differs from the default. */
  readonly quotas: Map<string, Record<string, number>>
  /** Aliases of /extensions. */
  readonly extensions: Set<string>
  readonly faults: InjectedFault[]
}

/** An empty cloud. */
export function emptyCloud(name: string): Cloud {
  return {
    name,
    url: '',
    ssh_endpoint: '',
    region: 'RegionOne',
    token_life: 7200,
    projects: new Map(),
    users: new Map(),
    assignments: [],
    app_credentials: new Map(),
    tokens: new Map(),
    images: new Map(),
    flavors: new Map(),
    keypairs: new Map(),
    servers: new Map(),
    server_groups: new Map(),
    networks: new Map(),
    subnets: new Map(),
    ports: new Map(),
    routers: new Map(),
    security_groups: new Map(),
    security_group_rules: new Map(),
    agents: new Map(),
    floatingips: new Map(),
    subnetpools: new Map(),
    address_scopes: new Map(),
    router_agents: new Map(),
    quotas: new Map(),
    extensions: new Set(),
    faults: [],
  }
}
