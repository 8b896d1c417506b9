import {Adapter} from './adapter.ts'
import type {Filter, Networking} from './calls.ts'
import type {Client} from './client.ts'
import type {Settings} from './merge.ts'
import {
  address,
  boolean,
  checked,
  cidr,
  count,
  id,
  listOf,
  mac,
  mapOf,
  number,
  object,
  oneOf,
  orEmpty,
  orNull,
  type Rules,
  text,
  time,
} from './shape.ts'
import type {
  Agent,
  Extension,
  FloatingIp,
  IpAvailability,
  Network,
  NetworkLog,
  Port,
  Quota,
  Router,
  RouterAgent,
  SecurityGroup,
  Subnet,
  SubnetPool,
} from './types.ts'

const fixedIps = listOf(object({subnet_id: id, ip_address: address}))
const gateway = object({network_id: id, external_fixed_ips: fixedIps})
const routes = listOf(object({destination: cidr, nexthop: address}))
const named: Rules = {id, name: text}
const groupRule: Rules = {
  id,
  security_group_id: id,
  direction: oneOf('ingress', 'egress'),
  ethertype: oneOf('IPv4', 'IPv6'),
  protocol: orNull(text),
  port_range_min: orNull(count),
  port_range_max: orNull(count),
  remote_ip_prefix: orNull(cidr),
  remote_group_id: orNull(id),
}
const rules = {
  network: {...named, project_id: orEmpty(id), mtu: number, subnets: listOf(id)},
  subnet: {
    ...named,
    network_id: id,
    cidr,
    gateway_ip: orNull(orEmpty(address)),
    host_routes: routes,
    service_types: listOf(text),
  },
  port: {
    ...named,
    network_id: id,
    project_id: orEmpty(id),
    mac_address: mac,
    device_id: text,
    device_owner: text,
    'binding:host_id': text,
    description: orNull(text),
    fixed_ips: fixedIps,
    security_groups: listOf(id),
  },
  router: {
    ...named,
    project_id: orEmpty(id),
    external_gateway_info: orNull(gateway),
    external_gateways: listOf(gateway),
    conntrack_helpers: orNull(listOf(object({helper: text}))),
    routes,
    created_at: time,
  },
  // OVN's agents have the chassis' names for IDs.
  agent: {id: text, agent_type: text, host: text, configurations: object({})},
  floatingip: {
    id,
    floating_ip_address: orNull(address),
    fixed_ip_address: orNull(address),
    floating_network_id: id,
    port_id: orNull(id),
    project_id: orEmpty(id),
    description: orNull(text),
  },
  security_group: {
    ...named,
    project_id: orEmpty(id),
    description: orNull(text),
    security_group_rules: listOf(object(groupRule)),
  },
  security_group_rule: groupRule,
  availability: {network_id: id, subnet_ip_availability: listOf(object({subnet_id: id, cidr}))},
  subnetpool: named,
  log: {id, resource_type: text, resource_id: orNull(text), enabled: boolean},
  extension: {alias: text},
  server: named,
} satisfies Record<string, Rules>

/**
 * Rows of a listing that did not come from the API itself, e.g. from a file, held against the same rules.
 * @throws OpenStackError `server`
 */
export function checkedRows<T>(
  kind: keyof typeof rules,
  rows: readonly Readonly<Record<string, unknown>>[],
): T[] {
  return rows.map(row => checked<T>('network', kind, row, rules[kind]))
}

/** Where the API keeps what we make. */
const collections = {
  port: 'ports',
  floatingip: 'floatingips',
  security_group: 'security-groups',
  security_group_rule: 'security-group-rules',
} as const
type Written = keyof typeof collections

/** Neutron 2.0. */
export function networkOf(client: Client): Networking {
  const versioned = (pathname: string) => (/\/v2\.0$/.test(pathname) ? pathname : `${pathname}/v2.0`)
  const neutron = new Adapter(client, {type: 'network', versioned})
  const list = async <T>(
    path: string,
    kind: keyof typeof rules,
    filter?: Filter,
    key = path.replaceAll('-', '_'),
  ): Promise<T[]> => {
    const entries = await neutron.list(path.split('/'), key, filter)
    return entries.map(entry => as<T>(kind, entry))
  }
  const as = <T>(kind: keyof typeof rules, value: Settings) => checked<T>('network', kind, value, rules[kind])
  /** Makes (POST) or changes (PUT) one. */
  const write = async <T>(method: 'POST' | 'PUT', kind: Written, path: readonly string[], change: object) => {
    const answer = await neutron.show(method, [collections[kind], ...path], kind, {body: {[kind]: change}})
    return as<T>(kind, answer)
  }
  const remove = async (kind: Written, one: string) => {
    await neutron.call('DELETE', [collections[kind], one])
  }
  return {
    networks: filter => list<Network>('networks', 'network', filter),
    network: async networkId =>
      as<Network>('network', await neutron.show('GET', ['networks', networkId], 'network')),
    subnets: filter => list<Subnet>('subnets', 'subnet', filter),
    ports: filter => list<Port>('ports', 'port', filter),
    port: async portId => as<Port>('port', await neutron.show('GET', ['ports', portId], 'port')),
    createPort: wanted => write('POST', 'port', [], wanted),
    updatePort: (portId, change) => write('PUT', 'port', [portId], change),
    deletePort: portId => remove('port', portId),
    async tagPort(portId, tags) {
      await neutron.call('PUT', ['ports', portId, 'tags'], {body: {tags}})
    },
    routers: filter => list<Router>('routers', 'router', filter),
    router: async routerId =>
      as<Router>('router', await neutron.show('GET', ['routers', routerId], 'router')),
    async routerAgents(routerId) {
      const agents = await neutron.list(['routers', routerId, 'l3-agents'], 'agents')
      return agents.map(agent => as<RouterAgent>('agent', agent))
    },
    agents: filter => list<Agent>('agents', 'agent', filter),
    floatingIps: filter => list<FloatingIp>('floatingips', 'floatingip', filter),
    createFloatingIp: wanted => write('POST', 'floatingip', [], wanted),
    updateFloatingIp: (floatingIpId, change) => write('PUT', 'floatingip', [floatingIpId], change),
    deleteFloatingIp: floatingIpId => remove('floatingip', floatingIpId),
    securityGroups: filter => list<SecurityGroup>('security-groups', 'security_group', filter),
    createSecurityGroup: wanted => write('POST', 'security_group', [], wanted),
    deleteSecurityGroup: groupId => remove('security_group', groupId),
    createSecurityGroupRule: rule => write('POST', 'security_group_rule', [], rule),
    deleteSecurityGroupRule: ruleId => remove('security_group_rule', ruleId),
    ipAvailabilities: filter => list<IpAvailability>('network-ip-availabilities', 'availability', filter),
    subnetPools: filter => list<SubnetPool>('subnetpools', 'subnetpool', filter),
    logs: filter => list<NetworkLog>('log/logs', 'log', filter, 'logs'),
    extensions: () => list<Extension>('extensions', 'extension'),
    async quotas(projectId) {
      const all = await neutron.show('GET', ['quotas', projectId, 'details'], 'quota')
      const rules = {quota: mapOf(object({limit: number, used: number, reserved: number}))}
      return checked<{quota: Record<string, Quota>}>('network', 'quota', {quota: all}, rules).quota
    },
  }
}
