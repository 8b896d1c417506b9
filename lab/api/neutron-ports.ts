import type {FastifyInstance} from 'fastify'

import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import {allocate} from '../ops/addresses.ts'
import {dropPort} from '../ops/floating.ts'
import {createPort, touch} from '../ops/networks.ts'
import type {Cloud, FixedIp, PortRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {networkVisible, ownsNetworkOf} from './neutron-resources.ts'
import {answer, base, bodyOf, checkGroups, creator, pick, writable} from './neutron-write.ts'

/** Ports: created, changed, deleted. */
export function ports(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  const onOwn = (who: Caller, port: PortRecord) => ownsNetworkOf(cloud, who, port)
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
    return reply.code(201).send(answer(who, 'ports', port))
  })
  app.put(`${base}/ports/:id`, async request => {
    const {who, record} = writable(cloud, request, cloud.ports, 'Port', 'update_port', onOwn)
    const given = bodyOf(request, 'port')
    checkAdminFields(who, given)
    checkGroups(cloud, who, given['security_groups'], who.admin || who.advsvc)
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
    await fabric.syncSecurity()
    return answer(who, 'ports', record)
  })
  app.delete(`${base}/ports/:id`, async (request, reply) => {
    const {record} = writable(cloud, request, cloud.ports, 'Port', 'delete_port', onOwn)
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
  await dropPort(cloud, fabric, port)
}
