import type {FastifyInstance, FastifyRequest} from 'fastify'

import {novaFault} from '../fault.ts'
import {createServerGroup, membersOf} from '../ops/server-groups.ts'
import type {Cloud, ServerGroupRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {microversion} from './nova-view.ts'

type Params = Record<string, string>

interface GroupBody {
  server_group?: {
    name?: string
    policy?: string
    policies?: string[]
    rules?: {max_server_per_host?: number | string}
  }
}

const [hard, soft] = [
  ['anti-affinity', 'affinity'],
  ['soft-anti-affinity', 'soft-affinity'],
]

function view(cloud: Cloud, group: ServerGroupRecord, minor: number): object {
  const {id, name, policy, rules, project_id, user_id} = group
  return {
    id,
    name,
    ...(minor >= 64 ? {policy, rules} : {policies: [policy], metadata: {}}),
    members: membersOf(cloud, group),
    ...(minor >= 13 ? {project_id, user_id} : {}),
  }
}

/** Policy and rules as asked for; `policy` from microversion 2.64 on, `policies` before. @throws ApiFault 400 */
function wanted(request: FastifyRequest): Pick<ServerGroupRecord, 'name' | 'policy' | 'rules'> {
  const minor = microversion(request)
  const asked = (request.body as GroupBody | undefined)?.server_group
  const field = minor >= 64 ? 'policy' : 'policies'
  const missing = (['name', field] as const).find(key => asked?.[key] === undefined)
  if (!asked || missing)
    throw novaFault(
      400,
      `Invalid input for field/attribute server_group. Value: ${JSON.stringify(asked)}. '${missing}' is a required property`,
    )
  const unknown = Object.keys(asked).find(
    key => !['name', field, ...(minor >= 64 ? ['rules'] : [])].includes(key),
  )
  if (unknown)
    throw novaFault(
      400,
      `Invalid input for field/attribute server_group. Value: ${JSON.stringify(asked)}. Additional properties are not allowed ('${unknown}' was unexpected)`,
    )
  const policy = minor >= 64 ? asked.policy : asked.policies?.[0]
  const known = [...hard, ...(minor >= 15 ? soft : [])]
  if (!policy || !known.includes(policy)) {
    const where = minor >= 64 ? 'policy' : '0'
    const list = known.map(one => `'${one}'`).join(', ')
    throw novaFault(
      400,
      `Invalid input for field/attribute ${where}. Value: ${policy}. '${policy}' is not one of [${list}]`,
    )
  }
  const most = Number(asked.rules?.max_server_per_host ?? 1)
  if (asked.rules && policy !== 'anti-affinity')
    throw novaFault(400, 'Only anti-affinity policy supports rules.')
  if (!Number.isInteger(most) || most < 1)
    throw novaFault(400, `Invalid input for field/attribute max_server_per_host. Value: ${most}.`)
  return {
    name: String(asked.name),
    policy,
    rules: asked.rules?.max_server_per_host ? {max_server_per_host: most} : {},
  }
}

/** os-server-groups. */
export function novaGroups(app: FastifyInstance, nova: NovaContext): void {
  const {cloud} = nova
  const path = `${novaBase}/os-server-groups`
  const find = (request: FastifyRequest, who: Caller): ServerGroupRecord => {
    const {id = ''} = request.params as Params
    const group = cloud.server_groups.get(id)
    if (!group || (group.project_id !== who.projectId && !who.admin))
      throw novaFault(404, `Instance group ${id} could not be found.`)
    return group
  }
  app.get<{Querystring: Params}>(path, request => {
    const who = nova.caller(request, 'os-server-groups:index')
    const all = who.admin && 'all_projects' in request.query
    const found = [...cloud.server_groups.values()].filter(one => all || one.project_id === who.projectId)
    return {server_groups: found.map(one => view(cloud, one, microversion(request)))}
  })
  app.post(path, request => {
    const who = nova.writer(request, 'os-server-groups:create')
    const group = createServerGroup(cloud, {
      ...wanted(request),
      project_id: who.projectId,
      user_id: who.user.id,
    })
    return {server_group: view(cloud, group, microversion(request))}
  })
  app.get(`${path}/:id`, request => {
    const group = find(request, nova.caller(request, 'os-server-groups:show'))
    return {server_group: view(cloud, group, microversion(request))}
  })
  app.delete(`${path}/:id`, (request, reply) => {
    const group = find(request, nova.writer(request, 'os-server-groups:delete'))
    cloud.server_groups.delete(group.id)
    return reply.code(204).type('application/json').send()
  })
}
