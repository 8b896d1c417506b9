import {randomUUID} from 'node:crypto'

import {novaFault} from '../fault.ts'
import type {Cloud, ServerGroupRecord} from '../state.ts'
import {computeLimits, computeUsed} from './compute-quota.ts'

/** A group of servers, still empty. @throws ApiFault 403 over quota */
export function createServerGroup(
  cloud: Cloud,
  given: Pick<ServerGroupRecord, 'name' | 'project_id' | 'user_id' | 'policy' | 'rules'>,
): ServerGroupRecord {
  const limit = computeLimits(cloud, given.project_id)['server_groups'] ?? -1
  if (limit >= 0 && (computeUsed(cloud, given.project_id)['server_groups'] ?? 0) >= limit)
    throw novaFault(403, 'Quota exceeded, too many server groups.')
  const group = {...given, id: randomUUID(), members: []}
  cloud.server_groups.set(group.id, group)
  return group
}

/** Its servers that are still there. */
export function membersOf(cloud: Cloud, group: ServerGroupRecord): string[] {
  return group.members.filter(id => cloud.servers.has(id))
}

/** Ids of the groups of a server: one or none. */
export function groupOf(cloud: Cloud, serverId: string): string[] {
  return [...cloud.server_groups.values()].flatMap(group =>
    group.members.includes(serverId) ? group.id : [],
  )
}

/**
 * The group that a server is to be made in.
 * @throws ApiFault 400 when it is not there or no UUID, 403 when it is full
 */
export function groupForBoot(cloud: Cloud, projectId: string, id: string): ServerGroupRecord {
  if (!/^[0-9a-f-]{36}$/i.test(id))
    throw novaFault(400, `Invalid input for field/attribute group. Value: ${id}. '${id}' is not a 'uuid'`)
  const group = cloud.server_groups.get(id)
  if (!group || group.project_id !== projectId)
    throw novaFault(400, `Instance group ${id} could not be found.`)
  const limit = computeLimits(cloud, projectId)['server_group_members'] ?? -1
  if (limit >= 0 && membersOf(cloud, group).length >= limit)
    throw novaFault(403, 'Quota exceeded, too many servers in group')
  return group
}
