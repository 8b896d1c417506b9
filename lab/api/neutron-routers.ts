import type {FastifyInstance} from 'fastify'

import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import {addRouterInterface, createRouter, setGateway, touch} from '../ops/networks.ts'
import type {Cloud, FloatingIpRecord, PortRecord, RouterRecord} from '../state.ts'
import {callerOf} from './caller.ts'
import {networkVisible} from './neutron-resources.ts'
import {answer, base, bodyOf, creator, writable} from './neutron-write.ts'

type Gateway = Parameters<typeof setGateway>[3]

function portsOf(cloud: Cloud, router: RouterRecord): PortRecord[] {
  return [...cloud.ports.values()].filter(port => port.device_id === router.id)
}

function floatingOf(cloud: Cloud, router: RouterRecord): FloatingIpRecord[] {
  return [...cloud.floatingips.values()].filter(floating => floating.router_id === router.id)
}

/** Routers: created, changed, deleted; their interfaces and agents. */
export function routers(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/routers`, async (request, reply) => {
    const given = bodyOf(request, 'router')
    const {who, projectId} = creator(cloud, request, 'router', given)
    const admins = ['distributed', 'ha'].find(field => given[field] !== undefined)
    if (admins && !who.admin) throw neutronForbidden(`(rule:create_router and rule:create_router:${admins})`)
    const {name, description, distributed, ha} = given as Partial<RouterRecord>
    const router = createRouter(cloud, {
      project_id: projectId,
      ...(name === undefined ? {} : {name}),
      ...(description === undefined ? {} : {description}),
      ...(distributed === undefined ? {} : {distributed}),
      ...(ha === undefined ? {} : {ha}),
    })
    if (given['external_gateway_info'])
      await changeGateway(router, given['external_gateway_info'] as Gateway, who)
    return reply.code(201).send(answer(who, 'routers', router))
  })
  async function changeGateway(router: RouterRecord, wanted: Gateway, who: ReturnType<typeof callerOf>) {
    if (wanted?.network_id && !networkVisible(cloud, who, wanted.network_id))
      throw neutronNotFound('Network', wanted.network_id)
    if (wanted?.enable_snat !== undefined && !who.admin) {
      throw neutronForbidden(
        '(rule:update_router and (rule:update_router:external_gateway_info and rule:update_router:external_gateway_info:enable_snat))',
      )
    }
    const full = wanted && Object.keys(wanted).length > 0 ? wanted : null
    const now = router.external_gateway_info?.network_id
    if (full?.network_id !== now && floatingOf(cloud, router).length > 0)
      throw neutronFault(
        409,
        'RouterExternalGatewayInUseByFloatingIp',
        `Gateway cannot be updated for router ${router.id}, since a gateway to external network ${now} is required by one or more floating IPs.`,
      )
    await setGateway(cloud, fabric, router, full)
  }
  app.put(`${base}/routers/:id`, async request => {
    const {who, record} = writable(cloud, request, cloud.routers, 'Router', 'update_router')
    const given = bodyOf(request, 'router')
    if (given['external_gateway_info'] !== undefined)
      await changeGateway(record, given['external_gateway_info'] as Gateway, who)
    const {name, description, admin_state_up, routes} = given as Partial<RouterRecord>
    Object.assign(
      record,
      Object.fromEntries(
        Object.entries({name, description, admin_state_up, routes}).filter(
          ([, value]) => value !== undefined,
        ),
      ),
    )
    touch(record)
    return answer(who, 'routers', record)
  })
  app.delete(`${base}/routers/:id`, async (request, reply) => {
    const {record} = writable(cloud, request, cloud.routers, 'Router', 'delete_router')
    const ports = portsOf(cloud, record).filter(port => port.device_owner !== 'network:router_gateway')
    if (ports.length > 0) {
      throw neutronFault(
        409,
        'RouterInUse',
        `Router ${record.id} has ports still attached: ${ports.map(port => port.id).join(', ')}`,
      )
    }
    await setGateway(cloud, fabric, record, null)
    cloud.routers.delete(record.id)
    await fabric.syncRouter(record.id)
    return reply.code(204).send()
  })
  interfaces(app, cloud, fabric)
}

function interfaces(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  const reply = (router: RouterRecord, port: PortRecord) => ({
    id: router.id,
    tenant_id: router.tenant_id,
    port_id: port.id,
    network_id: port.network_id,
    subnet_id: port.fixed_ips[0]?.subnet_id,
    subnet_ids: port.fixed_ips.map(ip => ip.subnet_id),
  })
  type Body = {subnet_id?: string; port_id?: string} | undefined
  app.put(`${base}/routers/:id/add_router_interface`, async request => {
    const {who, record} = writable(cloud, request, cloud.routers, 'Router', 'add_router_interface')
    const {subnet_id = '', port_id} = (request.body as Body) ?? {}
    if (port_id !== undefined) {
      const port = cloud.ports.get(port_id)
      if (!port || (!who.admin && port.project_id !== who.projectId)) throw neutronNotFound('Port', port_id)
      if (port.device_id !== '')
        throw neutronFault(
          409,
          'PortInUse',
          `Unable to complete operation on port ${port.id} for network ${port.network_id}. Port already has an attached device ${port.device_id}.`,
        )
      return reply(record, await addRouterInterface(cloud, fabric, record, {port}))
    }
    const subnet = cloud.subnets.get(subnet_id)
    if (!subnet || (!who.admin && subnet.project_id !== who.projectId))
      throw neutronNotFound('Subnet', subnet_id)
    return reply(record, await addRouterInterface(cloud, fabric, record, {subnet}))
  })
  app.put(`${base}/routers/:id/remove_router_interface`, async request => {
    const {record} = writable(cloud, request, cloud.routers, 'Router', 'remove_router_interface')
    const {subnet_id, port_id} = (request.body as Body) ?? {}
    const port = portsOf(cloud, record).find(
      one => one.id === port_id || one.fixed_ips.some(ip => ip.subnet_id === subnet_id),
    )
    if (!port)
      throw neutronFault(
        404,
        'RouterInterfaceNotFoundForSubnet',
        `Router ${record.id} has no interface on subnet ${subnet_id}`,
      )
    const inside = new Set(port.fixed_ips.map(ip => ip.subnet_id))
    const needed = floatingOf(cloud, record).some(floating =>
      cloud.ports
        .get(floating.port_id ?? '')
        ?.fixed_ips.some(ip => ip.ip_address === floating.fixed_ip_address && inside.has(ip.subnet_id)),
    )
    if (needed)
      throw neutronFault(
        409,
        'RouterInterfaceInUseByFloatingIP',
        `Router interface for subnet ${[...inside][0]} on router ${record.id} cannot be deleted, as it is required by one or more floating IPs.`,
      )
    cloud.ports.delete(port.id)
    touch(record)
    await fabric.syncRouter(record.id)
    return reply(record, port)
  })
  app.get<{Params: Record<string, string>}>(`${base}/routers/:id/l3-agents`, request => {
    const who = callerOf(cloud, request)
    const id = request.params['id'] ?? ''
    const router = cloud.routers.get(id)
    if (!router || (!who.admin && router.project_id !== who.projectId)) throw neutronNotFound('Router', id)
    if (!who.admin) throw neutronForbidden('rule:get_l3-agents')
    const hosts = cloud.router_agents.get(id) ?? []
    return {
      agents: hosts.flatMap(({agent_id, ha_state}) => {
        const agent = cloud.agents.get(agent_id)
        return agent ? [{...agent, resource_versions: {}, ha_state}] : []
      }),
    }
  })
}
