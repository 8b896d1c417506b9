import {neutronFault} from '../fault.ts'
import type {Cloud} from '../state.ts'

/** Neutron's default limits per project, as the recorded cloud has them; -1 is no limit. */
export const defaultQuota: Readonly<Record<string, number>> = {
  network: 100,
  subnet: 100,
  subnetpool: -1,
  port: 500,
  router: 10,
  floatingip: 50,
  rbac_policy: 10,
  security_group: 10,
  security_group_rule: 100,
}

/** Limits of a project. */
export function limits(cloud: Cloud, projectId: string): Record<string, number> {
  const given = Object.entries(cloud.quotas.get(projectId) ?? {})
  return {...defaultQuota, ...Object.fromEntries(given.filter(([resource]) => resource in defaultQuota))}
}

/** How many records of a resource a project has. */
export function used(cloud: Cloud, projectId: string, resource: string): number {
  const collections: Record<string, Map<string, {project_id: string}>> = {
    network: cloud.networks,
    subnet: cloud.subnets,
    subnetpool: cloud.subnetpools,
    port: cloud.ports,
    router: cloud.routers,
    floatingip: cloud.floatingips,
    security_group: cloud.security_groups,
    security_group_rule: cloud.security_group_rules,
  }
  return [...(collections[resource]?.values() ?? [])].filter(record => record.project_id === projectId).length
}

/** @throws ApiFault 409 OverQuota when one more would be too many */
export function checkQuota(cloud: Cloud, projectId: string, resource: string): void {
  const limit = limits(cloud, projectId)[resource] ?? -1
  if (limit >= 0 && used(cloud, projectId, resource) >= limit) {
    throw neutronFault(409, 'OverQuota', `Quota exceeded for resources: ['${resource}'].`)
  }
}
