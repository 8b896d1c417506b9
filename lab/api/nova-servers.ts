import type {FastifyInstance, FastifyRequest} from 'fastify'

import {novaFault, novaForbidden} from '../fault.ts'
import {
  bootServer,
  createServer,
  deleteServer,
  note,
  novaPort,
  rebuildServer,
  stopServer,
} from '../ops/servers.ts'
import type {Cloud, PortRecord, ServerRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {actionView, addresses, microversion, serverLinks, serverView} from './nova-view.ts'

type Params = Record<string, string>
type Query = Record<string, string | string[] | undefined>

const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value)
const yes = (value: string | undefined) => value !== undefined && /^(1|true|t|yes|y|on)$/i.test(value)

function pattern(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw novaFault(400, `Invalid input for query parameters name. Value: ${text}. not a regex`)
  }
}

function select({cloud}: NovaContext, who: Caller, query: Query, rule: string): ServerRecord[] {
  const all = yes(one(query['all_tenants']))
  if (all && !who.admin) throw novaForbidden(`servers:${rule}:get_all_tenants`)
  const project = all ? (one(query['project_id']) ?? one(query['tenant_id'])) : who.projectId
  const name = one(query['name'])
  const fits = name === undefined ? undefined : pattern(name)
  const wanted = {
    status: one(query['status'])?.toUpperCase(),
    host: who.admin ? one(query['host']) : undefined,
  }
  const uuids = query['uuid'] === undefined ? undefined : [query['uuid']].flat()
  const ip = one(query['ip'])
  const found = [...cloud.servers.values()].filter(
    server =>
      (project === undefined || server.tenant_id === project) &&
      (fits === undefined || fits.test(server.name)) &&
      (wanted.status === undefined || server.status === wanted.status) &&
      (wanted.host === undefined || server.host === wanted.host) &&
      (uuids === undefined || uuids.includes(server.id)) &&
      (ip === undefined ||
        JSON.stringify(addresses(cloud, server)).includes(`"addr":"${ip.replace(/[\^$\\]/g, '')}`)),
  )
  return found.reverse() // newest first, as Nova does
}

function page(found: ServerRecord[], query: Query): {shown: ServerRecord[]; more: boolean} {
  const marker = one(query['marker'])
  const at = marker === undefined ? -1 : found.findIndex(server => server.id === marker)
  if (marker !== undefined && at < 0) throw novaFault(400, `marker [${marker}] not found`)
  const asked = Number(one(query['limit']) ?? 1000)
  if (!Number.isInteger(asked) || asked < 0)
    throw novaFault(400, `Invalid input for query parameters limit. Value: ${one(query['limit'])}.`)
  const limit = Math.min(asked || 1000, 1000)
  const rest = found.slice(at + 1)
  return {
    shown: rest.slice(0, limit),
    more: rest.length > limit || (query['limit'] !== undefined && rest.length === limit),
  }
}

function nextLink(cloud: Cloud, request: FastifyRequest, last: string): object[] {
  const url = new URL(cloud.url + request.url)
  url.searchParams.set('marker', last)
  return [{rel: 'next', href: url.href}]
}

interface BootBody {
  server?: {
    name?: string
    flavorRef?: string
    imageRef?: string
    key_name?: string
    user_data?: string
    metadata?: Record<string, string>
    networks?: 'none' | 'auto' | {uuid?: string; port?: string; fixed_ip?: string}[]
    security_groups?: {name: string}[]
  }
}

function groupIds(cloud: Cloud, who: Caller, names: readonly string[] | undefined): string[] | undefined {
  return names?.map(name => {
    const groups = [...cloud.security_groups.values()].filter(group => group.project_id === who.projectId)
    const group = groups.find(candidate => candidate.id === name || candidate.name === name)
    if (!group) throw novaFault(400, `Unable to find security_group with name or id '${name}'`)
    return group.id
  })
}

