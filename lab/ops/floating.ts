import {neutronFault, neutronNotFound} from '../fault.ts'
import {makeFloatingIp} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import type {Cloud, FloatingIpRecord, PortRecord} from '../state.ts'
import {createPort, touch} from './networks.ts'
import {checkQuota} from './quota.ts'

/** What a floating IP is to lead to. */
export interface Association {
  readonly port_id?: string | null
  readonly fixed_ip_address?: string | null
}

interface Target {
  readonly port_id: string
  readonly fixed_ip_address: string
  readonly router_id: string
}

const bad = (message: string) => neutronFault(400, 'BadRequest', `Bad floatingip request: ${message}.`)
const isFour = (address: string) => !address.includes(':')

/** The port's one IPv4 address, or the asked one. @throws ApiFault 400 (neutron/db/l3_db.py, _internal_fip_assoc_data) */
function fixedIp(port: PortRecord, asked: string | null | undefined) {
  if (asked) {
    if (!isFour(asked))
      throw bad(`Cannot process floating IP association with ${asked}, since that is not an IPv4 address`)
    const found = port.fixed_ips.find(ip => ip.ip_address === asked)
    if (!found) throw bad(`Port ${port.id} does not have fixed ip ${asked}`)
    return found
  }
  const [first, ...more] = port.fixed_ips.filter(ip => isFour(ip.ip_address))
  if (!first) throw bad(`Cannot add floating IP to port ${port.id} that has no fixed IPv4 addresses`)
  if (more.length > 0)
    throw bad(
      `Port ${port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a floating IP`,
    )
  return first
}

/** The router between a subnet and an external network; the one that is the subnet's gateway first. @throws ApiFault 404 */
function routerFor(cloud: Cloud, port: PortRecord, subnetId: string, networkId: string): string {
  const gateways = new Set(
    [...cloud.ports.values()].flatMap(one =>
      one.network_id === networkId && one.device_owner === 'network:router_gateway' ? one.device_id : [],
    ),
  )
  const inside = [...cloud.ports.values()].flatMap(one =>
    one.device_owner.startsWith('network:router_interface') && gateways.has(one.device_id)
      ? one.fixed_ips.flatMap(ip => (ip.subnet_id === subnetId ? {...ip, router_id: one.device_id} : []))
      : [],
  )
  const gateway = cloud.subnets.get(subnetId)?.gateway_ip
  const found = inside.find(one => one.ip_address === gateway) ?? inside[0]
  if (found) return found.router_id
  throw neutronFault(
    404,
    'ExternalGatewayForFloatingIPNotFound',
    `External network ${networkId} is not reachable from subnet ${subnetId}.  Therefore, cannot associate Port ${port.id} with a Floating IP.`,
  )
}

function targetOf(cloud: Cloud, floating: FloatingIpRecord, wanted: Association): Target | undefined {
  if (!wanted.port_id) {
    if (wanted.fixed_ip_address) throw bad('fixed_ip_address cannot be specified without a port_id')
    return undefined
  }
  const port = cloud.ports.get(wanted.port_id)
  if (!port) throw neutronNotFound('Port', wanted.port_id)
  if (port.project_id !== floating.project_id)
    throw bad(
      `Cannot process floating IP association with Port ${port.id}, since that port is owned by a different tenant`,
    )
  const {ip_address, subnet_id} = fixedIp(port, wanted.fixed_ip_address)
  const router_id = routerFor(cloud, port, subnet_id, floating.floating_network_id)
  const other = [...cloud.floatingips.values()].find(
    one =>
      one.port_id === port.id &&
      one.fixed_ip_address === ip_address &&
      one.floating_network_id === floating.floating_network_id,
  )
  if (other && other.id !== floating.id) {
    const {floating_ip_address: address, floating_network_id: network} = floating
    throw neutronFault(
      409,
      'FloatingIPPortAlreadyAssociated',
      `Cannot associate floating IP ${address} (${floating.id}) with port ${port.id} using fixed IP ${ip_address}, as that fixed IP already has a floating IP on external network ${network}.`,
    )
  }
  return {port_id: port.id, fixed_ip_address: ip_address, router_id}
}

