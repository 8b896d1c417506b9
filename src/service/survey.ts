import type {Port} from '../openstack/index.ts'
import type {ServiceContext} from './context.ts'
import {LIVE} from './store/paths.ts'
import type {AttachmentRow, PathRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'cloud' | 'clock'>
type LivePath = Pick<PathRow, 'id' | 'attachment_id' | 'server_id' | 'network_id' | 'address' | 'seen_at'>
type Plugged = Pick<AttachmentRow, 'id' | 'gate_id' | 'port_id' | 'state'> & {readonly server_id: string}

/** What the cloud took away while nobody asked us. */
export interface Survey {
  /** Live paths whose VM, or its address on the path's network, is gone. */
  readonly gone: readonly Pick<PathRow, 'id' | 'attachment_id'>[]
  /** Attachments that are to be plugged anew: their port is gone, or plugged out, or never got so far. */
  readonly lost: readonly Pick<AttachmentRow, 'id' | 'gate_id'>[]
}

/** Rows that one statement names at most: databases limit their parameters. */
const AT_ONCE = 1000

/**
 * Compares the rows with Neutron, by a listing of the networks' ports and one of ours: somebody may have deleted a VM, whose
 * address is then given to another one, or a port of ours.
 *
 * Not seen is not gone: an account that loses the role by which it sees tenants' ports must cut nobody's session. So a path
 * ends only if its VM's port was seen before, and its network is still seen or went together with our port on it.
 *
 * @throws OpenStackError
 */
export async function survey(context: Context): Promise<Survey> {
  const attachments = await context.db
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
  const pluggedIn = await ownPorts(context, attachments)
  const missing = await missingPaths(context)
  const portless = new Set(
    attachments.filter(row => row.port_id === null || !pluggedIn.has(row.port_id)).map(row => row.id),
  )
  const gone = await provablyGone(context, missing, portless)
  return {gone, lost: await wantAgain(context, attachments, pluggedIn)}
}

/** Our ports that there are, and the server that each is plugged into. */
async function ownPorts({cloud}: Context, rows: readonly Plugged[]): Promise<Map<string, string>> {
  const ids = rows.flatMap(row => row.port_id ?? [])
  if (ids.length === 0) return new Map()
  const ports = await cloud.network.ports({id: ids, fields: ['id', 'device_id']})
  return new Map(ports.map(port => [port.id, port.device_id]))
}

/** Live paths whose VM's address is not seen, but was. Remembers those that are. */
async function missingPaths({db, cloud, clock}: Context): Promise<LivePath[]> {
  const paths = await db
    .selectFrom('paths')
    .select(['id', 'attachment_id', 'server_id', 'network_id', 'address', 'seen_at'])
    .where('state', 'in', LIVE)
    .execute()
  if (paths.length === 0) return []
  const ports = await cloud.network.ports({
    network_id: [...new Set(paths.map(path => path.network_id))],
    fields: ['id', 'device_id', 'network_id', 'fixed_ips'],
  })
  const there = new Set(ports.flatMap(addresses))
  const isThere = (path: LivePath) => there.has(`${path.server_id} ${path.network_id} ${path.address}`)
  const seen = paths.filter(isThere).map(path => path.id)
  for (let at = 0; at < seen.length; at += AT_ONCE)
    await db
      .updateTable('paths')
      .set({seen_at: clock()})
      .where('id', 'in', seen.slice(at, at + AT_ONCE))
      .execute()
  return paths.filter(path => path.seen_at !== null && !isThere(path))
}

const addresses = ({device_id, network_id, fixed_ips}: Port) =>
  fixed_ips.map(({ip_address}) => `${device_id} ${network_id} ${ip_address}`)

/** @param portless attachments whose port is gone: a network cannot be deleted while there is a port on it */
async function provablyGone({cloud}: Context, missing: readonly LivePath[], portless: ReadonlySet<string>) {
  if (missing.length === 0) return []
  const id = [...new Set(missing.map(path => path.network_id))]
  const visible = new Set((await cloud.network.networks({id, fields: ['id']})).map(network => network.id))
  return missing.filter(path => visible.has(path.network_id) || portless.has(path.attachment_id))
}

/** A port that is only plugged out is plugged in again; one that is gone is made anew. */
async function wantAgain(
  {db}: Context,
  rows: readonly Plugged[],
  pluggedIn: ReadonlyMap<string, string>,
): Promise<Plugged[]> {
  const lost = rows.filter(
    row => row.state !== 'wanted' && pluggedIn.get(row.port_id ?? '') !== row.server_id,
  )
  for (const row of lost) {
    const anew = pluggedIn.has(row.port_id ?? '') ? {} : {port_id: null, groups: '[]'}
    await db
      .updateTable('attachments')
      .set({state: 'wanted', mac: null, ...anew})
      .where('id', '=', row.id)
      .where('state', '=', row.state)
      .execute()
  }
  return [...lost, ...rows.filter(row => row.state === 'wanted')]
}
