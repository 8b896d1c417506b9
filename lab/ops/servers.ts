import {randomUUID} from 'node:crypto'

import {novaFault} from '../fault.ts'
import {stamp} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import type {Cloud, PortRecord, RootVolume, ServerGroupRecord, ServerRecord} from '../state.ts'
import {dropPort} from './floating.ts'
import {noHost, pickHost} from './hosts.ts'
import {createPort, touch} from './networks.ts'

/** What a boot needs beyond its ports. */
export interface ServerSpec {
  readonly name: string
  readonly tenant_id: string
  readonly user_id: string
  readonly image_id: string
  readonly flavor_id: string
  readonly key_name?: string | null
  readonly user_data?: string | null
  readonly metadata?: Record<string, string>
  readonly security_groups?: readonly string[]
  readonly config_drive?: boolean
  readonly root_volume?: RootVolume | null
  readonly availability_zone?: string | null
  readonly group?: ServerGroupRecord | undefined
  /** For the injected fault of a cloud that is full. */
  readonly noHost?: boolean
}

/** Nova's host name of a server name: what is left of it after removing all that a host name cannot have. */
export function hostnameOf(name: string): string {
  const clean = name
    .toLowerCase()
    .replace(/[ _]/g, '-')
    .replace(/[^a-z0-9.-]/g, '')
    .replace(/^[.-]+|[.-]+$/g, '')
  return clean.slice(0, 63)
}

/**
 * The record of a server that is about to be built.
 * @param ports are asked for when a host was found
 * @throws ApiFault 400 when the key pair is unknown, and those of `ports`
 */
export function createServer(
  cloud: Cloud,
  spec: ServerSpec,
  ports: () => readonly PortRecord[],
): ServerRecord {
  const number = cloud.servers.size + 1
  const key = spec.key_name ? cloud.keypairs.get(`${spec.user_id}/${spec.key_name}`) : undefined
  if (spec.key_name && !key) throw novaFault(400, 'Invalid key_name provided.')
  const id = randomUUID()
  const server: ServerRecord = {
    id,
    name: spec.name,
    tenant_id: spec.tenant_id,
    user_id: spec.user_id,
    status: 'BUILD',
    task_state: 'spawning',
    image_id: spec.image_id,
    flavor_id: spec.flavor_id,
    key_name: spec.key_name ?? null,
    key_data: key?.public_key ?? null,
    host: spec.noHost ? '' : pickHost(cloud, spec, number),
    availability_zone: spec.availability_zone ?? null,
    hostname: hostnameOf(spec.name) || `server-${id}`,
    metadata: {...spec.metadata},
    user_data: spec.user_data ?? null,
    config_drive: spec.config_drive ?? false,
    root_volume: spec.root_volume ?? null,
    security_groups: spec.security_groups ?? ['default'],
    number,
    created: stamp(),
    updated: stamp(),
    launched_at: null,
    fault: null,
    ports: [],
    host_key: '',
    actions: [],
  }
  note(server, 'create', spec.user_id)
  // networks come after the scheduler: without a host no port is touched
  if (server.host !== '') for (const port of ports()) bind(server, port)
  spec.group?.members.push(id)
  cloud.servers.set(id, server)
  return server
}

/** Makes the port the server's, as Nova does before it plugs. */
export function bind(server: ServerRecord, port: PortRecord): void {
  port.device_id = server.id
  port.device_owner = 'compute:nova'
  port['binding:host_id'] = server.host
  port['binding:vif_type'] = 'ovs'
  port['binding:vif_details'] = {
    connectivity: 'l2',
    port_filter: true,
    ovs_hybrid_plug: false,
    datapath_type: 'netdev',
    bridge_name: 'br-int',
    bound_drivers: {'0': 'openvswitch'},
  }
  server.ports.push(port.id)
  touch(port)
}

/** Undoes bind. */
export function unbind(server: ServerRecord, port: PortRecord): void {
  const at = server.ports.indexOf(port.id)
  if (at >= 0) server.ports.splice(at, 1)
  Object.assign(port, {device_id: '', device_owner: '', status: 'DOWN'})
  Object.assign(port, {'binding:host_id': '', 'binding:vif_type': 'unbound', 'binding:vif_details': {}})
  touch(port)
}

