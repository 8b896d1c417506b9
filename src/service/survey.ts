import type {Port} from '../openstack/index.ts'
import {ownProject} from './account.ts'
import type {ServiceContext} from './context.ts'
import {loseAttachment} from './store/attachment-steps.ts'
import {staying} from './store/attachments.ts'
import {livePaths} from './store/paths.ts'
import type {AttachmentRow, PathRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'cloud'>
type LivePath = Pick<PathRow, 'id' | 'attachment_id' | 'project_id' | 'server_id' | 'network_id' | 'address'>
type Plugged = Pick<AttachmentRow, 'id' | 'gate_id' | 'port_id' | 'state'> & {
  readonly server_id: string
  readonly project_id: string
}

/** What the cloud took away while nobody asked us. */
export interface Survey {
  /** Live paths whose VM, or its address on the path's network, is gone. */
  readonly gone: readonly Pick<PathRow, 'id' | 'attachment_id'>[]
  /** Attachments that are to be plugged anew: their port is gone, or plugged out, or never got so far. */
  readonly lost: readonly Pick<AttachmentRow, 'id' | 'gate_id'>[]
}

/**
 * Compares the rows with Neutron: somebody may have deleted a VM, whose address is then given to another one, or a port of
 * ours. While all is there, these are two listings, of the VMs' ports and of ours.
 *
 * Not seen is not gone: an account that loses the role by which it sees tenants' ports must cut nobody's session. So what is
 * not of the account's own project counts as gone only where the account proves to see what is there.
 *
 * @throws OpenStackError
 */
export async function survey(context: Context): Promise<Survey> {
  const own = await ownProject(context.cloud)
  const attachments = await staying(context.db)
  const ours = await ourPorts(context, attachments)
  const portless = new Set(attachments.filter(row => !ours.has(row.port_id ?? '')).map(row => row.id))
  const missing = await missingPaths(context)
  const gone = await provablyGone(context, own, missing, portless)
  return {gone, lost: await wantAgain(context, own, attachments, ours)}
}

/** Our ports that there are, and the server that each is plugged into. */
async function ourPorts({cloud}: Context, rows: readonly Plugged[]): Promise<Map<string, string>> {
  const id = rows.flatMap(row => row.port_id ?? [])
  if (id.length === 0) return new Map()
  const ports = await cloud.network.ports({id, fields: ['id', 'device_id']})
  return new Map(ports.map(port => [port.id, port.device_id]))
}

/** Live paths whose VM's address is not seen. */
async function missingPaths({db, cloud}: Context): Promise<LivePath[]> {
  const paths = await livePaths(db)
  if (paths.length === 0) return []
  const ports = await cloud.network.ports({
    device_id: [...new Set(paths.map(path => path.server_id))],
    fields: ['id', 'device_id', 'network_id', 'fixed_ips'],
  })
  const there = new Set(ports.flatMap(addresses))
  return paths.filter(path => !there.has(`${path.server_id} ${path.network_id} ${path.address}`))
}

const addresses = ({device_id, network_id, fixed_ips}: Port) =>
  fixed_ips.map(({ip_address}) => `${device_id} ${network_id} ${ip_address}`)

/**
 * Those whose absence means something: the VM is of the account's own project; or the account sees somebody else's port on
 * that network, or the network itself though nobody shares it; or network and port of ours went together, since a network
 * cannot be deleted while there is a port on it.
 */
async function provablyGone(
  {cloud}: Context,
  own: string,
  missing: readonly LivePath[],
  portless: ReadonlySet<string>,
): Promise<LivePath[]> {
  if (missing.length === 0) return []
  const ids = [...new Set(missing.map(path => path.network_id))]
  const [ports, networks] = await Promise.all([
    cloud.network.ports({network_id: ids, fields: ['id', 'network_id', 'project_id']}),
    cloud.network.networks({id: ids, fields: ['id', 'shared', 'router:external']}),
  ])
  const proven = new Set([
    ...ports.filter(port => port.project_id !== own).map(port => port.network_id),
    ...networks.filter(one => !one.shared && !one['router:external']).map(one => one.id),
  ])
  return missing.filter(
    path => path.project_id === own || proven.has(path.network_id) || portless.has(path.attachment_id),
  )
}

/** A port that is only plugged out is plugged in again; one that is gone is made anew. */
async function wantAgain(
  {db}: Context,
  own: string,
  rows: readonly Plugged[],
  ours: ReadonlyMap<string, string>,
): Promise<Plugged[]> {
  // The ports of another project's gates are an admin's to see: where none of them is seen, that says nothing.
  const seen = new Set([own, ...rows.filter(row => ours.has(row.port_id ?? '')).map(row => row.project_id)])
  const lost = rows.filter(
    row =>
      row.state !== 'wanted' && ours.get(row.port_id ?? '') !== row.server_id && seen.has(row.project_id),
  )
  for (const row of lost) await loseAttachment(db, row, !ours.has(row.port_id ?? ''))
  return [...lost, ...rows.filter(row => row.state === 'wanted')]
}
