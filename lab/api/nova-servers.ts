import type {FastifyInstance, FastifyRequest} from 'fastify'

import {novaFault, novaForbidden} from '../fault.ts'
import {groupOf} from '../ops/server-groups.ts'
import {deleteServer} from '../ops/servers.ts'
import type {Cloud, ServerRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {boot} from './nova-boot.ts'
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
    return {
      server: {
        ...serverView(cloud, server, who, minor),
        ...(minor >= 71 ? {server_groups: groupOf(cloud, server.id)} : {}),
      },
    }
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
}
