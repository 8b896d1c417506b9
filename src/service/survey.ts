import type {Port} from '../openstack/index.ts'
import type {ServiceContext} from './context.ts'
import {LIVE} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

/** What the cloud took away while nobody asked us. */
export interface Survey {
  /** Live paths whose VM, or its address on the path's network, is gone. */
  readonly gone: readonly Pick<PathRow, 'id' | 'attachment_id'>[]
  /** Attachments that are to be plugged anew: their port is gone, or plugged out, or never got so far. */
  readonly lost: readonly {readonly id: string; readonly gate_id: string}[]
}

/**
 * Compares the rows with Neutron, by two listings for any number of paths: somebody may have deleted a VM, whose address
 * is then given to another one, or a port of ours.
 *
 * A path ends only if its VM's port was seen before: an account that sees no ports of VMs says nothing about them.
 *
 * @throws OpenStackError
 */
export async function survey(context: Pick<ServiceContext, 'db' | 'cloud' | 'clock'>): Promise<Survey> {
  return {gone: await gonePaths(context), lost: await lostAttachments(context)}
}

async function gonePaths({db, cloud, clock}: Pick<ServiceContext, 'db' | 'cloud' | 'clock'>) {
  const paths = await db
    .selectFrom('paths')
    .select(['id', 'attachment_id', 'server_id', 'network_id', 'address', 'seen_at'])
    .where('state', 'in', LIVE)
    .execute()
  if (paths.length === 0) return []
  const ports = await cloud.network.ports({
    device_id: [...new Set(paths.map(path => path.server_id))],
    fields: ['id', 'device_id', 'network_id', 'fixed_ips'],
  })
  const there = new Set(ports.flatMap(addresses))
  const isThere = (path: (typeof paths)[number]) =>
    there.has(`${path.server_id} ${path.network_id} ${path.address}`)
  const seen = paths.filter(isThere).map(path => path.id)
  if (seen.length > 0) await db.updateTable('paths').set({seen_at: clock()}).where('id', 'in', seen).execute()
  return paths.filter(path => path.seen_at !== null && !isThere(path))
}

const addresses = ({device_id, network_id, fixed_ips}: Port) =>
  fixed_ips.map(({ip_address}) => `${device_id} ${network_id} ${ip_address}`)

async function lostAttachments({db, cloud}: Pick<ServiceContext, 'db' | 'cloud'>) {
  const rows = await db
    .selectFrom('attachments')
    .innerJoin('gates', 'gates.id', 'attachments.gate_id')
    .select([
      'attachments.id',
      'attachments.gate_id',
      'attachments.port_id',
      'attachments.state',
      'server_id',
    ])
    .where('attachments.state', '!=', 'removing')
    .execute()
  const plugged = rows.filter(row => row.state !== 'wanted')
  const known = plugged.flatMap(row => row.port_id ?? [])
  const ports = known.length === 0 ? [] : await cloud.network.ports({id: known, fields: ['id', 'device_id']})
  const where = new Map(ports.map(port => [port.id, port.device_id]))
  const lost = plugged.filter(row => where.get(row.port_id ?? '') !== row.server_id)
  for (const row of lost) {
    // A port that is only plugged out is plugged in again; one that is gone is made anew.
    const anew = where.has(row.port_id ?? '') ? {} : {port_id: null, groups: '[]'}
    await db
      .updateTable('attachments')
      .set({state: 'wanted', mac: null, ...anew})
      .where('id', '=', row.id)
      .where('state', '=', row.state)
      .execute()
  }
  return [...lost, ...rows.filter(row => row.state === 'wanted')]
}
