import {isIPv4, isIPv6} from 'node:net'

import {OsSshError} from '../../errors.ts'
import {
  OpenStackError,
  type Port,
  type SecurityGroup,
  type Server,
  type ServerCreate,
} from '../../openstack/index.ts'
import {ownProject} from '../account.ts'
import type {ServiceContext} from '../context.ts'
import {gone} from '../faults.ts'
import {normalized} from '../planner/prefix.ts'
import type {MachineRow} from '../store/schema.ts'
import type {DeployPlan} from './choice/plan.ts'
import {groupName, machineDescription, machineMetadata, machineName, metadataOf} from './names.ts'

/*
 * What a machine is made of in the cloud: each is looked for by its name before it is made, so that it may be asked for again
 * after a kill or an answer that was lost, and there is still one.
 */

type Cloud = Pick<ServiceContext, 'cloud' | 'serviceId' | 'by'>
type Machine = Pick<MachineRow, 'id' | 'name'>
/** Its server may have been given another name. */
type Known = Machine & Partial<Pick<MachineRow, 'server_id'>>

/** What is called like ours in another project is not. */
const own = async ({cloud}: Cloud) => ({project_id: await ownProject(cloud)})

const familyOf = (prefix: string) => (prefix.includes(':') ? 'IPv6' : 'IPv4')

/** Rules that the group of the gates has for what comes in, as `ethertype prefix`; undefined for one that is not of this kind. */
function incoming(rule: SecurityGroup['security_group_rules'][number]): string | undefined {
  const {protocol, port_range_min, port_range_max, remote_ip_prefix, remote_group_id, ethertype} = rule
  const isSsh = (protocol === 'tcp' || protocol === '6') && port_range_min === 22 && port_range_max === 22
  if (!isSsh || remote_group_id !== null) return undefined
  return normalized(remote_ip_prefix ?? (ethertype === 'IPv6' ? '::/0' : '0.0.0.0/0'))
}

/** What was last begun of the groups in a cloud. */
const lastOf = new WeakMap<object, Promise<unknown>>()

/** Groups have no machine of their own: two machines that are made at once share one, so they look for it one after the other. */
function inTurn<T>({cloud}: Cloud, task: () => Promise<T>): Promise<T> {
  const result = (lastOf.get(cloud) ?? Promise.resolve()).then(task)
  lastOf.set(
    cloud,
    result.catch(() => undefined),
  )
  return result
}

/**
 * The group of all gates of this service admits TCP port 22 from these prefixes, and nothing else.
 *
 * @returns its id
 * @throws OpenStackError
 */
export function ensureGroup(context: Cloud, allow: readonly string[]): Promise<string> {
  return inTurn(context, () => groupThatAllows(context, allow))
}

async function groupThatAllows(context: Cloud, allow: readonly string[]): Promise<string> {
  const {cloud, serviceId} = context
  const name = groupName(serviceId)
  const [found] = await cloud.network.securityGroups({name, ...(await own(context))})
  const group = found ?? (await cloud.network.createSecurityGroup({name, description: 'gates of os-ssh'}))
  // Neutron may show another spelling than it was told.
  const wanted = new Set(allow.map(normalized))
  const has = new Set<string>()
  for (const rule of group.security_group_rules.filter(one => one.direction === 'ingress')) {
    const what = incoming(rule)
    if (what !== undefined && wanted.has(what)) has.add(what)
    else await cloud.network.deleteSecurityGroupRule(rule.id).catch(gone)
  }
  for (const remote_ip_prefix of wanted)
    if (!has.has(remote_ip_prefix))
      await cloud.network
        .createSecurityGroupRule({
          ...{security_group_id: group.id, direction: 'ingress', ethertype: familyOf(remote_ip_prefix)},
          ...{protocol: 'tcp', port_range_min: 22, port_range_max: 22, remote_ip_prefix},
        })
        // Another replica was first.
        .catch(conflict)
  return group.id
}

function conflict(error: unknown): undefined {
  if (error instanceof OpenStackError && error.fault === 'conflict') return undefined
  throw error
}

/** Puts gates on different hosts as far as there are. @returns its id @throws OpenStackError */
export function ensureServerGroup(context: Cloud): Promise<string> {
  const {compute} = context.cloud
  const name = groupName(context.serviceId)
  return inTurn(context, async () => {
    const there = (await compute.serverGroups()).find(group => group.name === name)
    return (there ?? (await compute.createServerGroup({name, policy: 'soft-anti-affinity'}))).id
  })
}

/** By what they are described: a name is changed in Horizon with a click. */
async function portsOf(context: Cloud, machine: Machine): Promise<readonly Port[]> {
  const description = machineDescription(context.serviceId, machine)
  return context.cloud.network.ports({description, ...(await own(context))})
}

/** The machine's port, by which it is reached. @throws OpenStackError */
export async function findPort(context: Cloud, machine: Machine): Promise<Port | undefined> {
  const ports = await portsOf(context, machine)
  // One that is in use before one that a lost answer has left.
  return [...ports].sort((a, b) => b.device_id.localeCompare(a.device_id) || a.id.localeCompare(b.id))[0]
}

/** The port, in this group. @throws OpenStackError */
export async function inGroup({cloud}: Cloud, port: Port, group: string): Promise<Port> {
  if (port.security_groups.includes(group)) return port
  return cloud.network.updatePort(port.id, {security_groups: [group]})
}

