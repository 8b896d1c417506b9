import type {FastifyInstance} from 'fastify'

import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import {
  type Association,
  associate,
  createFloatingIp,
  deleteFloatingIp,
  portDetails,
} from '../ops/floating.ts'
import type {Cloud, FloatingIpRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {networkVisible} from './neutron-resources.ts'
import {answer, base, bodyOf, creator, pick, writable} from './neutron-write.ts'

/** A port that the caller does not see is one that is not there. @throws ApiFault 404 */
function checkPort(cloud: Cloud, who: Caller, id: unknown): void {
  const port = cloud.ports.get(String(id))
  const seen = port && (who.admin || who.advsvc || port.project_id === who.projectId)
  if (id && !seen) throw neutronNotFound('Port', String(id))
}

/** Floating IPs: created, led to ports, given back. */
export function floatingIps(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  /** The answer comes before the agent has wired it, so with the status of before. */
  const view = (who: Caller, floating: FloatingIpRecord, status: string) =>
    answer(who, 'floatingips', {...floating, status, port_details: portDetails(cloud, floating.port_id)})
  app.post(`${base}/floatingips`, async (request, reply) => {
    const given = bodyOf(request, 'floatingip')
    const {who, projectId} = creator(cloud, request, 'floatingip', given)
    if (given['floating_ip_address'] !== undefined && !who.admin)
      throw neutronForbidden('(rule:create_floatingip and rule:create_floatingip:floating_ip_address)')
    if (given['floating_network_id'] === undefined)
      throw neutronFault(
        400,
        'HTTPBadRequest',
        "Failed to parse request. Required attribute 'floating_network_id' not specified",
      )
    const networkId = String(given['floating_network_id'])
    if (!networkVisible(cloud, who, networkId)) throw neutronNotFound('Network', networkId)
    checkPort(cloud, who, given['port_id'])
    const wanted = pick(given, ['port_id', 'fixed_ip_address', 'floating_ip_address', 'description'])
    const floating = await createFloatingIp(cloud, fabric, {
      ...(wanted as Association),
      project_id: projectId,
      floating_network_id: networkId,
    })
    return reply.code(201).send(view(who, floating, 'DOWN'))
  })
  app.put(`${base}/floatingips/:id`, async request => {
    const {who, record} = writable(cloud, request, cloud.floatingips, 'FloatingIP', 'update_floatingip')
    const given = bodyOf(request, 'floatingip')
    checkPort(cloud, who, given['port_id'])
    const before = record.status
    if (given['description'] !== undefined) record.description = String(given['description'])
    // without a port_id the association stays as it is
    const port_id = given['port_id'] === undefined ? record.port_id : (given['port_id'] as string | null)
    const fixed =
      given['port_id'] === undefined && given['fixed_ip_address'] === undefined
        ? record.fixed_ip_address
        : (given['fixed_ip_address'] as string | undefined)
    await associate(cloud, fabric, record, {port_id, ...(fixed ? {fixed_ip_address: fixed} : {})})
    return view(who, record, before)
  })
  app.delete(`${base}/floatingips/:id`, async (request, reply) => {
    const {record} = writable(cloud, request, cloud.floatingips, 'FloatingIP', 'delete_floatingip')
    await deleteFloatingIp(cloud, fabric, record)
    return reply.code(204).send()
  })
}
