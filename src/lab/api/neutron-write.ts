import type {FastifyInstance, FastifyRequest} from 'fastify'
import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import {makeRule} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import {allocate, range} from '../ops/addresses.ts'
import {createGroup, createNetwork, createPort, createSubnet, touch} from '../ops/networks.ts'
import {checkQuota} from '../ops/quota.ts'
import type {
  Cloud,
  FixedIp,
  NetworkRecord,
  PortRecord,
  SecurityGroupRuleRecord,
  Standard,
  SubnetRecord,
} from '../state.ts'
import {type Caller, callerOf} from './caller.ts'
import {networkVisible, type Resource, resources, show} from './neutron-resources.ts'

type Params = Record<string, string>
type Body = Record<string, Record<string, unknown>>
export const base = '/network/v2.0'

/** The body's one object. @throws ApiFault 400 */
export function bodyOf(request: FastifyRequest, singular: string): Record<string, unknown> {
  const given = (request.body as Body | undefined)?.[singular]
  if (typeof given !== 'object' || given === null) {
    throw neutronFault(400, 'HTTPBadRequest', `Unable to find '${singular}' in request body`)
  }
  return given
}

/** Who may create this, and for which project. @throws ApiFault 401, 403 */
export function creator(
  cloud: Cloud,
  request: FastifyRequest,
  singular: string,
  given: Record<string, unknown>,
) {
  const who = callerOf(cloud, request)
  const projectId = String(given['project_id'] ?? given['tenant_id'] ?? who.projectId)
  if (!who.admin && (!who.member || projectId !== who.projectId))
    throw neutronForbidden(`rule:create_${singular}`)
  return {who, projectId}
}

/** An existing record that the caller may change. @throws ApiFault 401, 404, 403 for readers */
export function writable<T extends {project_id: string}>(
  cloud: Cloud,
  request: FastifyRequest,
  map: Map<string, T>,
  kind: string,
  rule: string,
): {who: Caller; record: T} {
  const who = callerOf(cloud, request)
  const id = (request.params as Params)['id'] ?? ''
  const record = map.get(id)
  if (!record || (!who.admin && record.project_id !== who.projectId)) throw neutronNotFound(kind, id)
  if (!who.admin && !who.member) throw neutronForbidden(`rule:${rule}`)
  return {who, record}
}

function pick(given: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter(key => given[key] !== undefined).map(key => [key, given[key]]))
}

/** The resource's view of a fresh or changed record. */
export function answer(cloud: Cloud, who: Caller, plural: string, record: object): Record<string, unknown> {
  const resource = resources.find(one => one.plural === plural) as Resource
  return {[resource.singular]: show(resource, cloud, who, record as Record<string, unknown>)}
}

