import {mkdtempSync, rmSync} from 'node:fs'

import {routerNamespace} from '../../src/localgw/names.ts'
import {cloudsFile, login} from '../openstack/identity.ts'
import {api, external} from '../openstack/place.ts'
import {nodeCommand} from '../openstack/processes.ts'
import {type Json, Rest} from '../openstack/rest.ts'
import {Flow, Load, startEcho} from './flows.ts'
import {Agent, type Host, inNamespace, SECRET} from './localgw-node.ts'
import {eventually, run} from './run.ts'
import {root} from './world.ts'

/*
 * Two tenants with equal addresses behind distributed routers of the real OpenStack, the account of the agents, and what is asked of them.
 */

export const OUTSIDE = external.gateway
export type Tenant = 'a' | 'b'
/** A VM on a node that its user names. */
const FORCES_HOSTS = ['member', 'reader', 'admin']

export interface Vm {
  readonly id: string
  readonly port: string
  readonly address: string
  readonly host: Host
  readonly tenant: Tenant
}

export class LocalGatewayCloud {
  readonly admin: Rest
  readonly network: string
  /** The agents' user. */
  readonly userId: string
  readonly routers: Record<Tenant, string> = {a: '', b: ''}
  /** Their users. */
  readonly projects: Record<Tenant, Rest>
  /** Networks of the tenants, by their subnet's first three bytes. */
  readonly #nets: Record<Tenant, Map<string, string>> = {a: new Map(), b: new Map()}
  readonly #children: {kill(signal?: NodeJS.Signals): unknown}[] = []
  /** When a port was last seen to have become ACTIVE, as performance.now(). */
  lastActive = 0
  readonly #home = mkdtempSync('/tmp/os-ssh-e2e-')

  private constructor(admin: Rest, network: string, userId: string, projects: Record<Tenant, Rest>) {
    this.admin = admin
    this.userId = userId
    this.network = network
    this.projects = projects
  }

  static async open(): Promise<LocalGatewayCloud> {
    const admin = await login('admin')
    const {userId} = await account(admin, 'lsnat', ['member', 'reader', 'os_ssh_lsnat'])
    const projects = {
      a: await account(admin, 'lsnat-a', FORCES_HOSTS),
      b: await account(admin, 'lsnat-b', FORCES_HOSTS),
    }
    const {networks} = await admin.neutron('GET', 'networks?name=public')
    const cloud = new LocalGatewayCloud(admin, networks[0].id, userId, projects)
    await cloud.#sweep()
    await cloud.quota(-1)
    for (const tenant of ['a', 'b'] as const) await cloud.#tenant(tenant)
    cloud.#children.push(await startEcho([]))
    return cloud
  }

