import type {Cloud, ServerGroupRecord} from '../state.ts'
import {membersOf} from './server-groups.ts'

/** Compute hosts of the lab, on paper, and their zones: guests are spread over them. */
const zones: Readonly<Record<string, string>> = {compute1: 'nova', compute2: 'nova', compute3: 'az2'}

export const computeHosts: readonly string[] = Object.keys(zones)

/** Names of the availability zones. */
export const zoneNames: readonly string[] = [...new Set(Object.values(zones))]

/** Zone of a host. */
export function zoneOf(host: string): string | undefined {
  return zones[host]
}

/** What a server says of a boot for which there was no host (nova/scheduler/manager.py). */
export const noHost = 'No valid host was found. There are not enough hosts available.'

interface Wanted {
  readonly image_id: string
  readonly flavor_id: string
  readonly availability_zone?: string | null
  readonly group?: ServerGroupRecord | undefined
}

function fitsGroup(cloud: Cloud, group: ServerGroupRecord, host: string): boolean {
  const hosts = membersOf(cloud, group).map(id => cloud.servers.get(id)?.host)
  if (group.policy === 'affinity') return hosts.every(one => one === host)
  if (group.policy !== 'anti-affinity') return true // the soft ones are a wish
  return hosts.filter(one => one === host).length < (group.rules.max_server_per_host ?? 1)
}

/** The scheduler: a host for a server, or an empty string. Without a zone it takes `nova` (default_schedule_zone). */
export function pickHost(cloud: Cloud, wanted: Wanted, number: number): string {
  const specs = Object.keys(cloud.flavors.get(wanted.flavor_id)?.extra_specs ?? {})
  const architecture = cloud.images.get(wanted.image_id)?.properties['architecture'] ?? 'x86_64'
  if (specs.some(key => key.startsWith('pci_passthrough:')) || architecture !== 'x86_64') return ''
  const {group, availability_zone: zone} = wanted
  const fit = computeHosts.filter(
    host => zones[host] === (zone ?? 'nova') && (!group || fitsGroup(cloud, group, host)),
  )
  return fit[number % fit.length] ?? ''
}
