import type {Port} from '../openstack/index.ts'
import type {ServiceContext} from './context.ts'
import {deletePort, portName} from './gates/attachments.ts'
import {portDescription} from './marks.ts'
import {attachments} from './store/attachments.ts'
import {gates as allGates} from './store/gates.ts'

/*
 * Ports of this service that no row names. Neutron cannot be told of leases: a replica that was paused in the middle may make a
 * port while another one makes the same.
 */

/**
 * Deletes those that were there at the last look, too: a port is made before it is written down.
 *
 * @param suspects ids of the last look
 * @returns those of this one
 * @throws OpenStackError
 */
export async function sweepPorts(
  context: ServiceContext,
  suspects: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const {db, cloud, serviceId, log} = context
  const ports = await cloud.network.ports({description: portDescription(serviceId)})
  // After the listing: what was written down meanwhile is named.
  const [rows, gates] = await Promise.all([attachments(db), allGates(db)])
  const named = new Set(rows.flatMap(row => row.port_id ?? []))
  const unwritten = new Set(rows.filter(row => row.port_id === null).map(portName))
  const projects = new Set(gates.map(gate => gate.project_id))
  // Anybody may describe and name a port so; ours are the gates' projects'.
  const isOrphan = (port: Port) =>
    port.name.startsWith('os-ssh-') &&
    projects.has(port.project_id) &&
    !named.has(port.id) &&
    !unwritten.has(port.name)
  const orphans = ports.filter(isOrphan)
  for (const port of orphans.filter(one => suspects.has(one.id))) {
    const gate = gates.find(one => one.server_id === port.device_id)
    if (port.device_id !== '' && gate === undefined) continue
    log.warn({port: port.id, gate: gate?.name}, 'a port of ours that no row names is deleted')
    await deletePort(context, port, gate ?? {server_id: ''})
  }
  return new Set(orphans.map(port => port.id))
}
