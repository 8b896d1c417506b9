import {randomBytes} from 'node:crypto'

import {type KeyPairText, md5Fingerprint} from '../src/ssh/keys.ts'
import {fillCatalogue} from './catalogue.ts'
import {extensions} from './extensions.ts'
import {hexId, makeAgent, makeRule, stamp} from './make.ts'
import type {Fabric} from './net/fabric.ts'
import {computeHosts} from './ops/hosts.ts'
import {
  addRouterInterface,
  createGroup,
  createNetwork,
  createPort,
  createRouter,
  createSubnet,
  defaultGroup,
  setGateway,
} from './ops/networks.ts'
import {bootServer, createServer} from './ops/servers.ts'
import type {Cloud, NetworkRecord, Project, RoleName, ServerRecord, User} from './state.ts'
import {
  type Account,
  accounts,
  gateNetworks,
  gates,
  type KeyName,
  keyPairs,
  type Nic,
  networks,
  newKeys,
  rootLogin,
  routers,
  servers,
} from './tenants.ts'

/** Everything of the default topology that others need by name. */
export interface Topology {
  readonly projects: Readonly<Record<string, Project>>
  readonly users: Readonly<Record<string, User>>
  readonly keys: Readonly<Record<KeyName, KeyPairText>>
  readonly external_cidr: string
  readonly servers: readonly ServerRecord[]
  readonly gates: readonly ServerRecord[]
}

/** Projects, users and their roles. */
function people(cloud: Cloud) {
  const projects: Record<string, Project> = {}
  const users: Record<string, User> = {}
  for (const [user, project, roles] of Object.values(accounts)) {
    const home = projects[project] ?? {id: hexId(), name: project}
    projects[project] = home
    cloud.projects.set(home.id, home)
    const password = randomBytes(18).toString('base64url')
    const made = {id: hexId(), name: user, password, default_project_id: null}
    cloud.users.set(made.id, made)
    users[user] = made
    // docs/service-account.md: no admin of anything
    const more: readonly RoleName[] = user === 'svc' ? ['advsvc'] : []
    for (const role of [...roles, ...more])
      cloud.assignments.push({user_id: made.id, project_id: home.id, role})
  }
  for (const home of Object.values(projects)) {
    if (home.name === 'admin') continue
    cloud.assignments.push({user_id: users['admin']?.id ?? '', project_id: home.id, role: 'admin'})
  }
  return {projects, users}
}

function hardware(cloud: Cloud, owner: Project) {
  const image = fillCatalogue(cloud, owner.id)
  for (const alias of extensions) cloud.extensions.add(alias)
  const agents = [
    makeAgent({
      agent_type: 'L3 agent',
      binary: 'neutron-l3-agent',
      host: 'network1',
      topic: 'l3_agent',
      availability_zone: 'nova',
      configurations: {agent_mode: 'legacy', extensions: []},
    }),
    makeAgent({
      agent_type: 'DHCP agent',
      binary: 'neutron-dhcp-agent',
      host: 'network1',
      topic: 'dhcp_agent',
      availability_zone: 'nova',
    }),
    ...['network1', ...computeHosts].map(host =>
      makeAgent({
        agent_type: 'Open vSwitch agent',
        binary: 'neutron-openvswitch-agent',
        host,
        configurations: {bridge_mappings: {external: 'br-ex'}, tunnel_types: ['vxlan']},
      }),
    ),
  ]
  for (const agent of agents) cloud.agents.set(agent.id, agent)
  return image
}

function network(
  cloud: Cloud,
  owner: Project,
  name: string,
  cidr: string,
  more: Partial<NetworkRecord> = {},
): NetworkRecord {
  const made = createNetwork(cloud, {project_id: owner.id, name, ...more})
  createSubnet(cloud, {project_id: owner.id, network_id: made.id, name, cidr})
  return made
}

/**
 * The project's group `open`: everything from everywhere, so that it is never the group that keeps an attack of a test
 * from its aim; and, for tests that want it, `ssh`: SSH and ping only.
 */
function groupsOf(cloud: Cloud, owner: Project): void {
  defaultGroup(cloud, owner.id)
  const open = createGroup(cloud, {project_id: owner.id, name: 'open'})
  const ssh = createGroup(cloud, {project_id: owner.id, name: 'ssh'})
  for (const ethertype of ['IPv4', 'IPv6'] as const) {
    const base = {project_id: owner.id, direction: 'ingress' as const, ethertype}
    for (const rule of [
      makeRule({...base, security_group_id: open.id}),
      makeRule({...base, security_group_id: ssh.id, protocol: 'tcp', port_range_min: 22, port_range_max: 22}),
      makeRule({...base, security_group_id: ssh.id, protocol: ethertype === 'IPv4' ? 'icmp' : 'ipv6-icmp'}),
    ]) {
      cloud.security_group_rules.set(rule.id, rule)
    }
  }
}

/** The Nova key pairs of the gates' accounts and the tenants. */
function makeKeyPairs(cloud: Cloud, users: Readonly<Record<string, User>>): Topology['keys'] {
  const keys = newKeys()
  for (const [account, name] of Object.entries(keyPairs)) {
    const user_id = users[accounts[account as Account][0]]?.id ?? ''
    const {publicKey: public_key} = keys[name]
    const fingerprint = md5Fingerprint(public_key)
    cloud.keypairs.set(`${user_id}/${name}`, {name, user_id, public_key, fingerprint, created_at: stamp()})
  }
  return keys
}