/** Ports: created, changed, deleted. */
export function ports(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/ports`, (request, reply) => {
    const given = bodyOf(request, 'port')
    const {who, projectId} = creator(cloud, request, 'port', given)
    const networkId = String(given['network_id'] ?? '')
    if (!networkVisible(cloud, who, networkId)) throw neutronNotFound('Network', networkId)
    checkAdminFields(who, given)
    checkGroups(cloud, who, given['security_groups'])
    const wanted = pick(given, [
      'name',
      'description',
      'device_id',
      'device_owner',
      'mac_address',
      'admin_state_up',
      'security_groups',
      'port_security_enabled',
      'binding:host_id',
      'binding:vnic_type',
      'allowed_address_pairs',
    ])
    const fixed_ips = given['fixed_ips'] as Partial<FixedIp>[] | undefined
    const port = createPort(cloud, {...wanted, project_id: projectId, network_id: networkId, fixed_ips})
    return reply.code(201).send(answer(cloud, who, 'ports', port))
  })
  app.put(`${base}/ports/:id`, async request => {
    const {who, record} = writable(cloud, request, cloud.ports, 'Port', 'update_port')
    const given = bodyOf(request, 'port')
    checkAdminFields(who, given)
    checkGroups(cloud, who, given['security_groups'])
    if (given['fixed_ips'] !== undefined) {
      const mine = record.fixed_ips
      record.fixed_ips = []
      try {
        record.fixed_ips = allocate(cloud, record.network_id, given['fixed_ips'] as Partial<FixedIp>[])
      } catch (error) {
        record.fixed_ips = mine
        throw error
      }
    }
    Object.assign(
      record,
      pick(given, [
        'name',
        'description',
        'device_id',
        'device_owner',
        'admin_state_up',
        'security_groups',
        'port_security_enabled',
        'binding:host_id',
        'allowed_address_pairs',
      ]),
    )
    touch(record)
    await fabric.syncSecurity(record.security_groups)
    return answer(cloud, who, 'ports', record)
  })
  app.delete(`${base}/ports/:id`, async (request, reply) => {
    const {record} = writable(cloud, request, cloud.ports, 'Port', 'delete_port')
    await removePort(cloud, fabric, record)
    return reply.code(204).send()
  })
}

function checkAdminFields(who: Caller, given: Record<string, unknown>): void {
  if (who.admin) return
  for (const field of ['binding:host_id', 'binding:profile']) {
    if (given[field] !== undefined) throw neutronForbidden(`(rule:create_port and rule:create_port:${field})`)
  }
}

function checkGroups(cloud: Cloud, who: Caller, groups: unknown): void {
  if (groups === undefined || groups === null) return
  for (const id of groups as string[]) {
    const group = cloud.security_groups.get(id)
    if (!group || (!who.admin && group.project_id !== who.projectId))
      throw neutronNotFound('SecurityGroup', id)
  }
}

async function removePort(cloud: Cloud, fabric: Fabric, port: PortRecord): Promise<void> {
  if (port.device_owner.startsWith('network:')) {
    throw neutronFault(
      409,
      'ServicePortInUse',
      `Port ${port.id} cannot be deleted directly via the port API: has device owner ${port.device_owner}.`,
    )
  }
  const server = cloud.servers.get(port.device_id)
  if (server) {
    await fabric.unplug(server, port)
    server.ports.splice(server.ports.indexOf(port.id), 1)
  }
  cloud.ports.delete(port.id)
}

/** Networks and subnets. */
export function networks(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/networks`, (request, reply) => {
    const given = bodyOf(request, 'network')
    const {who, projectId} = creator(cloud, request, 'network', given)
    const admins = ['provider:network_type', 'router:external', 'shared'].find(
      field => given[field] !== undefined,
    )
    if (admins && !who.admin)
      throw neutronForbidden(`(rule:create_network and rule:create_network:${admins})`)
    const wanted = pick(given, [
      'name',
      'description',
      'mtu',
      'shared',
      'router:external',
      'admin_state_up',
      'port_security_enabled',
      'provider:network_type',
      'provider:physical_network',
      'provider:segmentation_id',
    ])
    const network = createNetwork(cloud, {...wanted, project_id: projectId} as Partial<NetworkRecord> & {
      project_id: string
    })
    return reply.code(201).send(answer(cloud, who, 'networks', network))
  })
  app.delete(`${base}/networks/:id`, async (request, reply) => {
    const {record} = writable(cloud, request, cloud.networks, 'Network', 'delete_network')
    const inUse = [...cloud.ports.values()].filter(port => port.network_id === record.id)
    if (inUse.length > 0) {
      const ids = inUse.map(port => port.id).join(',')
      throw neutronFault(
        409,
        'NetworkInUse',
        `Unable to complete operation on network ${record.id}. There are one or more ports still in use on the network, id for these ports is: ${ids}.`,
      )
    }
    for (const id of record.subnets) cloud.subnets.delete(id)
    cloud.networks.delete(record.id)
    await fabric.removeNetwork(record.id)
    return reply.code(204).send()
  })
  app.post(`${base}/subnets`, (request, reply) => {
    const given = bodyOf(request, 'subnet')
    const {who, projectId} = creator(cloud, request, 'subnet', given)
    const network = cloud.networks.get(String(given['network_id']))
    if (!network || (!who.admin && network.project_id !== who.projectId))
      throw neutronNotFound('Network', String(given['network_id']))
    const cidr = String(given['cidr'] ?? '')
    try {
      range(cidr)
    } catch {
      throw neutronFault(
        400,
        'HTTPBadRequest',
        `Invalid input for cidr. Reason: '${cidr}' is not a valid IP subnet.`,
      )
    }
    const wanted = pick(given, [
      'name',
      'description',
      'gateway_ip',
      'allocation_pools',
      'enable_dhcp',
      'dns_nameservers',
      'host_routes',
      'service_types',
      'ipv6_ra_mode',
      'ipv6_address_mode',
      'subnetpool_id',
    ])
    const subnet = createSubnet(cloud, {
      ...(wanted as Partial<SubnetRecord>),
      project_id: projectId,
      network_id: network.id,
      cidr,
    })
    return reply.code(201).send(answer(cloud, who, 'subnets', subnet))
  })
  app.delete(`${base}/subnets/:id`, (request, reply) => {
    const {record} = writable(cloud, request, cloud.subnets, 'Subnet', 'delete_subnet')
    if ([...cloud.ports.values()].some(port => port.fixed_ips.some(ip => ip.subnet_id === record.id))) {
      throw neutronFault(
        409,
        'SubnetInUse',
        `Unable to complete operation on subnet ${record.id}: One or more ports have an IP allocation from this subnet.`,
      )
    }
    const network = cloud.networks.get(record.network_id)
    if (network) network.subnets = network.subnets.filter(id => id !== record.id)
    cloud.subnets.delete(record.id)
    return reply.code(204).send()
  })
}

