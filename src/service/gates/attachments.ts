import {isIPv4} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../../errors.ts'
import type {Port} from '../../openstack/index.ts'
import {ownProject} from '../account.ts'
import type {ServiceContext} from '../context.ts'
import {gone} from '../faults.ts'
import {portDescription} from '../marks.ts'
import {contains} from '../planner/prefix.ts'
import {leaveGroups, plugAttachment, removeAttachment, writePort} from '../store/attachment-steps.ts'
import {addressesOnLink, type PortGroups, portGroups} from '../store/attachments.ts'
import {gate as gateById} from '../store/gates.ts'
import type {AttachmentRow, GateRow} from '../store/schema.ts'

const DETACH_MS = 30_000
const POLL_MS = 300

type Plugging = Pick<ServiceContext, 'db' | 'cloud' | 'log' | 'clock' | 'serviceId'>

/** By this name a port is found again when we died between making it and writing it down. */
export const portName = (row: Pick<AttachmentRow, 'id'>) => `os-ssh-${row.id}`

async function findPort({cloud}: Plugging, row: AttachmentRow, gate: GateRow): Promise<Port | undefined> {
  if (row.port_id === null) {
    const {network_id} = row
    // Anybody may call a port so; ours is the gate's project's.
    return (await cloud.network.ports({name: portName(row), network_id, project_id: gate.project_id}))[0]
  }
  return cloud.network.port(row.port_id).catch(gone)
}

/** The gate project's own groups, for the port's way out. */
async function ownGroups({cloud}: Plugging, known: PortGroups, gate: GateRow): Promise<readonly string[]> {
  if (known.own.length > 0) return known.own
  const own = await cloud.network.securityGroups({project_id: gate.project_id, name: 'default'})
  return own.map(group => group.id)
}

/**
 * The groups that a port shall be in, sorted: the gate project's own and those of the VMs that live paths lead to. A group
 * that the port is in cannot be deleted, so others are left; only while there is no live path they stay, since people come back.
 */
const wantedGroups = (own: readonly string[], {has, needed}: PortGroups) =>
  [...new Set([...own, ...(needed ?? has)])].sort()

const equal = (a: readonly string[], b: readonly string[]) => JSON.stringify(a) === JSON.stringify(b)

/**
 * Makes the port of an attachment exist, belong to the right security groups and be plugged into the gate. May be
 * called at any time and after any crash; does only what is missing.
 *
 * @returns whether the row changed
 * @throws OpenStackError, OsSshError
 */
export async function plug(context: Plugging, row: AttachmentRow, gate: GateRow): Promise<boolean> {
  const {db, cloud} = context
  const known = await portGroups(db, row.id)
  const [own, before] = await Promise.all([
    ownGroups(context, known, gate),
    row.state === 'wanted' ? findPort(context, row, gate) : undefined,
  ])
  const onLink = await addressesOnLink(db, row)
  let groups = wantedGroups(own, known)
  const same =
    equal(groups, known.has) &&
    known.own.length > 0 &&
    missingSubnets(row, row.addresses.map(ipOf), onLink).length === 0
  if (row.state !== 'wanted' && same) return false
  const left = known.has.filter(group => !groups.includes(group))
  if (left.length > 0) {
    // What it leaves it leaves in the rows first: a path that comes after that does not count on it.
    await leaveGroups(db, row.id, left)
    groups = wantedGroups(own, await portGroups(db, row.id))
  }

  const there = row.state === 'wanted' ? before : await findPort(context, row, gate)
  const found = there ?? (await createPort(context, row, gate, onLink))
  if (found.project_id !== gate.project_id)
    throw new OsSshError(
      'CLOUD_REFUSED',
      'the port of the attachment belongs to another project than the gate',
    )
  const change = changeOf(found, groups, missingSubnets(row, ipsOf(found), onLink))
  if (found.device_id !== '' && found.device_id !== gate.server_id)
    throw new OsSshError('CLOUD_REFUSED', 'the port of the attachment is plugged into another server')
  // An address more is Nova's to know; groups and tags are not, and kept waiting by nobody.
  const changed = change && cloud.network.updatePort(found.id, change)
  const port = (change && 'fixed_ips' in change ? await changed : undefined) ?? found
  const done = await Promise.allSettled([
    changed,
    row.state === 'wanted' ? tag(context, port) : undefined,
    port.device_id === '' ? cloud.compute.attachPort(gate.server_id, port.id) : undefined,
  ])
  // Only when all have ended: nothing of it is under way when the port is looked at again.
  for (const one of done) if (one.status === 'rejected') throw one.reason

  // That the port is ACTIVE is not waited for: the gate takes its interface meanwhile, and asks the VM until it answers.
  const addresses = addressesOf(port, row)
  // To leave a group is nothing that a path waits for.
  const rewired =
    row.state === 'wanted' ||
    groups.some(group => !known.has.includes(group)) ||
    !equal(addresses, row.addresses)
  await plugAttachment(db, row.id, {
    ...{port_id: port.id, mac: port.mac_address, addresses, own, groups},
    ...(rewired ? {wired_at: context.clock()} : {}),
  })
  return true
}

const ipsOf = (port: Port) => port.fixed_ips.map(ip => ip.ip_address)
/** Of `address/length`. */
const ipOf = (prefix: string) => prefix.split('/')[0] ?? ''