/** The routers make it so; the status follows. */
async function apply(fabric: Fabric, floating: FloatingIpRecord, routers: readonly (string | null)[]) {
  for (const id of new Set(routers)) if (id !== null) await fabric.syncRouter(id)
  floating.status = floating.port_id === null ? 'DOWN' : 'ACTIVE'
}

/**
 * A floating IP of a project, associated at once when it says so.
 * @param given `floating_ip_address` asks for one address
 * @throws ApiFault 400 the network is no external one, or the port has no fitting address; 404 no router leads there;
 *   409 over quota, the pool is empty, or the fixed IP has one already
 */
export async function createFloatingIp(
  cloud: Cloud,
  fabric: Fabric,
  given: Association & {
    project_id: string
    floating_network_id: string
    floating_ip_address?: string
    description?: string
  },
): Promise<FloatingIpRecord> {
  const {project_id, floating_network_id, floating_ip_address, description = ''} = given
  const network = cloud.networks.get(floating_network_id)
  if (!network) throw neutronNotFound('Network', floating_network_id)
  if (!network['router:external']) throw bad(`Network ${network.id} is not a valid external network`)
  if (!network.subnets.some(id => cloud.subnets.get(id)?.ip_version === 4))
    throw bad(`Network ${network.id} does not contain any IPv4 subnet`)
  checkQuota(cloud, project_id, 'floatingip')
  const holder = createPort(cloud, {
    project_id: '', // as Neutron has it: a tenant does not see the port that holds the address
    network_id: network.id,
    ...(floating_ip_address === undefined ? {} : {fixed_ips: [{ip_address: floating_ip_address}]}),
    device_id: 'PENDING',
    device_owner: 'network:floatingip',
    status: 'N/A',
  })
  const address = holder.fixed_ips.find(ip => isFour(ip.ip_address))?.ip_address ?? ''
  const floating = makeFloatingIp({
    project_id,
    floating_network_id: network.id,
    floating_ip_address: address,
    description,
  })
  try {
    Object.assign(floating, targetOf(cloud, floating, given))
  } catch (error) {
    cloud.ports.delete(holder.id)
    throw error
  }
  holder.device_id = floating.id
  cloud.floatingips.set(floating.id, floating)
  await apply(fabric, floating, [floating.router_id])
  return floating
}

/** Leads a floating IP to another port, or with `port_id` null to none. @throws ApiFault 400, 404, 409 */
export async function associate(
  cloud: Cloud,
  fabric: Fabric,
  floating: FloatingIpRecord,
  wanted: Association,
): Promise<void> {
  const before = floating.router_id
  const none = {port_id: null, fixed_ip_address: null, router_id: null}
  Object.assign(floating, targetOf(cloud, floating, wanted) ?? none)
  touch(floating)
  await apply(fabric, floating, [before, floating.router_id])
}

/** Gives the address back. */
export async function deleteFloatingIp(
  cloud: Cloud,
  fabric: Fabric,
  floating: FloatingIpRecord,
): Promise<void> {
  cloud.floatingips.delete(floating.id)
  for (const port of cloud.ports.values()) if (port.device_id === floating.id) cloud.ports.delete(port.id)
  if (floating.router_id !== null) await fabric.syncRouter(floating.router_id)
}

/** Deletes a port; its floating IPs stay and lead nowhere. */
export async function dropPort(cloud: Cloud, fabric: Fabric, port: PortRecord): Promise<void> {
  cloud.ports.delete(port.id)
  for (const floating of [...cloud.floatingips.values()])
    if (floating.port_id === port.id) await associate(cloud, fabric, floating, {})
}

/** The port as a floating IP shows it (extension fip-port-details). */
export function portDetails(cloud: Cloud, portId: string | null): Record<string, unknown> | null {
  const port = cloud.ports.get(portId ?? '')
  if (!port) return null
  const {name, network_id, mac_address, admin_state_up, status, device_id, device_owner} = port
  return {name, network_id, mac_address, admin_state_up, status, device_id, device_owner}
}
