import {isIPv4} from 'node:net'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../../errors.ts'
import {OpenStackError, type Port} from '../../openstack/index.ts'
import type {ServiceContext} from '../context.ts'
import {contains} from '../planner/prefix.ts'
import {addressesOnLink, liveGroups, wantedGroups} from '../store/attachments.ts'
import type {AttachmentRow, GateRow, Reach} from '../store/schema.ts'

const DETACH_MS = 30_000
/** How long a port that Nova calls attached may take to be ACTIVE, ms; some back ends never say so. */
const WIRE_MS = 10_000
const POLL_MS = 300

type Plugging = Pick<ServiceContext, 'db' | 'cloud' | 'log' | 'clock'>

/** By this name a port is found again when we died between making it and writing it down. */
const portName = (row: AttachmentRow) => `os-ssh-${row.id}`

async function findPort({cloud}: Plugging, row: AttachmentRow, gate: GateRow): Promise<Port | undefined> {
  if (row.port_id === null) {
    const {network_id} = row
    // Anybody may call a port so; ours is the gate's project's.
    return (await cloud.network.ports({name: portName(row), network_id, project_id: gate.project_id}))[0]
  }
  return cloud.network.port(row.port_id).catch(gone)
}

/** Not there is what we want. */
function gone(error: unknown): undefined {
  if (error instanceof OpenStackError && error.fault === 'not-found') return undefined
  throw error
}

/** The gate project's own groups, for the port's way out. */
async function ownGroups({cloud}: Plugging, row: AttachmentRow, gate: GateRow): Promise<string[]> {
  if (row.own_groups !== null) return JSON.parse(row.own_groups)
  const own = await cloud.network.securityGroups({project_id: gate.project_id, name: 'default'})
  return own.map(group => group.id)
}

/**
 * Makes the port of an attachment exist, belong to the right security groups and be plugged into the gate. May be
 * called at any time and after any crash; does only what is missing.
 *
 * @returns whether the row changed
 * @throws OpenStackError, OsSshError
 */
export async function plug(context: Plugging, row: AttachmentRow, gate: GateRow): Promise<boolean> {
  const {db, cloud} = context
  const own = await ownGroups(context, row, gate)
  const has = JSON.parse(row.groups) as string[]
  let groups = wantedGroups(row, own, await liveGroups(db, [row.id]))
  const onLink = await addressesOnLink(db, row)
  const same =
    JSON.stringify(groups) === row.groups &&
    row.own_groups !== null &&
    missingSubnets(row, (JSON.parse(row.addresses) as string[]).map(ipOf), onLink).length === 0
  if (row.state !== 'wanted' && same) return false
  const stays = has.filter(group => groups.includes(group))
  if (stays.length < has.length) {
    // What it leaves it leaves in the row first: a path that comes after that does not count on it.
    const change = {groups: JSON.stringify(stays)}
    await db.updateTable('attachments').set(change).where('id', '=', row.id).execute()
    groups = wantedGroups(row, own, await liveGroups(db, [row.id]))
  }

  const found = (await findPort(context, row, gate)) ?? (await createPort(context, row, gate, onLink))
  if (found.project_id !== gate.project_id)
    throw new OsSshError(
      'CLOUD_REFUSED',
      'the port of the attachment belongs to another project than the gate',
    )
  const change = changeOf(found, groups, missingSubnets(row, ipsOf(found), onLink))
  const port = change === undefined ? found : await cloud.network.updatePort(found.id, change)
  if (port.device_id === '') await cloud.compute.attachPort(gate.server_id, port.id)
  else if (port.device_id !== gate.server_id)
    throw new OsSshError('CLOUD_REFUSED', 'the port of the attachment is plugged into another server')
  await waitForPort(context, port.id, WIRE_MS, now => now?.status === 'ACTIVE')

  const plugged = {mac: port.mac_address, addresses: JSON.stringify(addressesOf(port, row))}
  const member = {groups: JSON.stringify(groups), own_groups: JSON.stringify(own)}
  // To leave a group is nothing that a path waits for.
  const rewired =
    row.state === 'wanted' ||
    groups.some(group => !has.includes(group)) ||
    plugged.addresses !== row.addresses
  await db
    .updateTable('attachments')
    .set({...plugged, ...member, port_id: port.id, ...(rewired ? {wired_at: context.clock()} : {})})
    .where('id', '=', row.id)
    .execute()
  await db
    .updateTable('attachments')
    .set({state: 'plugged'})
    .where('id', '=', row.id)
    .where('state', '=', 'wanted')
    .execute()
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
  const regroup = JSON.stringify([...port.security_groups].sort()) !== JSON.stringify(groups)
  if (!regroup && subnets.length === 0) return undefined
  const fixed_ips = [...port.fixed_ips, ...subnets.map(subnet_id => ({subnet_id}))]
  return {...(regroup ? {security_groups: groups} : {}), ...(subnets.length > 0 ? {fixed_ips} : {})}
}

