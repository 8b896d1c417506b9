import {writeFileSync} from 'node:fs'

import type {LabInfo} from '../../src/lab/index.ts'
import {newSshKey} from '../../src/lab/keys.ts'
import {type Account, cloudsYaml, login, sshEndpoint} from './identity.ts'
import {type Backend, dir, external} from './place.ts'
import {listening, until} from './processes.ts'
import type {Json, Rest} from './rest.ts'

/** What tests need to know of the cloud, as the lab says it of itself. Also in site.json. */
export interface Site
  extends Pick<
    LabInfo,
    'name' | 'ssh_endpoint' | 'clouds_yaml' | 'management_key' | 'user_keys' | 'external_cidr'
  > {
  readonly backend: Backend
  readonly gates: readonly Omit<LabInfo['gates'][number], 'host_key'>[]
  readonly servers: readonly Pick<LabInfo['servers'][number], 'id' | 'name' | 'project'>[]
}

const ext = (last: number) => external.gateway.replace(/\d+$/, String(last))
const rootLogin = Buffer.from('#cloud-config\ndisable_root: false\n').toString('base64')

/** The tenants of the lab's default topology, made through the real APIs; the gates behind floating IPs. */
export async function topology(backend: Backend): Promise<Site> {
  const admin = await login('admin')
  const keys = {management: newSshKey('management'), alice: newSshKey('alice'), bob: newSshKey('bob')}
  for (const [name, pair] of Object.entries(keys)) {
    writeFileSync(`${dir}/id_${name}`, pair.private_key, {mode: 0o600})
    writeFileSync(`${dir}/id_${name}.pub`, `${pair.public_key}\n`)
  }
  const one = new Project(
    admin,
    await login('tenant1'),
    await keyed('tenant1', 'alice', keys.alice.public_key),
  )
  const two = new Project(admin, await login('tenant2'), await keyed('tenant2', 'bob', keys.bob.public_key))
  const infra = new Project(
    admin,
    await login('service'),
    await keyed('service', 'management', keys.management.public_key),
  )
  // The gate of tenant1's own service is its member's, with another key pair than alice's.
  const team = new Project(
    admin,
    await login('service-member'),
    await keyed('service-member', 'management', keys.management.public_key),
  )
  await Promise.all([infra.open(), one.open(), two.open()])
  team.group = one.group

  const net1 = await one.network('t1-net', '10.0.0.0/24')
  const app1 = await one.network('t1-net2', '10.0.2.0/24')
  const iso1 = await one.network('t1-iso', '10.0.1.0/24')
  const six1 = await one.network('t1-v6', 'fd00:10::/64')
  const gates1 = await one.network('t1-gates', '10.0.5.0/24')
  const net2 = await two.network('t2-net', '10.0.0.0/24')
  const iso2 = await two.network('t2-iso', '10.0.1.0/24')
  const gates = await infra.network('gates', '10.9.0.0/24')
  // OVN knows one kind of router only.
  const distributed = (yes: boolean) => (backend === 'ovs' ? {distributed: yes} : {})
  const routers = [
    await one.router('t1-router', distributed(false), [net1, app1, gates1]),
    await two.router('t2-router', distributed(true), [net2]),
    await infra.router('infra-router', distributed(false), [gates]),
  ]

  const made = await Promise.all([
    infra.server('gate1', [[gates, '10.9.0.21']], {user_data: rootLogin}),
    team.server('gate-t1', [[gates1, '10.0.5.22']], {user_data: rootLogin}),
    one.server('t1-web', [[net1, '10.0.0.10']]),
    one.server('t1-app', [[app1, '10.0.2.10']]),
    one.server('t1-db', [[iso1, '10.0.1.10']]),
    one.server('t1-six', [[six1, 'fd00:10::10']]),
    one.server('t1-off', [[net1, '10.0.0.11']]),
    one.server('t1-bare', []),
    one.server('t1-default', [[iso1, '10.0.1.12']], {security_groups: [{name: 'default'}]}),
    one.server('t1-default2', [[app1, '10.0.2.12']], {security_groups: [{name: 'default'}]}),
    two.server('t2-web', [[net2, '10.0.0.10']]),
    two.server('t2-db', [[iso2, '10.0.1.10']]),
  ])
  await until('machines', () => allActive(admin, made), 300)
  if (backend === 'ovn') for (const router of routers) await placed(admin, router)
  const off = made.find(server => server.name === 't1-off')
  await one.user.nova('POST', `servers/${off?.id}/action`, {'os-stop': null})
  for (const [name, last] of [
    ['gate1', 21],
    ['gate-t1', 22],
  ] as const)
    await floatingIp(admin, made.find(server => server.name === name) as Made, ext(last))
  for (const last of [21, 22]) await until(`the gate at ${ext(last)}`, () => listening(22, ext(last)))
  const isGate = ({name}: Made) => name.startsWith('gate')
  const site: Site = {
    name: 'openstack',
    backend,
    ssh_endpoint: sshEndpoint,
    clouds_yaml: cloudsYaml,
    management_key: `${dir}/id_management`,
    user_keys: {alice: `${dir}/id_alice`, bob: `${dir}/id_bob`},
    external_cidr: external.cidr,
    gates: made.filter(isGate).map(({id, name, project_id}) => ({
      server_id: id,
      name,
      project_id,
      host: ext(name === 'gate1' ? 21 : 22),
    })),
    servers: made.map(({id, name, project}) => ({id, name, project})),
  }
  writeFileSync(`${dir}/site.json`, JSON.stringify(site, undefined, 2))
  return site
}

