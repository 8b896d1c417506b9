import {novaFault} from '../fault.ts'
import type {Cloud, Flavor} from '../state.ts'

/** Nova's limits per project; -1 is no limit. RAM is in MiB. */
export const defaultComputeQuota: Readonly<Record<string, number>> = {
  instances: 50,
  cores: 100,
  ram: 102_400,
  metadata_items: 128,
  injected_files: 5,
  injected_file_content_bytes: 10_240,
  injected_file_path_bytes: 255,
  key_pairs: 100,
  server_groups: 10,
  server_group_members: 10,
}

/** Limits of a project. */
export function computeLimits(cloud: Cloud, projectId: string): Record<string, number> {
  const given = cloud.quotas.get(projectId) ?? {}
  const names = Object.keys(defaultComputeQuota)
  return Object.fromEntries(names.map(name => [name, given[name] ?? defaultComputeQuota[name] ?? -1]))
}

/** What a project has of what Nova counts by project. */
export function computeUsed(cloud: Cloud, projectId: string): Record<string, number> {
  const servers = [...cloud.servers.values()].filter(server => server.tenant_id === projectId)
  const flavors = servers.flatMap(server => cloud.flavors.get(server.flavor_id) ?? [])
  return {
    instances: servers.length,
    cores: flavors.reduce((sum, flavor) => sum + flavor.vcpus, 0),
    ram: flavors.reduce((sum, flavor) => sum + flavor.ram, 0),
    server_groups: [...cloud.server_groups.values()].filter(group => group.project_id === projectId).length,
  }
}

/** @throws ApiFault 403 when one more server of that flavor would be too many (nova/compute/utils.py) */
export function checkComputeQuota(cloud: Cloud, projectId: string, flavor: Flavor): void {
  const [limits, used] = [computeLimits(cloud, projectId), computeUsed(cloud, projectId)]
  const wanted: Record<string, number> = {cores: flavor.vcpus, instances: 1, ram: flavor.ram}
  const overs = Object.keys(wanted).filter(name => {
    const limit = limits[name] ?? -1
    return limit >= 0 && (used[name] ?? 0) + (wanted[name] ?? 0) > limit
  })
  if (overs.length === 0) return
  const of = (values: Record<string, number>) => overs.map(name => values[name]).join(', ')
  const what = overs.join(', ')
  throw novaFault(
    403,
    `Quota exceeded for ${what}: Requested ${of(wanted)}, but already used ${of(used)} of ${of(limits)} ${what}`,
  )
}