/** Ports for a boot: the given ones checked, others made. @throws ApiFault 400, 409 */
function bootPorts({cloud}: NovaContext, who: Caller, asked: NonNullable<BootBody['server']>): PortRecord[] {
  const groups = groupIds(
    cloud,
    who,
    asked.security_groups?.map(group => group.name),
  )
  const wanted = Array.isArray(asked.networks) ? asked.networks : []
  return wanted.map(want => {
    if (want.port !== undefined) return givenPort(cloud, who, want.port)
    const network = cloud.networks.get(want.uuid ?? '')
    const own = network && (network.project_id === who.projectId || network.shared || who.admin)
    if (network?.['router:external'] && !own) {
      throw novaFault(403, `It is not allowed to create an interface on external network ${network.id}`)
    }
    if (!own) throw novaFault(400, `Network ${want.uuid} could not be found.`)
    const fixed = want.fixed_ip === undefined ? {} : {fixed_ips: [{ip_address: want.fixed_ip}]}
    return novaPort(
      cloud,
      {tenant_id: who.projectId},
      {network_id: network.id, ...fixed, ...(groups ? {security_groups: groups} : {})},
    )
  })
}

function givenPort(cloud: Cloud, who: Caller, id: string): PortRecord {
  const port = cloud.ports.get(id)
  if (!port || (port.project_id !== who.projectId && !who.admin))
    throw novaFault(400, `Port ${id} could not be found.`)
  if (port.project_id !== who.projectId) throw novaFault(400, `Port ${id} not usable for instance.`)
  if (port.device_id !== '') throw novaFault(409, `Port ${id} is still in use.`)
  return port
}

function checkBoot(cloud: Cloud, body: BootBody | undefined): NonNullable<BootBody['server']> {
  const asked = body?.server
  for (const key of ['name', 'flavorRef'] as const) {
    if (typeof asked?.[key] !== 'string') {
      throw novaFault(
        400,
        `Invalid input for field/attribute server. Value: ${JSON.stringify(asked)}. '${key}' is a required property`,
      )
    }
  }
  if (!asked || asked.name === undefined || asked.name.length > 255 || asked.name.trim() === '') {
    throw novaFault(400, `Invalid input for field/attribute name. Value: ${asked?.name}.`)
  }
  if (!cloud.flavors.has(asked.flavorRef ?? ''))
    throw novaFault(400, `Flavor ${asked.flavorRef} could not be found.`)
  if (!cloud.images.has(asked.imageRef ?? '')) throw novaFault(400, 'Invalid imageRef provided.')
  return asked
}

function boot(nova: NovaContext, request: FastifyRequest): object {
  const {cloud, fabric} = nova
  const who = nova.writer(request, 'servers:create')
  const asked = checkBoot(cloud, request.body as BootBody)
  const limit = cloud.quotas.get(who.projectId)?.['instances'] ?? 50
  const have = [...cloud.servers.values()].filter(server => server.tenant_id === who.projectId).length
  if (have >= limit)
    throw novaFault(
      403,
      `Quota exceeded for instances: Requested 1, but already used ${have} of ${limit} instances`,
    )
  const names = asked.security_groups?.map(group => group.name)
  const server = createServer(
    cloud,
    {
      name: asked.name ?? '',
      tenant_id: who.projectId,
      user_id: who.user.id,
      image_id: asked.imageRef ?? '',
      flavor_id: asked.flavorRef ?? '',
      key_name: asked.key_name ?? null,
      user_data: asked.user_data ?? null,
      metadata: asked.metadata ?? {},
      ...(names ? {security_groups: names} : {}),
    },
    bootPorts(nova, who, asked),
  )
  void bootServer(cloud, fabric, server).catch(error =>
    process.stderr.write(`boot ${server.id}: ${error.message}\n`),
  )
  const groups = server.security_groups.map(name => ({name}))
  return {
    server: {
      id: server.id,
      links: serverLinks(cloud, server.id),
      'OS-DCF:diskConfig': 'MANUAL',
      security_groups: groups,
      adminPass: 'notInUseHere',
    },
  }
}

