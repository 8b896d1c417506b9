import {randomBytes} from 'node:crypto'
import {existsSync, readFileSync, writeFileSync} from 'node:fs'

import {type Account, accounts, cloudsYaml} from '../../lab/tenants.ts'
import {password} from './configs.ts'
import {api, type Backend, dir, external, mgmt, nodes, type ports} from './place.ts'
import {until} from './processes.ts'
import {type Json, Rest} from './rest.ts'

/** Where the tests start the SSH service. */
export const sshEndpoint = 'http://127.0.0.1:5101'
export const cloudsFile = `${dir}/clouds.yaml`

function secrets(): Record<string, string> {
  const file = `${dir}/secrets.json`
  if (!existsSync(file)) {
    const users = Object.values(accounts).map(([user]) => user)
    const made = Object.fromEntries(users.map(user => [user, randomBytes(18).toString('base64url')]))
    writeFileSync(file, JSON.stringify({...made, admin: password}), {mode: 0o600})
  }
  return JSON.parse(readFileSync(file, 'utf8'))
}

export function login(account: Account): Promise<Rest> {
  const [user, project] = accounts[account]
  return Rest.login(user, secrets()[user], project)
}

/**
 * Projects, users, roles, the service accounts, and clouds.yaml. The shared service's account gets the role of its own
 * that Neutron's policy file knows, or on OVN, where there is no such file, Neutron's role for advanced services:
 * docs/service-account.md.
 */
export async function people(backend: Backend): Promise<void> {
  const admin = await login('admin')
  const roles: Record<string, string> = {}
  for (const role of (await admin.keystone('GET', 'roles')).roles) roles[role.name] = role.id
  const make = async (kind: string, body: object): Promise<string> =>
    (await admin.keystone('POST', `${kind}s`, {[kind]: body}))[kind].id
  for (const name of ['service', 'advsvc', 'os_ssh']) roles[name] ??= await make('role', {name})
  const grant = (project: string, user: string, role: string) =>
    admin.keystone('PUT', `projects/${project}/users/${user}/roles/${roles[role]}`)

  const project = new Map<string, string>()
  for (const name of ['service', 'infra', 'tenant1', 'tenant2'])
    project.set(name, await make('project', {name, domain_id: 'default'}))
  project.set('admin', admin.projectId)
  for (const name of ['nova', 'neutron', 'placement', 'glance']) {
    const user = await make('user', {name, password, domain_id: 'default'})
    for (const role of ['admin', 'service']) await grant(project.get('service') ?? '', user, role)
  }
  for (const [name, home, granted] of Object.values(accounts)) {
    if (name === 'admin') continue
    const user = await make('user', {name, password: secrets()[name], domain_id: 'default'})
    const more = name === 'svc' ? [backend === 'ovn' ? 'advsvc' : 'os_ssh'] : []
    for (const role of [...granted, ...more]) await grant(project.get(home) ?? '', user, role)
  }
  const clouds = cloudsYaml(api('identity'), 'RegionOne', user => secrets()[user])
  writeFileSync(cloudsFile, clouds, {mode: 0o600})
}

/** Services and endpoints, ours of type `ssh` too. */
export async function catalog(): Promise<void> {
  const admin = await login('admin')
  const enter = async (type: string, name: string, urls: Record<string, string>) => {
    const {service} = await admin.keystone('POST', 'services', {service: {type, name}})
    for (const [kind, url] of Object.entries(urls)) {
      const endpoint = {service_id: service.id, interface: kind, region_id: 'RegionOne', url}
      await admin.keystone('POST', 'endpoints', {endpoint})
    }
  }
  const names = {compute: 'nova', network: 'neutron', image: 'glance', placement: 'placement'} as const
  for (const [type, name] of Object.entries(names)) {
    const at = (host: string) => api(type as keyof typeof ports, host)
    await enter(type, name, {public: at('127.0.0.1'), internal: at(mgmt), admin: at(mgmt)})
  }
  await enter('ssh', 'os-ssh', {public: sshEndpoint})
}

/** An image, a flavor and the external network. */
export async function hardware(): Promise<void> {
  const admin = await login('admin')
  // An API may answer at its root before its application is ready.
  await until('Neutron', () =>
    admin.neutron('GET', 'networks').then(
      () => true,
      () => false,
    ),
  )
  const image = {name: 'debian-12', disk_format: 'raw', container_format: 'bare', visibility: 'public'}
  const properties = {os_distro: 'debian', os_version: '12', os_admin_user: 'debian'}
  const {id} = await admin.call('POST', `${api('image')}/v2/images`, {...image, ...properties})
  const uploaded = await fetch(`${api('image')}/v2/images/${id}/file`, {
    method: 'PUT',
    headers: {'x-auth-token': admin.token, 'content-type': 'application/octet-stream'},
    body: '\0',
  })
  if (!uploaded.ok) throw new Error(`image: ${uploaded.status}`)
  // A member may not boot from a flavor without a disk.
  // For the tenants' VMs, and one that a gate fits into.
  for (const flavor of [
    {name: 'm1.tiny', id: '1', ram: 64, vcpus: 1, disk: 1},
    {name: 'm1.mini', id: '2', ram: 512, vcpus: 1, disk: 5},
  ])
    await admin.nova('POST', 'flavors', {flavor})
  const flat = {'provider:network_type': 'flat', 'provider:physical_network': 'external'}
  const {network} = await admin.neutron('POST', 'networks', {
    network: {name: 'public', 'router:external': true, ...flat},
  })
  const pool = {start: external.first, end: external.last}
  const subnet = {name: 'public', network_id: network.id, ip_version: 4, cidr: external.cidr}
  await admin.neutron('POST', 'subnets', {
    subnet: {...subnet, gateway_ip: external.gateway, enable_dhcp: false, allocation_pools: [pool]},
  })
}

/** Waits for every agent and nova-compute to have reported, and for the computes to be in their cell. */
export async function whenAgentsLive(backend: Backend): Promise<void> {
  const admin = await login('admin')
  const computes = nodes.filter(node => node.compute).map(node => node.name)
  const wanted = nodes.flatMap(({name, l3}) =>
    backend === 'ovn'
      ? [`${name} ovn-controller`]
      : [
          `${name} neutron-openvswitch-agent`,
          `${name} neutron-l3-agent`,
          ...(l3 === 'dvr' ? [] : [`${name} neutron-dhcp-agent`]),
        ],
  )
  await until('agents', async () => {
    const {agents} = await admin.neutron('GET', 'agents')
    const live = new Set(
      agents.filter((a: Json) => a.alive).map((a: Json) => `${a.host} ${a.binary}`) as string[],
    )
    const {services} = await admin.nova('GET', 'os-services?binary=nova-compute')
    const {hypervisors} = await admin.nova('GET', 'os-hypervisors')
    const known = new Set(hypervisors.map((h: Json) => h.hypervisor_hostname))
    return (
      wanted.every(agent => live.has(agent)) &&
      computes.every(
        host => known.has(host) && services.some((s: Json) => s.host === host && s.state === 'up'),
      )
    )
  })
}