function setStatus(cloud: Cloud, server: ServerRecord, status: string, portStatus: string): void {
  server.status = status
  server.task_state = null
  server.updated = stamp()
  for (const id of server.ports) {
    const port = cloud.ports.get(id)
    if (port) port.status = portStatus
  }
}

/** Servers whose next boot starts nothing: an injected fault. */
const deaf = new WeakSet<ServerRecord>()

/** The server will be ACTIVE, and nobody there. */
export function bootDeaf(server: ServerRecord): void {
  deaf.add(server)
}

/** Boots the guest; the record says ERROR when that fails. */
export async function bootServer(cloud: Cloud, fabric: Fabric, server: ServerRecord): Promise<void> {
  if (server.host === '') {
    server.fault = noHost
    return setStatus(cloud, server, 'ERROR', 'DOWN')
  }
  try {
    if (!deaf.delete(server)) await fabric.boot(server)
    server.fault = null
    server.launched_at ??= stamp()
    setStatus(cloud, server, 'ACTIVE', 'ACTIVE')
  } catch (error) {
    server.fault = (error as Error).message
    setStatus(cloud, server, 'ERROR', 'DOWN')
    throw error
  }
}

/** Writes down what is done to a server, and by whom. */
export function note(server: ServerRecord, action: string, user_id: string): void {
  const entry = {
    action,
    request_id: `req-${randomUUID()}`,
    user_id,
    project_id: server.tenant_id,
    start_time: new Date().toISOString().replace('Z', '000'),
  }
  Object.assign(server, {actions: [entry, ...server.actions]})
}

/** A new disk for the guest: its host key and all that it had are gone. One that was off stays off. */
export async function rebuildServer(
  cloud: Cloud,
  fabric: Fabric,
  server: ServerRecord,
  off = false,
): Promise<void> {
  await fabric.destroy(server)
  server.host_key = ''
  if (off) setStatus(cloud, server, 'SHUTOFF', 'DOWN')
  else await bootServer(cloud, fabric, server)
}

/** Down and up again, without being SHUTOFF in between. */
export async function rebootServer(cloud: Cloud, fabric: Fabric, server: ServerRecord): Promise<void> {
  await fabric.shutdown(server)
  await bootServer(cloud, fabric, server)
}

/** Shuts the guest down; its ports stay. */
export async function stopServer(cloud: Cloud, fabric: Fabric, server: ServerRecord): Promise<void> {
  await fabric.shutdown(server)
  setStatus(cloud, server, 'SHUTOFF', 'DOWN')
}

/** Removes the guest; ports that Nova made go with it, others are unbound. */
export async function deleteServer(cloud: Cloud, fabric: Fabric, server: ServerRecord): Promise<void> {
  await fabric.destroy(server)
  for (const id of [...server.ports]) {
    const port = cloud.ports.get(id)
    if (port) await releasePort(cloud, fabric, server, port)
  }
  cloud.servers.delete(server.id)
}

/** Ports that Nova made for a server: these it also deletes. */
const madeByNova = new WeakSet<PortRecord>()

/** A port made by Nova for a server's request by network. @throws ApiFault 400, 409 */
export function novaPort(
  cloud: Cloud,
  server: {tenant_id: string},
  spec: Omit<Parameters<typeof createPort>[1], 'project_id'>,
): PortRecord {
  const port = createPort(cloud, {...spec, project_id: server.tenant_id})
  madeByNova.add(port)
  return port
}

async function releasePort(
  cloud: Cloud,
  fabric: Fabric,
  server: ServerRecord,
  port: PortRecord,
): Promise<void> {
  unbind(server, port)
  if (madeByNova.has(port)) await dropPort(cloud, fabric, port)
}

/**
 * Hot-plugs a port into a server.
 * @param appear false for the injected fault of a NIC that never shows up
 */
export async function attachPort(
  fabric: Fabric,
  server: ServerRecord,
  port: PortRecord,
  appear = true,
): Promise<void> {
  bind(server, port)
  if (!appear) return
  try {
    await fabric.plug(server, port)
  } catch (error) {
    unbind(server, port)
    throw error
  }
}

/** Takes a port out of a server. */
export async function detachPort(
  cloud: Cloud,
  fabric: Fabric,
  server: ServerRecord,
  port: PortRecord,
): Promise<void> {
  await fabric.unplug(server, port)
  await releasePort(cloud, fabric, server, port)
}
