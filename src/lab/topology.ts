import {randomBytes, randomUUID} from 'node:crypto'
import {md5Fingerprint, newSshKey, type SshKeyPair} from './keys.ts'
import {hexId, makeAgent, makeRule, stamp} from './make.ts'
import type {Fabric} from './net/fabric.ts'
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
import {bootServer, computeHosts, createServer} from './ops/servers.ts'
import {extensions} from './seed/extensions.ts'
import type {Cloud, NetworkRecord, Project, RoleName, RouterRecord, ServerRecord, User} from './state.ts'

/** Everything of the default topology that others need by name. */
export interface Topology {
  readonly projects: Readonly<Record<'admin' | 'infra' | 'tenant1' | 'tenant2', Project>>
  readonly users: Readonly<Record<string, User>>
  readonly keys: Readonly<Record<'management' | 'alice' | 'bob', SshKeyPair>>
  readonly external_cidr: string
  readonly servers: readonly ServerRecord[]
  readonly gates: readonly ServerRecord[]
}

/** clouds.yaml entry -> user, project. */
export const accounts = {
  admin: ['admin', 'admin'],
  tenant1: ['alice', 'tenant1'],
  tenant2: ['bob', 'tenant2'],
  reader: ['carol', 'tenant1'],
  service: ['svc', 'infra'],
  'service-member': ['svc-t1', 'tenant1'],
} as const

const rootLogin = Buffer.from('#cloud-config\ndisable_root: false\n').toString('base64')

function people(cloud: Cloud) {
  const project = (name: string): Project => {
    const made = {id: hexId(), name}
    cloud.projects.set(made.id, made)
    return made
  }
  const projects = {
    admin: project('admin'),
    infra: project('infra'),
    tenant1: project('tenant1'),
    tenant2: project('tenant2'),
  }
  const users: Record<string, User> = {}
  const user = (name: string, home: Project, ...roles: RoleName[]) => {
    const made = {
      id: hexId(),
      name,
      password: randomBytes(18).toString('base64url'),
      default_project_id: null,
    }
    cloud.users.set(made.id, made)
    for (const role of roles) cloud.assignments.push({user_id: made.id, project_id: home.id, role})
    users[name] = made
    return made
  }
  const admin = user('admin', projects.admin, 'admin')
  for (const home of [projects.infra, projects.tenant1, projects.tenant2]) {
    cloud.assignments.push({user_id: admin.id, project_id: home.id, role: 'admin'})
  }
  user('alice', projects.tenant1, 'member')
  user('bob', projects.tenant2, 'member')
  user('carol', projects.tenant1, 'reader')
  // docs/service-account.md: no admin of anything
  user('svc', projects.infra, 'member', 'advsvc')
  user('svc-t1', projects.tenant1, 'member')
  return {projects, users}
}

