import {createHash} from 'node:crypto'

import type {FastifyRequest} from 'fastify'

import {novaFault} from '../fault.ts'
import {zoneOf} from '../ops/hosts.ts'
import type {ActionRecord, Cloud, KeyPairRecord, PortRecord, ServerRecord} from '../state.ts'
import {type Caller, header} from './caller.ts'

export const maxMinor = 93

/** Minor of the asked microversion. @throws ApiFault 406 beyond 2.1 - 2.93, 400 for nonsense */
export function microversion(request: FastifyRequest): number {
  const modern = header(request, 'openstack-api-version')?.match(/^compute\s+(\S+)$/)?.[1]
  const asked = modern ?? header(request, 'x-openstack-nova-api-version') ?? '2.1'
  if (asked === 'latest') return maxMinor
  const found = /^(\d+)\.(\d+)$/.exec(asked)
  if (!found)
    throw novaFault(
      400,
      `API Version String ${asked} is of invalid format. Must be of format MajorNum.MinorNum.`,
    )
  const minor = Number(found[2])
  if (found[1] !== '2' || minor < 1 || minor > maxMinor) {
    throw novaFault(
      406,
      `Version ${asked} is not supported by the API. Minimum is 2.1 and maximum is 2.${maxMinor}.`,
    )
  }
  return minor
}

export function serverLinks(cloud: Cloud, id: string): {rel: string; href: string}[] {
  return [
    {rel: 'self', href: `${cloud.url}/compute/v2.1/servers/${id}`},
    {rel: 'bookmark', href: `${cloud.url}/compute/servers/${id}`},
  ]
}

/** Network name -> addresses: the fixed ones, then the floating ones that lead to them. */
export function addresses(cloud: Cloud, server: ServerRecord): Record<string, unknown[]> {
  const [all, floating] = [{} as Record<string, unknown[]>, {} as Record<string, unknown[]>]
  for (const id of server.ports) {
    const port = cloud.ports.get(id)
    const network = cloud.networks.get(port?.network_id ?? '')
    if (!port || !network) continue
    const entry = (addr: string, kind: 'fixed' | 'floating') => ({
      version: addr.includes(':') ? 6 : 4,
      addr,
      'OS-EXT-IPS:type': kind,
      'OS-EXT-IPS-MAC:mac_addr': port.mac_address,
    })
    const outside = [...cloud.floatingips.values()].filter(one => one.port_id === id)
    all[network.name] ??= []
    all[network.name]?.push(...port.fixed_ips.map(ip => entry(ip.ip_address, 'fixed')))
    floating[network.name] ??= []
    floating[network.name]?.push(...outside.map(one => entry(one.floating_ip_address, 'floating')))
  }
  for (const [name, list] of Object.entries(all)) list.push(...(floating[name] ?? []))
  return all
}

const powerStates: Readonly<Record<string, number>> = {ACTIVE: 1, SHUTOFF: 4}
/** By the status that the API shows. */
const vmStates: Readonly<Record<string, string>> = {
  ACTIVE: 'active',
  SHUTOFF: 'stopped',
  BUILD: 'building',
  REBUILD: 'active',
  REBOOT: 'active',
  HARD_REBOOT: 'active',
  ERROR: 'error',
}

/** Nova's own word for the state of a server. */
export function vmState(server: ServerRecord): string {
  return vmStates[server.status] ?? 'active'
}

function flavorView(cloud: Cloud, server: ServerRecord, minor: number): object {
  const flavor = cloud.flavors.get(server.flavor_id)
  if (minor < 47)
    return {
      id: server.flavor_id,
      links: [{rel: 'bookmark', href: `${cloud.url}/compute/flavors/${server.flavor_id}`}],
    }
  return {
    vcpus: flavor?.vcpus,
    ram: flavor?.ram,
    disk: flavor?.disk,
    ephemeral: 0,
    swap: 0,
    original_name: flavor?.name,
    extra_specs: flavor?.extra_specs ?? {},
  }
}

function adminFields(server: ServerRecord, minor: number): object {
  return {
    'OS-EXT-SRV-ATTR:host': server.host,
    'OS-EXT-SRV-ATTR:instance_name': `instance-${server.number.toString(16).padStart(8, '0')}`,
    'OS-EXT-SRV-ATTR:hypervisor_hostname': server.host,
    ...(minor >= 3
      ? {
          'OS-EXT-SRV-ATTR:reservation_id': `r-${server.id.slice(0, 8)}`,
          'OS-EXT-SRV-ATTR:launch_index': 0,
          'OS-EXT-SRV-ATTR:kernel_id': '',
          'OS-EXT-SRV-ATTR:ramdisk_id': '',
          'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
          'OS-EXT-SRV-ATTR:user_data': server.user_data,
          'OS-EXT-SRV-ATTR:hostname': server.hostname,
        }
      : {}),
    ...(minor >= 16 ? {host_status: 'UP'} : {}),
  }
}