/** The tenants' networks, routers and servers, being made in one cloud. */
class Builder {
  readonly servers: ServerRecord[] = []
  readonly #cloud: Cloud
  readonly #people: ReturnType<typeof people>
  readonly #image: string
  readonly #networks = new Map<string, NetworkRecord>()

  constructor(cloud: Cloud, who: ReturnType<typeof people>, image: string, external: NetworkRecord) {
    this.#cloud = cloud
    this.#people = who
    this.#image = image
    for (const project of Object.values(who.projects)) groupsOf(cloud, project)
    this.#networks.set('public', external)
    for (const {owner, name, cidr} of networks)
      this.#networks.set(name, network(cloud, this.#project(owner), name, cidr))
    for (const [owner, {name, cidr}] of Object.entries(gateNetworks))
      this.#networks.set(name, network(cloud, this.#project(owner as Account), name, cidr))
  }

  /** The record of a server; it is not booted. */
  server(
    account: keyof typeof keyPairs,
    name: string,
    nics: readonly Nic[],
    {group = 'open', user_data = null}: {group?: string; user_data?: string | null} = {},
  ): ServerRecord {
    const owner = this.#project(account)
    const security_groups = [this.#group(owner, group)]
    const ports = nics.map(([net, ip_address]) =>
      createPort(this.#cloud, {
        project_id: owner.id,
        security_groups,
        network_id: this.#network(net).id,
        fixed_ips: [{ip_address}],
      }),
    )
    const spec = {
      name,
      tenant_id: owner.id,
      user_id: this.#people.users[accounts[account][0]]?.id ?? '',
      image_id: this.#image,
      flavor_id: '1',
      key_name: keyPairs[account],
      user_data,
      security_groups: [group],
    }
    const made = createServer(this.#cloud, spec, () => ports)
    this.servers.push(made)
    return made
  }

  /** Makes the tenants' routers, in namespaces where the fabric has them. */
  async routers(fabric: Fabric): Promise<void> {
    const agent = [...this.#cloud.agents.values()].find(one => one.agent_type === 'L3 agent')
    type Wanted = Omit<(typeof routers)[number], 'owner'> & {readonly owner: Account}
    const make = async ({owner, name, networks: inside}: Wanted) => {
      const made = createRouter(this.#cloud, {project_id: this.#project(owner).id, name})
      if (agent) this.#cloud.router_agents.set(made.id, [{agent_id: agent.id, ha_state: null}])
      await setGateway(this.#cloud, fabric, made, {network_id: this.#network('public').id})
      for (const net of inside) {
        const subnet = this.#cloud.subnets.get(this.#network(net).subnets[0] ?? '')
        if (subnet) await addRouterInterface(this.#cloud, fabric, made, {subnet})
      }
    }
    const {service, 'service-member': member} = gateNetworks
    const all = routers.map(one =>
      one.name === member.router ? {...one, networks: [...one.networks, member.name]} : one,
    )
    const infra = {name: service.router, networks: [service.name], distributed: false}
    await Promise.all([...all, {...infra, owner: 'service' as const}].map(make))
  }

  #project(account: Account): Project {
    return this.#people.projects[accounts[account][1]] as Project
  }

  #network(name: string): NetworkRecord {
    return this.#networks.get(name) as NetworkRecord
  }

  #group(owner: Project, name: string): string {
    const all = [...this.#cloud.security_groups.values()]
    return all.find(one => one.project_id === owner.id && one.name === name)?.id ?? ''
  }
}

/**
 * Fills the cloud with the tenants and boots their guests, all at once. The gates, and `t1-jump` with an interface on each of the
 * tenant's networks, are on the external network itself.
 *
 * @param index of the external network 172.24.INDEX.0/24
 */
export async function defaultTopology(cloud: Cloud, fabric: Fabric, index: number): Promise<Topology> {
  const {projects, users} = people(cloud)
  const admin = projects['admin'] as Project
  const image = hardware(cloud, admin)
  const keys = makeKeyPairs(cloud, users)
  const external_cidr = `172.24.${index}.0/24`
  const external = network(cloud, admin, 'public', external_cidr, {
    'router:external': true,
    mtu: 1500,
    'provider:network_type': 'flat',
    'provider:physical_network': 'external',
    'provider:segmentation_id': null,
  })
  const ext = (last: number) => `172.24.${index}.${last}`
  const builder = new Builder(cloud, {projects, users}, image, external)
  for (const {owner, name, nics, group} of servers)
    builder.server(owner, name, nics, group === undefined ? {} : {group})
  builder.server('tenant1', 't1-jump', [
    ['public', ext(31)],
    ['t1-net', '10.0.0.31'],
    ['t1-iso', '10.0.1.31'],
  ])
  const off = new Set(servers.flatMap(one => (one.off ? one.name : [])))
  const made = gates.map(({account, name, last}) =>
    builder.server(account, name, [['public', ext(last)]], {user_data: rootLogin}),
  )
  await Promise.all([
    builder.routers(fabric),
    ...builder.servers.map(async one => {
      if (off.has(one.name)) Object.assign(one, {status: 'SHUTOFF', task_state: null})
      else await bootServer(cloud, fabric, one)
    }),
  ])
  return {projects, users, keys, external_cidr, servers: builder.servers, gates: made}
}
