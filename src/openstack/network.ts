import {Adapter} from './adapter.ts'
import type {Client} from './client.ts'
import type {Settings} from './merge.ts'
import {
  address,
  checked,
  cidr,
  id,
  listOf,
  mac,
  number,
  object,
  orEmpty,
  orNull,
  type Rules,
  text,
} from './shape.ts'
import type {
  Agent,
  Extension,
  Filter,
  FloatingIp,
  IpAvailability,
  Network,
  Networking,
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
const rules = {
  network: {...named, project_id: orEmpty(id), mtu: number, subnets: listOf(id)},
  subnet: {...named, network_id: id, cidr, gateway_ip: orNull(orEmpty(address)), host_routes: routes},
  port: {
    ...named,
    network_id: id,
    project_id: orEmpty(id),
    mac_address: mac,
    device_id: text,
    device_owner: text,
    'binding:host_id': text,
    fixed_ips: fixedIps,
    security_groups: listOf(id),
  },
  router: {
    ...named,
    project_id: orEmpty(id),
    external_gateway_info: orNull(gateway),
    external_gateways: listOf(gateway),
    routes,
  },
  // OVN's agents have the chassis' names for IDs.
  agent: {id: text, agent_type: text, host: text, configurations: object({})},
  floatingip: {
    id,
    floating_ip_address: orNull(address),
    fixed_ip_address: orNull(address),
    port_id: orNull(id),
  },
  security_group: named,
  availability: {network_id: id, subnet_ip_availability: listOf(object({subnet_id: id, cidr}))},
  subnetpool: named,
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
  const port = async (method: string, path: string[], change?: unknown) =>
    as<Port>(
      'port',
      await neutron.show(
        method,
        ['ports', ...path],
        'port',
        change === undefined ? {} : {body: {port: change}},
      ),
    )
  return {
    networks: filter => list<Network>('networks', 'network', filter),
    network: async networkId =>
      as<Network>('network', await neutron.show('GET', ['networks', networkId], 'network')),
    subnets: filter => list<Subnet>('subnets', 'subnet', filter),
    ports: filter => list<Port>('ports', 'port', filter),
    port: portId => port('GET', [portId]),
    createPort: wanted => port('POST', [], wanted),
    updatePort: (portId, change) => port('PUT', [portId], change),
    async deletePort(portId) {
      await neutron.call('DELETE', ['ports', portId])
    },
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
    securityGroups: filter => list<SecurityGroup>('security-groups', 'security_group', filter),
    ipAvailabilities: filter => list<IpAvailability>('network-ip-availabilities', 'availability', filter),
    subnetPools: filter => list<SubnetPool>('subnetpools', 'subnetpool', filter),
    extensions: () => list<Extension>('extensions', 'extension'),
    quota: (projectId, resource) => quota(neutron, projectId, resource),
  }
}

async function quota(neutron: Adapter, projectId: string, resource: string): Promise<Quota> {
  const all = await neutron.show('GET', ['quotas', projectId, 'details'], 'quota')
  const one = all[resource]
  const rule = object({limit: number, used: number, reserved: number})
  checked('network', 'quota', {[resource]: one ?? null}, {[resource]: rule})
  return one as Quota
}