function laterFields(server: ServerRecord, minor: number): object {
  return {
    ...(minor >= 9 ? {locked: false} : {}),
    ...(minor >= 73 ? {locked_reason: null} : {}),
    ...(minor >= 19 ? {description: server.name} : {}),
    ...(minor >= 26 ? {tags: []} : {}),
    ...(minor >= 63 ? {trusted_image_certificates: null} : {}),
    ...(minor >= 90 ? {'OS-EXT-SRV-ATTR:hostname': server.hostname} : {}),
  }
}

/**
 * Asked of Neutron with the caller's token, which shows groups to their own project only; absent when there are none.
 * One that is on two ports is named twice.
 */
function groupNames(cloud: Cloud, server: ServerRecord, who: Caller): object {
  if (server.ports.length === 0 || server.tenant_id !== who.projectId) return {}
  const ids = server.ports.flatMap(id => cloud.ports.get(id)?.security_groups ?? [])
  const names = ids.flatMap(id => cloud.security_groups.get(id)?.name ?? [])
  return {security_groups: names.map(name => ({name}))}
}

/** A server in full, as the caller may see it at that microversion. */
export function serverView(cloud: Cloud, server: ServerRecord, who: Caller, minor: number): object {
  const launched = server.launched_at === null ? null : server.launched_at.replace('Z', '.000000')
  return {
    id: server.id,
    name: server.name,
    status: server.status,
    tenant_id: server.tenant_id,
    user_id: server.user_id,
    metadata: server.metadata,
    hostId:
      server.host === ''
        ? ''
        : createHash('sha224')
            .update(server.tenant_id + server.host)
            .digest('hex'),
    image: server.root_volume
      ? ''
      : {
          id: server.image_id,
          links: [{rel: 'bookmark', href: `${cloud.url}/compute/images/${server.image_id}`}],
        },
    flavor: flavorView(cloud, server, minor),
    created: server.created,
    updated: server.updated,
    addresses: addresses(cloud, server),
    accessIPv4: '',
    accessIPv6: '',
    links: serverLinks(cloud, server.id),
    'OS-DCF:diskConfig': 'MANUAL',
    ...(server.status === 'ACTIVE' || server.status === 'BUILD' ? {progress: 0} : {}),
    ...(server.fault === null || server.status !== 'ERROR'
      ? {}
      : {fault: {code: 500, created: server.updated, message: server.fault}}),
    'OS-EXT-AZ:availability_zone': zoneOf(server.host) ?? server.availability_zone ?? '',
    config_drive: server.config_drive ? 'True' : '',
    key_name: server.key_name,
    'OS-SRV-USG:launched_at': launched,
    'OS-SRV-USG:terminated_at': null,
    ...(who.admin ? adminFields(server, minor) : {}),
    ...groupNames(cloud, server, who),
    'OS-EXT-STS:task_state': server.task_state,
    'OS-EXT-STS:vm_state': vmState(server),
    'OS-EXT-STS:power_state': powerStates[server.status] ?? 0,
    'os-extended-volumes:volumes_attached': server.root_volume
      ? [
          {
            id: server.root_volume.id,
            ...(minor >= 3 ? {delete_on_termination: server.root_volume.delete_on_termination} : {}),
          },
        ]
      : [],
    ...laterFields(server, minor),
  }
}

/** An entry of os-interface. */
export function interfaceView(port: PortRecord): object {
  return {
    net_id: port.network_id,
    port_id: port.id,
    mac_addr: port.mac_address,
    port_state: port.status,
    fixed_ips: port.fixed_ips.map(({subnet_id, ip_address}) => ({subnet_id, ip_address})),
  }
}

/** A key pair; the listing has less than the single one. */
export function keyPairView(pair: KeyPairRecord, minor: number, single: boolean): object {
  return {
    keypair: {
      name: pair.name,
      public_key: pair.public_key,
      fingerprint: pair.fingerprint,
      ...(minor >= 2 ? {type: 'ssh'} : {}),
      ...(single
        ? {
            user_id: pair.user_id,
            deleted: false,
            created_at: pair.created_at,
            deleted_at: null,
            updated_at: null,
            id: 1,
          }
        : {}),
    },
  }
}

/** An instance action as its members see it. */
export function actionView(server: ServerRecord, one: ActionRecord, minor: number): object {
  const updated = minor >= 58 ? {updated_at: one.start_time} : {}
  return {...one, instance_uuid: server.id, message: null, ...updated}
}