/** Subnets on the link in which a VM of a path is, and the port has no address yet: such a VM would answer by its router. */
function missingSubnets(row: AttachmentRow, has: readonly string[], onLink: readonly string[]): string[] {
  const links = (JSON.parse(row.reach) as Reach[]).filter(
    ({via, cidr}) =>
      via === null &&
      onLink.some(address => contains(cidr, address)) &&
      !has.some(address => contains(cidr, address)),
  )
  return links.flatMap(link => link.subnet_id ?? [])
}

/** The port's addresses with the length of their subnets, IPv4 first. The subnets are those that the user saw when planning. */
function addressesOf(port: Port, row: AttachmentRow): string[] {
  const cidrs = (JSON.parse(row.reach) as Reach[])
    .filter(reach => reach.via === null)
    .map(reach => reach.cidr)
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

/** Looks at the port until the condition holds, or it has gone, or the time (ms) is over. */
async function waitForPort(
  {cloud}: Plugging,
  portId: string,
  within: number,
  condition: (port: Port | undefined) => boolean,
): Promise<void> {
  for (const end = Date.now() + within; ; await sleep(POLL_MS)) {
    const port = await cloud.network.port(portId).catch(gone)
    if (port === undefined || condition(port) || Date.now() > end) return
  }
}

async function createPort(
  {cloud, db, log}: Plugging,
  row: AttachmentRow,
  gate: GateRow,
  onLink: readonly string[],
): Promise<Port> {
  const links = (JSON.parse(row.reach) as Reach[]).filter(reach => reach.via === null)
  const perFamily = Object.values(Object.groupBy(links, link => String(link.cidr.includes(':'))))
  // Neutron takes one subnet a family by itself; only where there are more it must be told which.
  const subnets = perFamily.some(some => (some?.length ?? 0) > 1) ? missingSubnets(row, [], onLink) : []
  const own = (await cloud.identity.token()).project?.id === gate.project_id
  const port = await cloud.network.createPort({
    network_id: row.network_id,
    name: portName(row),
    description: `os-ssh: gate ${gate.name}`,
    ...(subnets.length > 0 ? {fixed_ips: subnets.map(subnet_id => ({subnet_id}))} : {}),
    // Its groups come by an update: only an admin may create a port in the groups of another project, while an
    // update by whoever sees them is let through (neutron/db/securitygroups_db.py, _get_security_groups_on_port).
    // Only an admin may make a port for another project, so a member does not even say whose it is.
    ...(own ? {} : {project_id: gate.project_id}),
  })
  await db.updateTable('attachments').set({port_id: port.id}).where('id', '=', row.id).execute()
  await cloud.network.tagPort(port.id, ['os-ssh']).catch(error => log.warn({err: error}, 'port not tagged'))
  return port
}

/**
 * Detaches the port from the gate, deletes it, and then the row: in this order, so that a crash leaves a row that leads
 * to what is still there.
 *
 * @throws OpenStackError
 */
export async function unplug(context: Plugging, row: AttachmentRow, gate: GateRow): Promise<void> {
  const {cloud, db} = context
  const port = await findPort(context, row, gate)
  if (port !== undefined) {
    if (port.device_id !== '') {
      await cloud.compute.detachPort(gate.server_id, port.id).catch(gone)
      // Nova detaches in its own time; deleted before that, the port would be missed by it.
      await waitForPort(context, port.id, DETACH_MS, now => now?.device_id === '')
    }
    await cloud.network.deletePort(port.id).catch(async error => {
      gone(error)
      // Neutron says 404 of what one sees and may not delete, too: an account that lost its role must not forget the port.
      if (await cloud.network.port(port.id).catch(gone)) throw error
    })
  }
  await db.deleteFrom('attachments').where('id', '=', row.id).where('state', '=', 'removing').execute()
}
