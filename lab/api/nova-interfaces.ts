import type {FastifyInstance, FastifyRequest} from 'fastify'

import {novaFault} from '../fault.ts'
import {attachPort, detachPort, novaPort} from '../ops/servers.ts'
import type {PortRecord, ServerRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {faultOf} from './faults.ts'
import {networkVisible} from './neutron-resources.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {interfaceView} from './nova-view.ts'

type Params = Record<string, string>

interface AttachBody {
  interfaceAttachment?: {port_id?: string; net_id?: string; fixed_ips?: {ip_address?: string}[]}
}

/** The port to attach, existing or made. @throws ApiFault 400 of another project, 404 invisible, 409 in use */
function wantedPort(
  {cloud}: NovaContext,
  who: Caller,
  server: ServerRecord,
  body: AttachBody | undefined,
): PortRecord {
  const asked = body?.interfaceAttachment ?? {}
  if (asked.port_id !== undefined) {
    const port = cloud.ports.get(asked.port_id)
    const visible = port && (who.admin || who.advsvc || port.project_id === who.projectId)
    if (!visible) throw novaFault(404, `Port id ${asked.port_id} could not be found.`)
    if (port.project_id !== server.tenant_id) {
      throw novaFault(400, `Port ${port.id} not usable for instance ${server.id}.`)
    }
    if (port.device_id !== '') throw novaFault(409, `Port ${port.id} is still in use.`)
    const network = cloud.networks.get(port.network_id)
    if (network && !networkVisible(cloud, who, network.id)) {
      // seen on a real cloud: the port's own project may not plug into a network that it does not see
      throw novaFault(500, `Failed to attach network adapter device to ${server.id}`)
    }
    return port
  }
  const network = cloud.networks.get(asked.net_id ?? '')
  if (!network || (!who.admin && network.project_id !== who.projectId && !network.shared)) {
    throw novaFault(404, `Network ${asked.net_id} could not be found.`)
  }
  const fixed = asked.fixed_ips === undefined ? {} : {fixed_ips: asked.fixed_ips}
  return novaPort(cloud, server, {network_id: network.id, ...fixed})
}

function attached(
  {cloud}: NovaContext,
  server: ServerRecord,
  id: string | undefined,
): PortRecord | undefined {
  const port = cloud.ports.get(id ?? '')
  return port && server.ports.includes(port.id) ? port : undefined
}

/** os-interface: hot-plugging. */
export function novaInterfaces(app: FastifyInstance, nova: NovaContext): void {
  const {cloud, fabric} = nova
  const path = `${novaBase}/servers/:id/os-interface`
  const server = (request: FastifyRequest, who: Caller) => nova.server(who, (request.params as Params)['id'])
  app.get(path, request => {
    const found = server(request, nova.caller(request, 'os-attach-interfaces:list'))
    const ports = found.ports.flatMap(id => cloud.ports.get(id) ?? [])
    return {interfaceAttachments: ports.map(interfaceView)}
  })
  app.get<{Params: Params}>(`${path}/:port`, request => {
    const found = server(request, nova.caller(request, 'os-attach-interfaces:show'))
    const port = attached(nova, found, request.params['port'])
    if (!port) throw novaFault(404, `No interface with id ${request.params['port']} on instance ${found.id}`)
    return {interfaceAttachment: interfaceView(port)}
  })
  app.post<{Body: AttachBody}>(path, async request => {
    const who = nova.writer(request, 'os-attach-interfaces:create')
    const target = server(request, who)
    if (target.status !== 'ACTIVE' && target.status !== 'SHUTOFF') {
      throw novaFault(409, `Cannot 'attach_interface' instance ${target.id} while it is in vm_state building`)
    }
    const port = wantedPort(nova, who, target, request.body)
    const appear = faultOf(request)?.effect !== 'no-nic'
    await attachPort(fabric, target, port, appear)
    const view = interfaceView(port) // DOWN: the answer comes before the agent has wired it
    if (appear && target.status === 'ACTIVE') {
      setImmediate(() => {
        if (port.device_id === target.id) port.status = 'ACTIVE'
      })
    }
    return {interfaceAttachment: view}
  })
  app.delete<{Params: Params}>(`${path}/:port`, async (request, reply) => {
    const who = nova.writer(request, 'os-attach-interfaces:delete')
    const target = server(request, who)
    // Nova hands it on to the compute node without a look: 202 for what is not there, too.
    const port = attached(nova, target, request.params['port'])
    if (port) await detachPort(cloud, fabric, target, port)
    return reply.code(202).type('application/json').send()
  })
}