interface Made {
  readonly id: string
  readonly name: string
  readonly project: string
  readonly project_id: string
}

async function keyed(account: Account, name: string, public_key: string): Promise<string> {
  await (await login(account)).nova('POST', 'os-keypairs', {keypair: {name, public_key}})
  return name
}

/** Every machine is up and every port of it is wired: Nova says ACTIVE before the agents have finished. */
async function allActive(admin: Rest, made: readonly Made[]): Promise<boolean> {
  const {servers} = await admin.nova('GET', 'servers/detail?all_tenants=1')
  const broken = servers.find((server: Json) => server.status === 'ERROR')
  if (broken) throw new Error(`${broken.name}: ${broken.fault?.message}`)
  const {ports} = await admin.neutron('GET', 'ports')
  return (
    servers.filter((server: Json) => server.status === 'ACTIVE').length === made.length &&
    ports.every((port: Json) => !port.device_owner.startsWith('compute:') || port.status === 'ACTIVE')
  )
}

/**
 * Neutron knows on which host the router's gateway is. OVN tells it by an event, and of some forty one is lost: nothing
 * comes after it, so the gateway is set anew.
 */
async function placed(admin: Rest, router: string): Promise<void> {
  const known = async () => {
    const {ports} = await admin.neutron(
      'GET',
      `ports?device_id=${router}&device_owner=network:router_gateway`,
    )
    return Boolean(ports[0]?.['binding:host_id'])
  }
  const gateway = (external_gateway_info: object) =>
    admin.neutron('PUT', `routers/${router}`, {router: {external_gateway_info}})
  for (let left = 3; ; left--) {
    try {
      return await until(`the place of router ${router}`, known, 30)
    } catch (error) {
      if (left === 0) throw error
    }
    const {network_id} = (await admin.neutron('GET', `routers/${router}`)).router.external_gateway_info
    await gateway({})
    await gateway({network_id})
  }
}

async function floatingIp(admin: Rest, server: Made, address: string): Promise<void> {
  const {ports} = await admin.neutron('GET', `ports?device_id=${server.id}`)
  const {networks} = await admin.neutron('GET', 'networks?name=public')
  await admin.neutron('POST', 'floatingips', {
    floatingip: {
      floating_network_id: networks[0].id,
      floating_ip_address: address,
      port_id: ports[0].id,
      project_id: server.project_id,
    },
  })
}

/** A project through the eyes of its user, and of an admin where only one may. */
class Project {
  readonly admin: Rest
  readonly user: Rest
  readonly key: string
  group = ''

  constructor(admin: Rest, user: Rest, key: string) {
    this.admin = admin
    this.user = user
    this.key = key
  }

  /** The group `open`: everything from everywhere, so that it is never what keeps an attack of a test from its aim. */
  async open(): Promise<void> {
    const {security_group} = await this.user.neutron('POST', 'security-groups', {
      security_group: {name: 'open'},
    })
    this.group = security_group.id
    for (const ethertype of ['IPv4', 'IPv6'])
      await this.user.neutron('POST', 'security-group-rules', {
        security_group_rule: {security_group_id: this.group, direction: 'ingress', ethertype},
      })
  }

  async network(name: string, cidr: string): Promise<{id: string; subnet: string}> {
    const {network} = await this.user.neutron('POST', 'networks', {network: {name}})
    const version = cidr.includes(':') ? 6 : 4
    const {subnet} = await this.user.neutron('POST', 'subnets', {
      subnet: {name, network_id: network.id, cidr, ip_version: version, enable_dhcp: version === 4},
    })
    return {id: network.id, subnet: subnet.id}
  }

  /** Made by an admin: members may not say whether it is distributed. */
  async router(name: string, kind: object, inside: readonly {subnet: string}[]): Promise<string> {
    const {networks} = await this.admin.neutron('GET', 'networks?name=public')
    const gateway = {external_gateway_info: {network_id: networks[0].id}}
    const {router} = await this.admin.neutron('POST', 'routers', {
      router: {name, project_id: this.user.projectId, ...kind, ...gateway},
    })
    for (const {subnet} of inside)
      await this.admin.neutron('PUT', `routers/${router.id}/add_router_interface`, {subnet_id: subnet})
    return router.id
  }

  async server(
    name: string,
    nics: readonly (readonly [{id: string}, string])[],
    more: object = {},
  ): Promise<Made> {
    const {images} = await this.user.call('GET', 'http://127.0.0.1:9292/v2/images?name=debian-12')
    const networks =
      nics.length === 0 ? 'none' : nics.map(([network, address]) => ({uuid: network.id, fixed_ip: address}))
    const spec = {name, imageRef: images[0].id, flavorRef: '1', key_name: this.key, networks}
    const groups = nics.length === 0 ? {} : {security_groups: [{name: this.group}]}
    const {server} = await this.user.nova('POST', 'servers', {server: {...spec, ...groups, ...more}})
    const project =
      name.startsWith('t1') || name === 'gate-t1' ? 'tenant1' : name.startsWith('t2') ? 'tenant2' : 'infra'
    return {id: server.id, name, project, project_id: this.user.projectId}
  }
}