/** Security groups and their rules. */
export function securityGroups(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/security-groups`, (request, reply) => {
    const given = bodyOf(request, 'security_group')
    const {who, projectId} = creator(cloud, request, 'security_group', given)
    checkQuota(cloud, projectId, 'security_group')
    const group = createGroup(cloud, {
      ...pick(given, ['name', 'description', 'stateful']),
      project_id: projectId,
    })
    const rules = [...cloud.security_group_rules.values()].filter(rule => rule.security_group_id === group.id)
    return reply
      .code(201)
      .send(answer(cloud, who, 'security_groups', {...group, security_group_rules: rules}))
  })
  app.delete(`${base}/security-groups/:id`, (request, reply) => {
    const {record} = writable(cloud, request, cloud.security_groups, 'SecurityGroup', 'delete_security_group')
    if ([...cloud.ports.values()].some(port => port.security_groups.includes(record.id))) {
      throw neutronFault(409, 'SecurityGroupInUse', `Security Group ${record.id} in use.`)
    }
    for (const rule of [...cloud.security_group_rules.values()]) {
      if (rule.security_group_id === record.id) cloud.security_group_rules.delete(rule.id)
    }
    cloud.security_groups.delete(record.id)
    return reply.code(204).send()
  })
  app.post(`${base}/security-group-rules`, async (request, reply) => {
    const given = bodyOf(request, 'security_group_rule')
    const {who, projectId} = creator(cloud, request, 'security_group_rule', given)
    checkGroups(cloud, who, [given['security_group_id']])
    if (given['remote_group_id']) checkGroups(cloud, who, [given['remote_group_id']])
    checkQuota(cloud, projectId, 'security_group_rule')
    const wanted = pick(given, [
      'description',
      'ethertype',
      'protocol',
      'port_range_min',
      'port_range_max',
      'remote_ip_prefix',
      'remote_group_id',
    ]) as Partial<SecurityGroupRuleRecord>
    const direction = given['direction'] === 'egress' ? 'egress' : 'ingress'
    const rule = makeRule({
      ...wanted,
      project_id: projectId,
      security_group_id: String(given['security_group_id']),
      direction,
    })
    cloud.security_group_rules.set(rule.id, rule)
    await fabric.syncSecurity([rule.security_group_id])
    return reply.code(201).send(answer(cloud, who, 'security_group_rules', rule))
  })
  app.delete(`${base}/security-group-rules/:id`, async (request, reply) => {
    const {record} = writable(
      cloud,
      request,
      cloud.security_group_rules,
      'SecurityGroupRule',
      'delete_security_group_rule',
    )
    cloud.security_group_rules.delete(record.id)
    await fabric.syncSecurity([record.security_group_id])
    return reply.code(204).send()
  })
}

/** Tags of any resource that has them. */
export function tags(app: FastifyInstance, cloud: Cloud): void {
  const find = (request: FastifyRequest): Standard => {
    const {collection = '', id = ''} = request.params as Params
    const resource = resources.find(one => one.path === collection)
    const maps: Record<string, Map<string, unknown>> = {
      networks: cloud.networks,
      subnets: cloud.subnets,
      ports: cloud.ports,
      routers: cloud.routers,
      'security-groups': cloud.security_groups,
      floatingips: cloud.floatingips,
    }
    const map = maps[collection] as Map<string, Standard> | undefined
    if (!resource || !map) throw neutronFault(404, 'HTTPNotFound', 'The resource could not be found.')
    return writable(cloud, request, map, resource.kind, `update_${resource.singular}_tags`).record
  }
  app.get(`${base}/:collection/:id/tags`, request => ({tags: find(request).tags}))
  app.put<{Body: {tags?: string[]}}>(`${base}/:collection/:id/tags`, request => {
    const record = find(request)
    record.tags = [...new Set(request.body?.tags ?? [])]
    touch(record)
    return {tags: record.tags}
  })
  app.put<{Params: Params}>(`${base}/:collection/:id/tags/:tag`, (request, reply) => {
    const record = find(request)
    record.tags = [...new Set([...record.tags, request.params['tag'] ?? ''])]
    return reply.code(201).send()
  })
  app.delete<{Params: Params}>(`${base}/:collection/:id/tags/:tag`, (request, reply) => {
    const record = find(request)
    record.tags = record.tags.filter(tag => tag !== request.params['tag'])
    return reply.code(204).send()
  })
}
