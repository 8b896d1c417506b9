import type {FastifyInstance} from 'fastify'

import {novaFault, novaForbidden} from '../fault.ts'
import {computeLimits, computeUsed, defaultComputeQuota} from '../ops/compute-quota.ts'
import type {Cloud} from '../state.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {microversion} from './nova-view.ts'

type Params = Record<string, string>

/** What Nova still says of nova-network's quotas, before microversion 2.36. */
const proxied = {floating_ips: -1, fixed_ips: -1, security_groups: -1, security_group_rules: -1}
const injected = ['injected_files', 'injected_file_content_bytes', 'injected_file_path_bytes']

function shown(limits: Record<string, number>, minor: number): Record<string, number> {
  const all = minor < 36 ? {...limits, ...proxied} : limits
  return Object.fromEntries(Object.entries(all).filter(([name]) => minor < 57 || !injected.includes(name)))
}

function absolute(cloud: Cloud, projectId: string, minor: number): object {
  const [limits, used] = [computeLimits(cloud, projectId), computeUsed(cloud, projectId)]
  return {
    ...(minor < 36 ? {maxTotalFloatingIps: -1, maxSecurityGroups: -1, maxSecurityGroupRules: -1} : {}),
    ...(minor < 36 ? {totalFloatingIpsUsed: 0, totalSecurityGroupsUsed: 0} : {}),
    ...(minor < 39 ? {maxImageMeta: limits['metadata_items']} : {}),
    ...(minor < 57
      ? {
          maxPersonality: limits['injected_files'],
          maxPersonalitySize: limits['injected_file_content_bytes'],
        }
      : {}),
    maxServerMeta: limits['metadata_items'],
    maxTotalInstances: limits['instances'],
    maxTotalRAMSize: limits['ram'],
    maxTotalKeypairs: limits['key_pairs'],
    maxTotalCores: limits['cores'],
    maxServerGroups: limits['server_groups'],
    maxServerGroupMembers: limits['server_group_members'],
    totalInstancesUsed: used['instances'],
    totalCoresUsed: used['cores'],
    totalRAMUsed: used['ram'],
    totalServerGroupsUsed: used['server_groups'],
  }
}

/** /limits and os-quota-sets. */
export function novaQuotas(app: FastifyInstance, nova: NovaContext): void {
  const {cloud} = nova
  const sets = `${novaBase}/os-quota-sets`
  app.get<{Querystring: Params}>(`${novaBase}/limits`, request => {
    const who = nova.caller(request, 'limits')
    const other = request.query['tenant_id']
    if (other !== undefined && other !== who.projectId && !who.admin)
      throw novaForbidden('limits:other_project')
    return {limits: {rate: [], absolute: absolute(cloud, other ?? who.projectId, microversion(request))}}
  })
  app.get<{Params: Params}>(`${sets}/:project`, request => {
    const who = nova.caller(request, 'os-quota-sets:show')
    const id = request.params['project'] ?? ''
    if (id !== who.projectId && !who.admin) throw novaForbidden('os-quota-sets:show')
    return {quota_set: {id, ...shown(computeLimits(cloud, id), microversion(request))}}
  })
  app.get<{Params: Params}>(`${sets}/:project/defaults`, request => {
    nova.caller(request, 'os-quota-sets:defaults')
    const id = request.params['project'] ?? ''
    return {quota_set: {id, ...shown({...defaultComputeQuota}, microversion(request))}}
  })
  app.get<{Params: Params}>(`${sets}/:project/detail`, request => {
    const who = nova.caller(request, 'os-quota-sets:detail')
    const id = request.params['project'] ?? ''
    if (id !== who.projectId && !who.admin) throw novaForbidden('os-quota-sets:detail')
    const used = computeUsed(cloud, id)
    const limits = Object.entries(shown(computeLimits(cloud, id), microversion(request)))
    const entries = limits.map(([name, limit]) => [name, {limit, in_use: used[name] ?? 0, reserved: 0}])
    return {quota_set: {id, ...Object.fromEntries(entries)}}
  })
  app.put<{Params: Params; Body: {quota_set?: Record<string, unknown>}}>(`${sets}/:project`, request => {
    if (!nova.caller(request, 'os-quota-sets:update').admin) throw novaForbidden('os-quota-sets:update')
    const id = request.params['project'] ?? ''
    const {force: _, ...wanted} = request.body?.quota_set ?? {}
    for (const [name, limit] of Object.entries(wanted)) {
      if (!(name in {...defaultComputeQuota, ...proxied}))
        throw novaFault(
          400,
          `Invalid input for field/attribute quota_set. Additional properties are not allowed ('${name}' was unexpected)`,
        )
      if (!Number.isInteger(Number(limit)) || Number(limit) < -1)
        throw novaFault(400, `Invalid input for field/attribute ${name}. Value: ${limit}.`)
    }
    const numbers = Object.entries(wanted).map(([name, limit]) => [name, Number(limit)])
    cloud.quotas.set(id, {...cloud.quotas.get(id), ...Object.fromEntries(numbers)})
    return {quota_set: shown(computeLimits(cloud, id), microversion(request))}
  })
}