/** What the port lacks; undefined when it is as it shall be. */
function changeOf(
  port: Port,
  groups: readonly string[],
  subnets: readonly string[],
): Record<string, unknown> | undefined {
  const regroup = !equal([...port.security_groups].sort(), groups)
  if (!regroup && subnets.length === 0) return undefined
  const fixed_ips = [...port.fixed_ips, ...subnets.map(subnet_id => ({subnet_id}))]
  return {...(regroup ? {security_groups: groups} : {}), ...(subnets.length > 0 ? {fixed_ips} : {})}
}

/** Subnets on the link in which a VM of a path is, and the port has no address yet: such a VM would answer by its router. */
function missingSubnets(row: AttachmentRow, has: readonly string[], onLink: readonly string[]): string[] {
  const links = row.reach.filter(
    ({via, cidr}) =>
      via === null &&
      onLink.some(address => contains(cidr, address)) &&
      !has.some(address => contains(cidr, address)),
  )
  return links.flatMap(link => link.subnet_id ?? [])
}

/** The port's addresses with the length of their subnets, IPv4 first. The subnets are those that the user saw when planning. */
function addressesOf(port: Port, row: AttachmentRow): string[] {
  const cidrs = row.reach.filter(reach => reach.via === null).map(reach => reach.cidr)
  const addresses = port.fixed_ips.map(({ip_address}) => {
    const cidr = cidrs.find(one => contains(one, ip_address))
    if (cidr === undefined)
      throw new OsSshError(
        'CLOUD_REFUSED',
        `the port got ${ip_address}, which is in none of its network's subnets`,
      )
    return `${ip_address}/${cidr.split('/')[1]}`
  })
  return addresses.sort(byFamily)
}

const byFamily = (a: string, b: string) =>
  Number(isIPv4(b.split('/')[0] ?? '')) - Number(isIPv4(a.split('/')[0] ?? ''))

/** Waits until Nova has detached the port, in its own time; deleted before that, the port would be missed by it. */
async function detached({cloud, clock}: Plugging, portId: string): Promise<void> {
  for (const end = clock() + DETACH_MS; ; await sleep(POLL_MS)) {
    const port = await cloud.network.port(portId).catch(gone)
    if (port === undefined || port.device_id === '' || clock() > end) return
  }
}

async function createPort(
  {cloud, db, serviceId}: Plugging,
  row: AttachmentRow,
  gate: GateRow,
  onLink: readonly string[],
): Promise<Port> {
  const links = row.reach.filter(reach => reach.via === null)
  const perFamily = Object.values(Object.groupBy(links, link => String(link.cidr.includes(':'))))
  // Neutron takes one subnet a family by itself; only where there are more it must be told which.
  const subnets = perFamily.some(some => (some?.length ?? 0) > 1) ? missingSubnets(row, [], onLink) : []
  const own = (await ownProject(cloud)) === gate.project_id
  const port = await cloud.network.createPort({
    network_id: row.network_id,
    name: portName(row),
    description: portDescription(serviceId),
    ...(subnets.length > 0 ? {fixed_ips: subnets.map(subnet_id => ({subnet_id}))} : {}),
    // Its groups come by an update: only an admin may create a port in the groups of another project, while an
    // update by whoever sees them is let through (neutron/db/securitygroups_db.py, _get_security_groups_on_port).
    // Only an admin may make a port for another project, so a member does not even say whose it is.
    ...(own ? {} : {project_id: gate.project_id}),
  })
  if (!(await writePort(db, row, port.id))) {
    await cloud.network.deletePort(port.id)
    throw new OsSshError('BUSY', 'another replica of the service has just made the port')
  }
  return port
}

const tag = ({cloud, log}: Plugging, {id}: Port) =>
  cloud.network.tagPort(id, ['os-ssh']).catch(err => log.warn({err}, 'port not tagged'))

/**
 * Detaches the port from the gate, deletes it, and then the row: in this order, so that a crash leaves a row that leads
 * to what is still there.
 *
 * @throws OpenStackError
 */
export async function unplug(context: Plugging, row: AttachmentRow, gate: GateRow): Promise<void> {
  const port = await findPort(context, row, gate)
  if (port !== undefined) await deletePort(context, port, gate)
  await removeAttachment(context.db, row.id)
}

/** Detaches a port of ours from its gate and deletes it. @throws OpenStackError */
export async function deletePort(
  context: Plugging,
  port: Pick<Port, 'id' | 'device_id'>,
  gate: Pick<GateRow, 'server_id'>,
): Promise<void> {
  const {cloud} = context
  if (port.device_id !== '') {
    await cloud.compute.detachPort(gate.server_id, port.id).catch(gone)
    await detached(context, port.id)
  }
  await cloud.network.deletePort(port.id).catch(async error => {
    gone(error)
    // Neutron says 404 of what one sees and may not delete, too: an account that lost its role must not forget the port.
    if (await cloud.network.port(port.id).catch(gone)) throw error
  })
}

/** A port is never plugged and unplugged at the same time. */
export const portJob = (id: string) => `port ${id}`

/** Detaches and deletes the port of an attachment that its gate has forgotten, and then its row. */
export function letGo(context: ServiceContext, row: AttachmentRow): void {
  context.jobs.once(portJob(row.id), async () => {
    const gate = await gateById(context.db, row.gate_id)
    if (gate !== undefined) await context.account.retry(() => unplug(context, row, gate))
  })
}