function hardware(cloud: Cloud, owner: Project) {
  const properties = {os_distro: 'debian', os_version: '12', os_admin_user: 'debian'}
  const image = {id: randomUUID(), name: 'debian-12', owner: owner.id, created_at: stamp(), properties}
  cloud.images.set(image.id, image)
  cloud.flavors.set('1', {id: '1', name: 'm1.tiny', vcpus: 1, ram: 64, disk: 1})
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
  return image.id
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

async function router(
  cloud: Cloud,
  fabric: Fabric,
  owner: Project,
  name: string,
  external: NetworkRecord,
  inside: NetworkRecord[],
): Promise<RouterRecord> {
  const made = createRouter(cloud, {project_id: owner.id, name})
  const agent = [...cloud.agents.values()].find(one => one.agent_type === 'L3 agent')
  if (agent) cloud.router_agents.set(made.id, [{agent_id: agent.id, ha_state: null}])
  await setGateway(cloud, fabric, made, {network_id: external.id})
  for (const net of inside) {
    const subnet = cloud.subnets.get(net.subnets[0] ?? '')
    if (subnet) await addRouterInterface(cloud, fabric, made, {subnet})
  }
  return made
}

/** NICs of a server: network and fixed address. */
type Nics = readonly (readonly [NetworkRecord, string?])[]

/** The Nova key pairs of the gates' accounts and the tenants. */
function keyPairs(cloud: Cloud, users: Record<string, User>) {
  const keys = {management: newSshKey('management'), alice: newSshKey('alice'), bob: newSshKey('bob')}
  const owners = {svc: 'management', 'svc-t1': 'management', alice: 'alice', bob: 'bob'} as const
  for (const [owner, name] of Object.entries(owners)) {
    const user_id = users[owner]?.id ?? ''
    const {public_key} = keys[name]
    const fingerprint = md5Fingerprint(public_key)
    cloud.keypairs.set(`${user_id}/${name}`, {name, user_id, public_key, fingerprint, created_at: stamp()})
  }
  return keys
}

type Boot = (
  owner: Project,
  user: string,
  name: string,
  key: string,
  nics: Nics,
  more?: {user_data?: string; groups?: readonly string[]},
) => ServerRecord

/** Makes the records of servers, collected in `all`. */
function booter(
  cloud: Cloud,
  {projects, users}: ReturnType<typeof people>,
  image_id: string,
  all: ServerRecord[],
): Boot {
  for (const one of Object.values(projects)) groupsOf(cloud, one)
  const group = (project: string, name: string) =>
    [...cloud.security_groups.values()].find(one => one.project_id === project && one.name === name)?.id ?? ''
  return (owner, user, name, key_name, nics, {user_data, groups = ['open']} = {}) => {
    const base = {project_id: owner.id, security_groups: groups.map(one => group(owner.id, one))}
    const ports = nics.map(([net, address]) =>
      createPort(cloud, {
        ...base,
        network_id: net.id,
        ...(address ? {fixed_ips: [{ip_address: address}]} : {}),
      }),
    )
    const spec = {
      name,
      tenant_id: owner.id,
      user_id: users[user]?.id ?? '',
      image_id,
      flavor_id: '1',
      key_name,
      user_data: user_data ?? null,
      security_groups: groups,
    }
    const made = createServer(cloud, spec, ports)
    all.push(made)
    return made
  }
}

/**
 * Fills the cloud with the default topology and boots its guests, all at once.
 * @param index of the external network 172.24.INDEX.0/24
 */
export async function defaultTopology(cloud: Cloud, fabric: Fabric, index: number): Promise<Topology> {
  const {projects, users} = people(cloud)
  const image_id = hardware(cloud, projects.admin)
  const keys = keyPairs(cloud, users)
  const external_cidr = `172.24.${index}.0/24`
  const external = network(cloud, projects.admin, 'public', external_cidr, {
    'router:external': true,
    mtu: 1500,
    'provider:network_type': 'flat',
    'provider:physical_network': 'external',
    'provider:segmentation_id': null,
  })
  const servers: ServerRecord[] = []
  const server = booter(cloud, {projects, users}, image_id, servers)
  const ext = (last: number) => `172.24.${index}.${last}`
  const routers = tenants(cloud, fabric, projects, external, server, ext)
  const gates = [
    server(projects.infra, 'svc', 'gate1', 'management', [[external, ext(21)]], {user_data: rootLogin}),
    server(projects.tenant1, 'svc-t1', 'gate-t1', 'management', [[external, ext(22)]], {
      user_data: rootLogin,
    }),
  ]
  await Promise.all([
    routers(),
    ...servers.map(async one => {
      if (one.name === 't1-off') Object.assign(one, {status: 'SHUTOFF', task_state: null})
      else await bootServer(cloud, fabric, one)
    }),
  ])
  return {projects, users, keys, external_cidr, servers, gates}
}

/** Both tenants' networks and VMs, with equal addresses on purpose; gives what makes their routers. */
function tenants(
  cloud: Cloud,
  fabric: Fabric,
  projects: Topology['projects'],
  external: NetworkRecord,
  server: Boot,
  ext: (last: number) => string,
) {
  const {tenant1, tenant2} = projects
  const net1 = network(cloud, tenant1, 't1-net', '10.0.0.0/24')
  const app1 = network(cloud, tenant1, 't1-net2', '10.0.2.0/24')
  const iso1 = network(cloud, tenant1, 't1-iso', '10.0.1.0/24')
  const six1 = network(cloud, tenant1, 't1-v6', 'fd00:10::/64')
  const net2 = network(cloud, tenant2, 't2-net', '10.0.0.0/24')
  const iso2 = network(cloud, tenant2, 't2-iso', '10.0.1.0/24')
  server(tenant1, 'alice', 't1-web', 'alice', [[net1, '10.0.0.10']])
  server(tenant1, 'alice', 't1-app', 'alice', [[app1, '10.0.2.10']])
  server(tenant1, 'alice', 't1-db', 'alice', [[iso1, '10.0.1.10']])
  server(tenant1, 'alice', 't1-six', 'alice', [[six1, 'fd00:10::10']])
  const shut = {groups: ['default']}
  server(tenant1, 'alice', 't1-default', 'alice', [[iso1, '10.0.1.12']], shut)
  server(tenant1, 'alice', 't1-default2', 'alice', [[app1, '10.0.2.12']], shut)
  server(tenant1, 'alice', 't1-off', 'alice', [[net1, '10.0.0.11']])
  server(tenant1, 'alice', 't1-bare', 'alice', [])
  server(tenant1, 'alice', 't1-jump', 'alice', [
    [external, ext(31)],
    [net1, '10.0.0.31'],
    [iso1, '10.0.1.31'],
  ])
  server(tenant2, 'bob', 't2-web', 'bob', [[net2, '10.0.0.10']])
  server(tenant2, 'bob', 't2-db', 'bob', [[iso2, '10.0.1.10']])
  return () =>
    Promise.all([
      router(cloud, fabric, tenant1, 't1-router', external, [net1, app1]),
      router(cloud, fabric, tenant2, 't2-router', external, [net2]),
    ])
}