/** Servers: listing, showing, booting, deleting and their actions. */
export function novaServers(app: FastifyInstance, nova: NovaContext): void {
  const {cloud, fabric} = nova
  app.get<{Querystring: Query}>(`${novaBase}/servers`, request => {
    const who = nova.caller(request, 'servers:index')
    const {shown, more} = page(select(nova, who, request.query, 'index'), request.query)
    const last = shown.at(-1)
    const servers = shown.map(({id, name}) => ({id, name, links: serverLinks(cloud, id)}))
    return {servers, ...(more && last ? {servers_links: nextLink(cloud, request, last.id)} : {})}
  })
  app.get<{Querystring: Query}>(`${novaBase}/servers/detail`, request => {
    const who = nova.caller(request, 'servers:detail')
    const {shown, more} = page(select(nova, who, request.query, 'detail'), request.query)
    const last = shown.at(-1)
    const servers = shown.map(server => serverView(cloud, server, who, microversion(request)))
    return {servers, ...(more && last ? {servers_links: nextLink(cloud, request, last.id)} : {})}
  })
  app.get<{Params: Params}>(`${novaBase}/servers/:id`, request => {
    const who = nova.caller(request, 'servers:show')
    const server = nova.server(who, request.params['id'])
    const minor = microversion(request)
    return {server: {...serverView(cloud, server, who, minor), ...(minor >= 71 ? {server_groups: []} : {})}}
  })
  app.get<{Params: Params}>(`${novaBase}/servers/:id/os-instance-actions`, request => {
    const who = nova.caller(request, 'os-instance-actions:list')
    const server = nova.server(who, request.params['id'])
    return {instanceActions: server.actions.map(one => actionView(server, one, microversion(request)))}
  })
  app.post(`${novaBase}/servers`, (request, reply) => reply.code(202).send(boot(nova, request)))
  app.put<{Params: Params; Body: {server?: {name?: string}}}>(`${novaBase}/servers/:id`, request => {
    const who = nova.writer(request, 'servers:update')
    const server = nova.server(who, request.params['id'])
    server.name = request.body?.server?.name ?? server.name
    return {server: serverView(cloud, server, who, microversion(request))}
  })
  app.delete<{Params: Params}>(`${novaBase}/servers/:id`, async (request, reply) => {
    const who = nova.caller(request, 'servers:delete')
    const server = nova.server(who, request.params['id'])
    if (!who.admin && !who.member) throw novaForbidden('servers:delete')
    await deleteServer(cloud, fabric, server)
    return reply.code(204).type('application/json').send()
  })
  app.post<{Params: Params; Body: Record<string, {length?: number | string} | null>}>(
    `${novaBase}/servers/:id/action`,
    async (request, reply) => {
      const action = Object.keys(request.body ?? {})[0] ?? ''
      const result = await act(nova, request, request.params['id'], action, request.body?.[action] ?? {})
      if (result === undefined) return reply.code(202).send()
      return action === 'rebuild' ? reply.code(202).send(result) : result
    },
  )
}

async function act(
  nova: NovaContext,
  request: FastifyRequest,
  id: string | undefined,
  action: string,
  input: {length?: number | string},
) {
  const {cloud, fabric} = nova
  const rules: Record<string, string> = {
    'os-getConsoleOutput': 'os-console-output',
    'os-start': 'servers:start',
    'os-stop': 'servers:stop',
    reboot: 'servers:reboot',
    rebuild: 'servers:rebuild',
  }
  const rule = rules[action]
  if (rule === undefined) throw novaFault(400, `There is no such action: ${action}`)
  const who = nova.caller(request, rule)
  const server = nova.server(who, id)
  if (!who.admin && !who.member) throw novaForbidden(rule)
  if (action === 'os-getConsoleOutput') return {output: tail(await fabric.console(server), input.length)}
  const need = {'os-start': 'SHUTOFF', 'os-stop': 'ACTIVE'}[action]
  if (need !== undefined && server.status !== need) {
    const state = server.status === 'ACTIVE' ? 'active' : 'stopped'
    const verb = action === 'os-start' ? 'start' : 'stop'
    throw novaFault(409, `Cannot '${verb}' instance ${server.id} while it is in vm_state ${state}`)
  }
  note(server, action.replace(/^os-/, ''), who.user.id)
  if (action === 'rebuild') {
    Object.assign(server, {status: 'REBUILD', task_state: 'rebuilding'})
    void rebuildServer(cloud, fabric, server).catch(error =>
      process.stderr.write(`rebuild ${server.id}: ${error.message}\n`),
    )
    return {server: serverView(cloud, server, who, microversion(request))}
  }
  server.task_state = {'os-start': 'powering-on', 'os-stop': 'powering-off'}[action] ?? 'rebooting'
  const work = async () => {
    if (action !== 'os-start') await stopServer(cloud, fabric, server)
    if (action !== 'os-stop') await bootServer(cloud, fabric, server)
  }
  void work().catch(error => process.stderr.write(`${action} ${server.id}: ${error.message}\n`))
  return undefined
}

function tail(log: string, length: number | string | null | undefined): string {
  const count = Number(length ?? -1)
  if (!Number.isInteger(count))
    throw novaFault(400, `Invalid input for field/attribute length. Value: ${length}.`)
  if (count < 0) return log
  const lines = log.split('\n')
  return count === 0 ? '' : lines.slice(-count - 1).join('\n')
}
