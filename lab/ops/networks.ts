import {neutronFault} from '../fault.ts'
import {makeNetwork, makePort, makeRouter, makeRule, makeSecurityGroup, makeSubnet, stamp} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import type {
  Cloud,
  FixedIp,
  NetworkRecord,
  PortRecord,
  RouterRecord,
  SecurityGroupRecord,
  Standard,
  SubnetRecord,
} from '../state.ts'
import {allocate, range, toAddress} from './addresses.ts'
import {checkQuota} from './quota.ts'

/** Notes that a record changed. */
export function touch(record: Pick<Standard, 'updated_at' | 'revision_number'>): void {
  record.updated_at = stamp()
  record.revision_number++
}

type Given<T> = Partial<T> & {project_id: string}

/** @throws ApiFault 409 over quota */
export function createNetwork(cloud: Cloud, given: Given<NetworkRecord>): NetworkRecord {
  checkQuota(cloud, given.project_id, 'network')
  const network = makeNetwork(given)
  cloud.networks.set(network.id, network)
  return network
}

/** With `gateway_ip` not given it is the first address, with null there is none. @throws ApiFault 409 over quota */
export function createSubnet(
  cloud: Cloud,
  given: Given<SubnetRecord> & {network_id: string; cidr: string},
): SubnetRecord {
  checkQuota(cloud, given.project_id, 'subnet')
  const {version, base, first, last} = range(given.cidr)
  const gateway = given.gateway_ip === undefined ? toAddress(first, version) : given.gateway_ip
  const from = gateway === toAddress(first, version) ? first + 1n : first
  const pool = {start: toAddress(from, version), end: toAddress(last, version)}
  const cidr = `${toAddress(base, version)}/${given.cidr.split('/')[1]}`
  const subnet = makeSubnet({allocation_pools: [pool], ...given, cidr, gateway_ip: gateway})
  cloud.subnets.set(subnet.id, subnet)
  cloud.networks.get(given.network_id)?.subnets.push(subnet.id)
  return subnet
}

/** The project's `default` security group, made at the first need with Neutron's own four rules. */
export function defaultGroup(cloud: Cloud, projectId: string): SecurityGroupRecord {
  for (const group of cloud.security_groups.values()) {
    if (group.project_id === projectId && group.name === 'default') return group
  }
  return createGroup(cloud, {project_id: projectId, name: 'default', description: 'Default security group'})
}

/** A group with the two egress rules of every new group; `default` also admits its own members. */
export function createGroup(cloud: Cloud, given: Given<SecurityGroupRecord>): SecurityGroupRecord {
  const group = makeSecurityGroup(given)
  cloud.security_groups.set(group.id, group)
  for (const ethertype of ['IPv4', 'IPv6'] as const) {
    const base = {project_id: group.project_id, security_group_id: group.id, ethertype}
    const rules = [makeRule({...base, direction: 'egress'})]
    if (group.name === 'default')
      rules.push(makeRule({...base, direction: 'ingress', remote_group_id: group.id}))
    for (const rule of rules) cloud.security_group_rules.set(rule.id, rule)
  }
  return group
}

type PortGiven = Given<Omit<PortRecord, 'fixed_ips'>> & {
  network_id: string
  fixed_ips?: readonly Partial<FixedIp>[] | undefined
}

/** A port with addresses and, unless told otherwise, the project's default group. @throws ApiFault 400, 409 */
export function createPort(cloud: Cloud, given: PortGiven): PortRecord {
  checkQuota(cloud, given.project_id, 'port')
  const fixed_ips = allocate(cloud, given.network_id, given.fixed_ips)
  const infrastructure = given.device_owner?.startsWith('network:') === true
  const groups =
    given.security_groups ??
    (infrastructure || given.port_security_enabled === false
      ? []
      : [defaultGroup(cloud, given.project_id).id])
  const port = makePort({...given, security_groups: groups, fixed_ips})
  cloud.ports.set(port.id, port)
  return port
}

/** A router without interfaces. @throws ApiFault 409 over quota */
export function createRouter(cloud: Cloud, given: Given<RouterRecord>): RouterRecord {
  checkQuota(cloud, given.project_id, 'router')
  const router = makeRouter({...given, external_gateway_info: null})
  cloud.routers.set(router.id, router)
  return router
}

/** Gives the router a port on a subnet, at its gateway address or at the address of `port`. @throws ApiFault 400, 409 */
export async function addRouterInterface(
  cloud: Cloud,
  fabric: Fabric,
  router: RouterRecord,
  target: {subnet: SubnetRecord} | {port: PortRecord},
): Promise<PortRecord> {
  let port: PortRecord
  if ('subnet' in target) {
    const {subnet} = target
    if (subnet.gateway_ip === null) {
      throw neutronFault(
        400,
        'BadRequest',
        `Bad router request: Subnet for router interface must have a gateway IP.`,
      )
    }
    port = createPort(cloud, {
      project_id: router.project_id,
      network_id: subnet.network_id,
      fixed_ips: [{subnet_id: subnet.id, ip_address: subnet.gateway_ip}],
      device_owner: router.distributed ? 'network:router_interface_distributed' : 'network:router_interface',
    })
  } else {
    port = target.port
    port.device_owner = router.distributed
      ? 'network:router_interface_distributed'
      : 'network:router_interface'
  }
  port.device_id = router.id
  port.status = 'ACTIVE'
  port['binding:host_id'] = router.distributed ? '' : 'network1'
  touch(router)
  await fabric.syncRouter(router.id)
  return port
}

/** Sets, changes or (null) takes away the router's gateway. @throws ApiFault 400, 409 */
export async function setGateway(
  cloud: Cloud,
  fabric: Fabric,
  router: RouterRecord,
  wanted: {network_id: string; enable_snat?: boolean; external_fixed_ips?: Partial<FixedIp>[]} | null,
): Promise<void> {
  const old = [...cloud.ports.values()].find(
    port => port.device_id === router.id && port.device_owner === 'network:router_gateway',
  )
  const keep = wanted && old?.network_id === wanted.network_id && wanted.external_fixed_ips === undefined
  if (old && !keep) cloud.ports.delete(old.id)
  if (wanted === null) router.external_gateway_info = null
  else {
    const port = keep && old ? old : gatewayPort(cloud, router, wanted)
    router.external_gateway_info = {
      network_id: wanted.network_id,
      enable_snat: wanted.enable_snat ?? true,
      external_fixed_ips: port.fixed_ips,
    }
  }
  touch(router)
  await fabric.syncRouter(router.id)
}

function gatewayPort(
  cloud: Cloud,
  router: RouterRecord,
  wanted: {network_id: string; external_fixed_ips?: Partial<FixedIp>[]},
): PortRecord {
  return createPort(cloud, {
    project_id: '', // as Neutron has it: a tenant does not see the gateway's port
    network_id: wanted.network_id,
    ...(wanted.external_fixed_ips ? {fixed_ips: wanted.external_fixed_ips} : {}),
    device_id: router.id,
    device_owner: 'network:router_gateway',
    status: 'ACTIVE',
    'binding:host_id': 'network1',
  })
}