/** The machine's port is there, in this group. @throws OpenStackError */
export async function ensurePort(
  context: Cloud,
  machine: Machine,
  {network, subnet}: Pick<DeployPlan, 'network' | 'subnet'>,
  group: string,
): Promise<Port> {
  const {cloud, serviceId} = context
  const there = await findPort(context, machine)
  if (there !== undefined) return inGroup(context, there, group)
  return cloud.network.createPort({
    ...{network_id: network.id, name: machineName(serviceId, machine)},
    ...{description: machineDescription(serviceId, machine), security_groups: [group]},
    ...(subnet === undefined ? {} : {fixed_ips: [{subnet_id: subnet}]}),
  })
}

/**
 * The machine's address as clients and the service reach it.
 *
 * @throws OpenStackError; OsSshError CLOUD_REFUSED when there is none
 */
export async function ensureAddress(
  context: Cloud,
  machine: Machine,
  {address}: Pick<DeployPlan, 'address'>,
  port: Port,
): Promise<string> {
  if (address.kind !== 'floating') {
    const fits = address.kind === 'ipv6' ? isIPv6 : isIPv4
    const one = port.fixed_ips.map(ip => ip.ip_address).find(fits)
    if (one === undefined)
      throw new OsSshError('CLOUD_REFUSED', `the port of ${machine.name} got no address of its kind`)
    return one
  }
  const {cloud, serviceId} = context
  const description = machineDescription(serviceId, machine)
  const filter = {floating_network_id: address.network.id, ...(await own(context))}
  const ours = (await cloud.network.floatingIps(filter)).filter(one => one.description === description)
  const there = ours.find(one => one.port_id === port.id) ?? ours.find(one => one.port_id === null)
  const floating =
    there === undefined
      ? // Port and address in one call: a floating IP that is nobody's is what others leak.
        await cloud.network.createFloatingIp({
          ...{floating_network_id: address.network.id, port_id: port.id, description},
        })
      : there.port_id === port.id
        ? there
        : await cloud.network.updateFloatingIp(there.id, {port_id: port.id})
  return floating.floating_ip_address ?? ''
}

/**
 * The machine's server, by its id where that is known, else by its name; one that only has its name is not.
 *
 * @throws OpenStackError
 */
export async function findServer(context: Cloud, machine: Known): Promise<Server | undefined> {
  const {cloud, serviceId} = context
  if (machine.server_id != null) {
    const server = await cloud.compute.server(machine.server_id).catch(gone)
    if (server !== undefined && isOurs(server, serviceId, machine)) return server
  }
  const name = machineName(serviceId, machine)
  const servers = await cloud.compute.servers({name: `^${name}$`})
  return servers.find(server => isOurs(server, serviceId, machine))
}

/** Does a server say that it is this machine? */
export function isOurs(server: Pick<Server, 'metadata'>, serviceId: string, machine: Machine): boolean {
  const said = metadataOf(server)
  return said?.service === serviceId && said.gate === machine.id
}

/** What Nova is asked for. */
export interface Boot {
  readonly plan: DeployPlan
  readonly port: string
  /** Base64. */
  readonly userData: string
  readonly serverGroup?: string | undefined
}

/** The machine's server is there, or on its way. @returns its id @throws OpenStackError */
export async function ensureServer(context: Cloud, machine: Machine, boot: Boot): Promise<string> {
  const {cloud, serviceId} = context
  const there = await findServer(context, machine)
  if (there !== undefined) return there.id
  const {plan, port, userData, serverGroup} = boot
  const disk: Pick<ServerCreate, 'imageRef' | 'block_device_mapping_v2'> =
    plan.volume === undefined
      ? {imageRef: plan.image.id}
      : {
          block_device_mapping_v2: [
            {
              ...{boot_index: 0, uuid: plan.image.id, source_type: 'image', destination_type: 'volume'},
              ...{volume_size: plan.volume, delete_on_termination: true},
            },
          ],
        }
  const {id} = await cloud.compute.createServer(
    {
      name: machineName(serviceId, machine),
      flavorRef: plan.flavor.id,
      ...disk,
      networks: [{port}],
      user_data: userData,
      config_drive: true,
      metadata: machineMetadata(serviceId, machine, context.by),
      ...(plan.zone === undefined ? {} : {availability_zone: plan.zone}),
    },
    serverGroup === undefined ? undefined : {group: serverGroup},
  )
  return id
}

/**
 * Takes away what there is of a machine, as far as that goes now: server, then address, then port. What is not ours stays.
 *
 * @returns whether nothing of it is left
 * @throws OpenStackError
 */
export async function removeObjects(context: Cloud, machine: Known): Promise<boolean> {
  const {cloud, serviceId} = context
  const server = await findServer(context, machine)
  if (server !== undefined) {
    await cloud.compute.deleteServer(server.id).catch(gone)
    // Its port is Nova's until it is gone.
    return false
  }
  const description = machineDescription(serviceId, machine)
  const floating = await cloud.network.floatingIps(await own(context))
  for (const one of floating)
    if (one.description === description) await cloud.network.deleteFloatingIp(one.id).catch(gone)
  const ports = await portsOf(context, machine)
  for (const port of ports) await cloud.network.deletePort(port.id).catch(gone)
  return ports.length === 0
}

/** The groups go when there is no machine any more. @returns whether they are gone: one that is in use stays @throws OpenStackError */
export function removeGroups(context: Cloud): Promise<boolean> {
  return inTurn(context, () => groupsAreGone(context))
}

async function groupsAreGone(context: Cloud): Promise<boolean> {
  const {cloud, serviceId} = context
  const name = groupName(serviceId)
  for (const group of await cloud.compute.serverGroups())
    if (group.name === name) await cloud.compute.deleteServerGroup(group.id).catch(gone)
  const filter = {name, ...(await own(context))}
  for (const group of await cloud.network.securityGroups(filter))
    await cloud.network.deleteSecurityGroup(group.id).catch(gone).catch(conflict)
  return (await cloud.network.securityGroups(filter)).length === 0
}
