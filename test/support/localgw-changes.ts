import {dir} from '../openstack/place.ts'
import {command, inNode} from '../openstack/processes.ts'
import type {Json} from '../openstack/rest.ts'
import {ECHO, startEcho} from './flows.ts'
import {inVm, type LocalGatewayCloud, type Tenant, type Vm} from './localgw-cloud.ts'
import type {Host} from './localgw-node.ts'
import {eventually} from './run.ts'

/* What tenants and operators change beside a local gateway, each with the way back. */

/** Moves a VM to another node while it runs, and waits until Nova and Neutron have done. */
export async function migrate(cloud: LocalGatewayCloud, vm: Vm, host: Host): Promise<Vm> {
  const {admin} = cloud
  await admin.nova('POST', `servers/${vm.id}/action`, {'os-migrateLive': {host, block_migration: 'auto'}})
  const look = async () => {
    const [{server}, {port}] = await Promise.all([
      admin.nova('GET', `servers/${vm.id}`),
      admin.neutron('GET', `ports/${vm.port}`),
    ])
    return [server['OS-EXT-SRV-ATTR:host'], server.status, port['binding:host_id'], port.status].join(' ')
  }
  const wanted = `${host} ACTIVE ${host} ACTIVE`
  const last = await eventually(look, now => now === wanted, 180_000)
  if (last !== wanted) throw new Error(`the migration has ended as ${last}`)
  await cloud.routed(host, cloud.routers[vm.tenant])
  return {...vm, host}
}

/** A floating IP whose port ECHO leads to a VM, TCP and UDP, where somebody answers. */
export async function forwarded(
  cloud: LocalGatewayCloud,
  vm: Vm,
): Promise<{address: string; end: () => Promise<void>}> {
  const {admin} = cloud
  const echo = cloud.keep(await startEcho(inVm(vm)))
  // An admin of another project does not see the forwardings.
  const user = cloud.projects[vm.tenant]
  const floatingip = {floating_network_id: cloud.network, project_id: user.projectId}
  const made = (await admin.neutron('POST', 'floatingips', {floatingip})).floatingip
  const path = `floatingips/${made.id}/port_forwardings`
  const ids: string[] = []
  for (const protocol of ['tcp', 'udp']) {
    const {port_forwarding} = await user.neutron('POST', path, {
      port_forwarding: {
        ...{protocol, internal_ip_address: vm.address, internal_port_id: vm.port},
        ...{internal_port: ECHO, external_port: ECHO},
      },
    })
    ids.push(port_forwarding.id)
  }
  return {
    address: made.floating_ip_address,
    end: async () => {
      echo.kill()
      for (const id of ids) await user.neutron('DELETE', `${path}/${id}`)
      await admin.neutron('DELETE', `floatingips/${made.id}`)
    },
  }
}

/** A subnet of a tenant's in an address scope that the external network is not in. @param prefix its first three bytes */
export async function scoped(cloud: LocalGatewayCloud, tenant: Tenant, prefix: string): Promise<void> {
  const common = {name: `lsnat-${tenant}`, project_id: cloud.projects[tenant].projectId}
  const {address_scope} = await cloud.admin.neutron('POST', 'address-scopes', {
    address_scope: {...common, ip_version: 4},
  })
  const {subnetpool} = await cloud.admin.neutron('POST', 'subnetpools', {
    subnetpool: {...common, address_scope_id: address_scope.id, prefixes: [`${prefix}.0/24`]},
  })
  await cloud.subnet(tenant, prefix, {subnetpool_id: subnetpool.id})
}

/** A conntrack helper of a router. @returns takes it away */
export async function helper(cloud: LocalGatewayCloud, tenant: Tenant): Promise<() => Promise<void>> {
  const path = `routers/${cloud.routers[tenant]}/conntrack_helpers`
  const conntrack_helper = {helper: 'ftp', protocol: 'tcp', port: 21}
  // An admin of another project may make one, and does not see it.
  const user = cloud.projects[tenant]
  const made = await user.neutron('POST', path, {conntrack_helper})
  return async () => void (await user.neutron('DELETE', `${path}/${made.conntrack_helper.id}`))
}

/**
 * A log of a router's SNAT. No driver in Neutron's own tree writes one, so its API takes it for a log of groups; what it answers
 * afterwards is what it would with such a driver. @returns takes it away
 */
