import {writeFileSync} from 'node:fs'

import type {LabInfo} from '../../lab/index.ts'
import {
  accounts,
  gateNetworks,
  gates,
  keyPairs,
  networks,
  newKeys,
  rootLogin,
  routers,
  servers,
} from '../../lab/tenants.ts'
import {cloudsFile, login, sshEndpoint} from './identity.ts'
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

/** The tenants that the lab has too, made through the real APIs; the gates behind floating IPs. */
export async function topology(backend: Backend): Promise<Site> {
  const admin = await login('admin')
  const keys = newKeys()
  for (const [name, pair] of Object.entries(keys)) {
    writeFileSync(`${dir}/id_${name}`, pair.privateKey, {mode: 0o600})
    writeFileSync(`${dir}/id_${name}.pub`, `${pair.publicKey}\n`)
  }
  const projects = await openProjects(admin, keys)
  const {net, routerIds} = await makeNetworks(projects, backend)
  const boots = servers.map(({owner, name, nics, group}) => {
    const inside = nics.map(([of, address]) => [net(of), address] as const)
    return projects[owner].server(name, inside, group === undefined ? {} : {security_groups: [{name: group}]})
  })
  const gateBoots = gates.map(({account, name}) => {
    const {name: of, address} = gateNetworks[account]
    return projects[account].server(name, [[net(of), address]], {user_data: rootLogin})
  })
  const madeGates = await Promise.all(gateBoots)
  const made = [...madeGates, ...(await Promise.all(boots))]
  await until('machines', () => allActive(admin, made), 300)
  if (backend === 'ovn') for (const id of routerIds) await placed(admin, id)
  const named = (name: string) => made.find(server => server.name === name) as Made
  for (const {owner, name, off} of servers)
    if (off) await projects[owner].user.nova('POST', `servers/${named(name).id}/action`, {'os-stop': null})
  const addresses = await Promise.all(gates.map(({name, last}) => floatingIp(admin, named(name), ext(last))))
  for (const host of addresses) await until(`the gate at ${host}`, () => listening(22, host), 60)
  const site: Site = {
    name: 'openstack',
    backend,
    ssh_endpoint: sshEndpoint,
    clouds_yaml: cloudsFile,
    management_key: `${dir}/id_management`,
    user_keys: {alice: `${dir}/id_alice`, bob: `${dir}/id_bob`},
    external_cidr: external.cidr,
    gates: gates.map(({name, last}) => {
      const {id, project_id} = named(name)
      return {server_id: id, name, project_id, host: ext(last)}
    }),
    servers: made.map(({id, name, project}) => ({id, name, project})),
  }
  writeFileSync(`${dir}/site.json`, JSON.stringify(site, undefined, 2))
  return site
}

type Projects = Readonly<Record<keyof typeof keyPairs, Project>>

/** Every account that boots VMs, with its key pair and its project's group `open`. */
async function openProjects(admin: Rest, keys: ReturnType<typeof newKeys>): Promise<Projects> {
  const open = async (account: keyof typeof keyPairs) => {
    const [user, name] = [await login(account), keyPairs[account]]
    await user.nova('POST', 'os-keypairs', {keypair: {name, public_key: keys[name].publicKey}})
    return new Project(admin, user, accounts[account][1], name)
  }
  const accountNames = Object.keys(keyPairs) as (keyof typeof keyPairs)[]
  const all = await Promise.all(accountNames.map(async one => [one, await open(one)] as const))
  const projects = Object.fromEntries(all) as Projects
  const {tenant1, tenant2, service} = projects
  await Promise.all([service.open(), tenant1.open(), tenant2.open()])
  // It is tenant1's project too.
  projects['service-member'].group = tenant1.group
  return projects
}

/** The networks, found by their names, and the routers that are between them. */
async function makeNetworks(projects: Projects, backend: Backend) {
  const made = new Map<string, {id: string; subnet: string}>()
  const net = (name: string) => {
    const found = made.get(name)
    if (!found) throw new Error(`there is no network ${name}`)
    return found
  }
  for (const {owner, name, cidr} of networks) made.set(name, await projects[owner].network(name, cidr))
  for (const [account, {name, cidr}] of Object.entries(gateNetworks))
    made.set(name, await projects[account as keyof typeof gateNetworks].network(name, cidr))
  // OVN knows one kind of router only.
  const kind = (distributed: boolean) => (backend === 'ovs' ? {distributed} : {})
  const behind = (owner: string) => (owner === 'tenant1' ? [net(gateNetworks['service-member'].name)] : [])
  const routerIds: string[] = []
  for (const {owner, name, distributed, networks: inside} of routers)
    routerIds.push(
      await projects[owner].router(name, kind(distributed), [...inside.map(net), ...behind(owner)]),
    )
  routerIds.push(await projects.service.router('infra-router', kind(false), [net(gateNetworks.service.name)]))
  return {net, routerIds}
}

interface Made {
  readonly id: string
  readonly name: string
  readonly project: string
  readonly project_id: string
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

/** Gives a server a floating IP; its address. */
async function floatingIp(admin: Rest, server: Made, address: string): Promise<string> {
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
  return address
}

/** A project through the eyes of its user, and of an admin where only one may. */
class Project {
  readonly admin: Rest
  readonly user: Rest
  readonly name: string
  readonly key: string
  group = ''

  constructor(admin: Rest, user: Rest, name: string, key: string) {
    this.admin = admin
    this.user = user
    this.name = name
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
    return {id: server.id, name, project: this.name, project_id: this.user.projectId}
  }
}