  async #tenant(tenant: Tenant): Promise<void> {
    const {admin} = this
    const project_id = this.projects[tenant].projectId
    const name = `lsnat-${tenant}`
    const gateway = {external_gateway_info: {network_id: this.network}}
    const {router} = await admin.neutron('POST', 'routers', {
      router: {name, project_id, distributed: true, ...gateway},
    })
    this.routers[tenant] = router.id
    await this.subnet(tenant, '10.20.0')
    const {security_groups: groups} = await this.projects[tenant].neutron(
      'GET',
      `security-groups?name=default&project_id=${project_id}`,
    )
    const security_group_rule = {security_group_id: groups[0].id, direction: 'ingress', ethertype: 'IPv4'}
    const rules = `${api('network')}/v2.0/security-group-rules`
    await this.projects[tenant].call('POST', rules, {security_group_rule}, [409])
  }

  /** A network of a tenant's with a subnet /24 and an interface of the router. @param prefix the first three bytes */
  async subnet(tenant: Tenant, prefix: string, more: object = {}): Promise<void> {
    const {admin} = this
    const common = {name: `lsnat-${tenant}`, project_id: this.projects[tenant].projectId}
    const {network} = await admin.neutron('POST', 'networks', {network: common})
    const {subnet} = await admin.neutron('POST', 'subnets', {
      subnet: {...common, network_id: network.id, cidr: `${prefix}.0/24`, ip_version: 4, ...more},
    })
    const path = `routers/${this.routers[tenant]}/add_router_interface`
    await admin.neutron('PUT', path, {subnet_id: subnet.id})
    this.#nets[tenant].set(prefix, network.id)
  }

  /** VMs of a tenant on a host, when their ports are wired. */
  async boot(tenant: Tenant, host: Host, ...addresses: string[]): Promise<Vm[]> {
    const project = this.projects[tenant]
    const {images} = await project.call('GET', `${api('image')}/v2/images?name=debian-12`)
    const ids = await Promise.all(
      addresses.map(async fixed_ip => {
        const {server} = await project.nova('POST', 'servers', {
          server: {
            ...{
              name: `lsnat-${tenant}`,
              imageRef: images[0].id,
              flavorRef: '1',
              availability_zone: `nova:${host}`,
            },
            networks: [{uuid: this.#nets[tenant].get(fixed_ip.replace(/\.\d+$/, '')), fixed_ip}],
          },
        })
        return server.id as string
      }),
    )
    const ports = await Promise.all(ids.map(id => this.#wired(id)))
    await this.routed(host, this.routers[tenant])
    return ids.map((id, index) => ({
      id,
      port: ports[index] ?? '',
      address: addresses[index] ?? '',
      host,
      tenant,
    }))
  }

  /** A flow that is older than this setting of the L3 agent's makes the router tell its VM the short way to the SNAT namespace. */
  async routed(host: Host, router: string): Promise<void> {
    const settings = () =>
      inNamespace(host, routerNamespace(router), 'sysctl', '-a', '-r', 'send_redirects').catch(() => '')
    const isSet = (text: string) =>
      /\.qr-.* = 0$/m.test(text) && !/\.(all|qr-.*)\.send_redirects = 1$/m.test(text)
    await eventually(settings, isSet, 60_000)
  }

  async #wired(server: string): Promise<string> {
    const look = async () => (await this.admin.neutron('GET', `ports?device_id=${server}`)).ports as Json[]
    const [port] = await eventually(look, ports => ports[0]?.status === 'ACTIVE', 120_000)
    this.lastActive = performance.now()
    if (port?.status !== 'ACTIVE') throw new Error(`the port of ${server} is ${port?.status}`)
    return port.id
  }

  async delete(...vms: readonly Vm[]): Promise<void> {
    for (const {id} of vms) await this.admin.nova('DELETE', `servers/${id}`)
    const left = async () =>
      (await this.admin.nova('GET', 'servers?all_tenants=1')).servers.map((one: Json) => one.id) as string[]
    await eventually(left, ids => vms.every(({id}) => !ids.includes(id)), 60_000)
  }

  /** So many ports the agents' project may have; -1: any number. */
  async quota(port: number): Promise<void> {
    const {projects} = await this.admin.keystone('GET', 'projects?name=lsnat')
    await this.admin.neutron('PUT', `quotas/${projects[0].id}`, {quota: {port}})
  }

  deleteRouter = (tenant: Tenant) => this.#dropRouter(this.routers[tenant])

  async #dropRouter(id: string): Promise<void> {
    const filter = `device_id=${id}&device_owner=network:router_interface_distributed`
    const {ports} = await this.admin.neutron('GET', `ports?${filter}`)
    await this.admin.neutron('PUT', `routers/${id}`, {router: {routes: []}})
    for (const port of ports)
      await this.admin.neutron('PUT', `routers/${id}/remove_router_interface`, {port_id: port.id})
    await this.admin.neutron('DELETE', `routers/${id}`)
  }

  /** The external addresses of the routers' central SNAT. */
  async central(tenant: Tenant): Promise<string> {
    const {router} = await this.admin.neutron('GET', `routers/${this.routers[tenant]}`)
    return router.external_gateway_info.external_fixed_ips[0].ip_address
  }

  /** Our ports on a host. */
  async legs(
    host: Host,
  ): Promise<{id: string; device_id: string; address: string; project_id: string; description: string}[]> {
    const {ports} = await this.admin.neutron(
      'GET',
      `ports?device_owner=network:local_snat&binding:host_id=${host}`,
    )
    return ports.map((port: Json) => ({...port, address: port.fixed_ips[0].ip_address}))
  }

  /** What the outside sees a new flow of a VM come from. */
  async seen(vm: Vm, protocol: 'udp' | 'tcp' = 'tcp'): Promise<string> {
    const flow = this.flow(vm, protocol)
    return flow.ask().finally(flow.kill)
  }

  flow(vm: Vm, protocol: 'udp' | 'tcp', to = OUTSIDE): Flow {
    const flow = new Flow(inVm(vm), protocol, to)
    this.#children.push(flow)
    return flow
  }

  /** Ends a process with the rest. */
  keep<T extends {kill(signal?: NodeJS.Signals): unknown}>(child: T): T {
    this.#children.push(child)
    return child
  }

  /** Whom an address sees a flow of the outside's come from. */
  async reached(address: string, protocol: 'udp' | 'tcp'): Promise<string> {
    const flow = new Flow([], protocol, address)
    return flow.ask().finally(flow.kill)
  }

  load(vm: Vm): Load {
    const load = new Load(inVm(vm), OUTSIDE)
    this.#children.push(load)
    return load
  }

  /** What an operator types. @returns the answer of `-f json` */
  async snat<T>(...words: string[]): Promise<T> {
    const env = {...process.env, OS_CLIENT_CONFIG_FILE: cloudsFile, OS_CLOUD: 'admin', HOME: this.#home}
    const {status, stdout, stderr} = await run(
      process.execPath,
      [`${root}bin/run.js`, 'snat', ...words, '-f', 'json'],
      {env},
    )
    if (status !== 0) throw new Error(`snat ${words.join(' ')}: ${status} ${stderr}`)
    return JSON.parse(stdout) as T
  }

  /** Starts the agent of a node. */
  agent(host: Host, ...flags: string[]): Agent {
    const agent = new Agent(host, this.#home, ['agent', '--every', '2', ...flags])
    this.#children.push(agent)
    return agent
  }

  /** Counts from here on what comes out of the cloud with a private source. Not before its routers are all there: Neutron's own leak until then. */
  async listen(): Promise<void> {
    const hook = 'type filter hook ingress device "oscloud-ext" priority 0'
    const count = 'ip saddr { 10.0.0.0/8, 169.254.0.0/16 } update @senders { ether saddr counter }'
    const senders = 'set senders {\ntypeof ether saddr\nflags dynamic\ncounter\n}'
    await nft(
      `table netdev ${HEARD}\ndelete table netdev ${HEARD}\ntable netdev ${HEARD} {\n${senders}\nchain arriving {\n${hook}\n${count}\n}\n}\n`,
    )
  }

  /** Packets with a private source that the outside has got, by the ports that have sent them: `network:local_snat` are ours. */
  async leaked(): Promise<Record<string, number>> {
    const {stdout} = await run('nft', ['list', 'table', 'netdev', HEARD])
    const {ports} = (await this.admin.neutron('GET', 'ports?fields=mac_address&fields=device_owner')) as Json
    const owner = (mac: string) => ports.find((port: Json) => port.mac_address === mac)?.device_owner ?? mac
    const found = [...stdout.matchAll(/((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) counter packets ([1-9][0-9]*)/g)]
    return Object.fromEntries(found.map(([, mac = '', count]) => [owner(mac), Number(count)]))
  }

  /** Takes away what there is of the tenants, of this run or another. */
  async #sweep(): Promise<void> {
    const {admin} = this
    for (const user of Object.values(this.projects)) {
      const project = user.projectId
      const servers = async () =>
        (await admin.nova('GET', `servers?all_tenants=1&project_id=${project}`)).servers as Json[]
      for (const {id} of await servers()) await admin.nova('DELETE', `servers/${id}`).catch(() => undefined)
      await eventually(servers, left => left.length === 0, 60_000)
      const all = async (kind: string) =>
        (await admin.neutron('GET', `${kind}?project_id=${project}`))[kind.replace('-', '_')] as Json[]
      for (const {id} of await all('floatingips')) {
        // A listing of another project's is empty for an admin.
        const {port_forwardings: forwardings} = await user.neutron(
          'GET',
          `floatingips/${id}/port_forwardings`,
        )
        for (const one of forwardings)
          await user.neutron('DELETE', `floatingips/${id}/port_forwardings/${one.id}`)
        await admin.neutron('DELETE', `floatingips/${id}`)
      }
      for (const {id} of await all('routers')) await this.#dropRouter(id)
      for (const kind of ['networks', 'subnetpools', 'address-scopes'])
        for (const {id} of await all(kind)) await admin.neutron('DELETE', `${kind}/${id}`)
    }
    for (const host of ['compute1', 'compute2'] as const)
      for (const {id} of await this.legs(host)) await admin.neutron('DELETE', `ports/${id}`)
  }

  /** Nothing is left, whatever had been made. */
  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL')
    await run('nft', ['delete', 'table', 'netdev', HEARD])
    await this.#sweep()
    rmSync(this.#home, {recursive: true})
  }
}

const HEARD = 'os_ssh_heard'
const nft = async (text: string) => {
  const {status, stderr} = await run('nft', ['-f', '-'], {input: text})
  if (status !== 0) throw new Error(`nft: ${stderr}`)
}
/** How a program is started in a VM. */
export const inVm = ({host, id}: Vm) => nodeCommand(host, ['nsenter', `--net=/run/netns/vm-${id}`])

/** A user with a project of the same name, made if they are not there. */
async function account(admin: Rest, name: string, roles: readonly string[]): Promise<Rest> {
  const all = async (kind: string, filter = '') =>
    (await admin.keystone('GET', `${kind}s${filter}`))[`${kind}s`] as Json[]
  const ensure = async (kind: string, body: Json) => {
    const [found] = await all(kind, `?name=${body.name}`)
    return (found ?? (await admin.keystone('POST', `${kind}s`, {[kind]: body}))[kind]).id as string
  }
  const domain = {domain_id: 'default'}
  const project = await ensure('project', {name, ...domain})
  const user = await ensure('user', {name, password: SECRET, ...domain})
  for (const role of roles)
    await admin.keystone(
      'PUT',
      `projects/${project}/users/${user}/roles/${await ensure('role', {name: role})}`,
    )
  return Rest.login(name, SECRET, name)
}