export async function snatLog(cloud: LocalGatewayCloud, tenant: Tenant): Promise<() => Promise<void>> {
  const {log} = await cloud.admin.neutron('POST', 'log/logs', {
    log: {name: 'lsnat', resource_type: 'security_group', project_id: cloud.admin.projectId},
  })
  const set = (type: string, id: string) =>
    command([
      ...['mariadb', `--socket=${dir}/mysql.sock`, '-uroot', 'neutron', '-e'],
      `update logs set resource_type = '${type}', resource_id = ${id} where id = '${log.id}'`,
    ])
  await set('snat', `'${cloud.routers[tenant]}'`)
  return async () => {
    await set('security_group', 'null')
    await cloud.admin.neutron('DELETE', `log/logs/${log.id}`)
  }
}

const NAME = 'lsnat-other'
const VLAN = 150

/** The node whose bridge has the other network's router, for a kernel need not know VLANs, and OVS does. */
const GATEWAY = 'network1'
const ROUTER_OUTSIDE = '172.24.4.99'
const ROUTER = `set -e
ovs-vsctl add-port br-ex lsnat-in tag=${VLAN} -- set Interface lsnat-in type=internal
ovs-vsctl add-port br-ex lsnat-out -- set Interface lsnat-out type=internal
for _ in $(seq 100); do ip link show lsnat-in && ip link show lsnat-out && break; sleep 0.1; done >/dev/null 2>&1
ip address add 172.25.0.1/28 dev lsnat-in
ip address add ${ROUTER_OUTSIDE}/24 dev lsnat-out
ip link set lsnat-in up
ip link set lsnat-out up
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.lsnat-in.rp_filter=0 net.ipv4.conf.lsnat-out.rp_filter=0`

/** Another external network, with few addresses. */
export class OtherNetwork {
  readonly id: string
  readonly #cloud: LocalGatewayCloud
  #taken: string[] = []

  private constructor(cloud: LocalGatewayCloud, id: string) {
    this.#cloud = cloud
    this.id = id
  }

  static async make(cloud: LocalGatewayCloud): Promise<OtherNetwork> {
    await OtherNetwork.sweep(cloud)
    const type = {'provider:network_type': 'vlan', 'provider:physical_network': 'external'}
    const network = {name: NAME, 'router:external': true, ...type, 'provider:segmentation_id': VLAN}
    const made = await cloud.admin.neutron('POST', 'networks', {network})
    const subnet = {network_id: made.network.id, ip_version: 4, cidr: '172.25.0.0/28', enable_dhcp: false}
    await cloud.admin.neutron('POST', 'subnets', {subnet})
    await inNode(GATEWAY, ['sh', '-c', ROUTER])
    await command(['ip', 'route', 'replace', '172.25.0.0/28', 'via', ROUTER_OUTSIDE])
    return new OtherNetwork(cloud, made.network.id)
  }

  /** Takes every address that is left. */
  async exhaust(): Promise<void> {
    const port = {network_id: this.id, name: NAME}
    for (let left = 14; left > 0; left--) {
      const answer = await this.#cloud.admin.neutron('POST', 'ports', {port}).catch(String)
      if (typeof answer === 'string') {
        if (!answer.includes('IpAddressGenerationFailure')) throw new Error(answer)
        return
      }
      this.#taken.push(answer.port.id)
    }
  }

  /** Gives one of them back. */
  async free(): Promise<void> {
    await this.#cloud.admin.neutron('DELETE', `ports/${this.#taken.pop()}`)
  }

  /** Sets a router's gateway to it. */
  async lead(tenant: Tenant): Promise<void> {
    await gateway(this.#cloud, tenant, this.id)
  }

  static async sweep({admin}: LocalGatewayCloud): Promise<void> {
    for (const port of ['lsnat-in', 'lsnat-out'])
      await inNode(GATEWAY, ['ovs-vsctl', '--if-exists', 'del-port', 'br-ex', port])
    const {networks} = await admin.neutron('GET', `networks?name=${NAME}`)
    for (const {id} of networks) {
      const {ports} = await admin.neutron('GET', `ports?network_id=${id}`)
      for (const port of ports as Json[])
        if (port.name === NAME || port.device_owner === 'network:local_snat')
          await admin.neutron('DELETE', `ports/${port.id}`)
      await admin.neutron('DELETE', `networks/${id}`)
    }
  }
}

/** Sets the external network of a tenant's router. Without a step between, Neutron's own L3 agent loses its way to the old one half-way. */
export async function gateway(cloud: LocalGatewayCloud, tenant: Tenant, network_id: string): Promise<void> {
  const put = (external_gateway_info: object) =>
    cloud.admin.neutron('PUT', `routers/${cloud.routers[tenant]}`, {router: {external_gateway_info}})
  await put({})
  const space = `snat-${cloud.routers[tenant]}`
  const names = () => inNode(GATEWAY, ['ls', '/run/netns'])
  await eventually(names, all => !all.includes(space), 60_000)
  await put({network_id})
}
