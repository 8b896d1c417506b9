import {OsSshError} from '../../../errors.ts'
import type {Flavor} from '../../../openstack/index.ts'
import type {Address, QuotaNeed} from './plan.ts'
import type {Seen} from './seen.ts'

interface Made {
  readonly flavor: Flavor
  readonly address: Address
  readonly count: number
}

/**
 * What some gates take of the project's quota, row by row that the cloud tells of; the security group counts, though it may be
 * there already. Volumes are Cinder's to count: it is not asked.
 *
 * @throws OsSshError QUOTA, with all that is too little
 */
export function quotaFor(seen: Seen, {flavor, address, count}: Made): QuotaNeed[] {
  const rows = [
    ofNova(seen, 'instances', count, 'maxTotalInstances', 'totalInstancesUsed'),
    ofNova(seen, 'cores', count * flavor.vcpus, 'maxTotalCores', 'totalCoresUsed'),
    ofNova(seen, 'ram', count * flavor.ram, 'maxTotalRAMSize', 'totalRAMUsed'),
    ofNova(seen, 'server_groups', count > 1 ? 1 : 0, 'maxServerGroups', 'totalServerGroupsUsed'),
    ofNeutron(seen, 'port', count),
    ofNeutron(seen, 'floatingip', address.kind === 'floating' ? count : 0),
    ofNeutron(seen, 'security_group', 1),
  ]
  const needs = rows.flatMap(row => (row !== undefined && row.needs > 0 ? [row] : []))
  const short = needs.filter(row => missing(row) > 0)
  if (short.length === 0) return needs
  throw new OsSshError('QUOTA', short.map(sentence).join('; '), {
    hint: 'delete what the project no longer needs, or ask the operator of the cloud for more',
  })
}

function ofNova({limits}: Seen, resource: string, needs: number, max: string, taken: string) {
  const [limit, used] = [limits[max], limits[taken]]
  return limit === undefined || used === undefined ? undefined : {resource, needs, used, limit}
}

function ofNeutron({quotas}: Seen, resource: string, needs: number) {
  const quota = quotas[resource]
  return quota && {resource, needs, used: quota.used + quota.reserved, limit: quota.limit}
}

/** Nova and Neutron take -1 for no limit. */
const missing = ({needs, used, limit}: QuotaNeed) => (limit < 0 ? 0 : used + needs - limit)

/** One, and many. */
const units: Readonly<Record<string, readonly [string, string]>> = {
  instances: ['server', 'servers'],
  cores: ['vCPU', 'vCPUs'],
  ram: ['MB of RAM', 'MB of RAM'],
  server_groups: ['server group', 'server groups'],
  port: ['port', 'ports'],
  floatingip: ['floating IP', 'floating IPs'],
  security_group: ['security group', 'security groups'],
}

function sentence(row: QuotaNeed): string {
  const lack = missing(row)
  const [one = row.resource, many = row.resource] = units[row.resource] ?? []
  return `${lack} ${lack === 1 ? one : many} too few: ${row.used} of ${row.limit} are used`
}
