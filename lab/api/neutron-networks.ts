import type {FastifyInstance} from 'fastify'

import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import {range} from '../ops/addresses.ts'
import {createNetwork, createSubnet} from '../ops/networks.ts'
import type {Cloud, NetworkRecord, SubnetRecord} from '../state.ts'
import {answer, base, bodyOf, creator, pick, writable} from './neutron-write.ts'

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
    return reply.code(201).send(answer(who, 'networks', network))
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
  subnets(app, cloud)
}

function subnets(app: FastifyInstance, cloud: Cloud): void {
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
    return reply.code(201).send(answer(who, 'subnets', subnet))
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
