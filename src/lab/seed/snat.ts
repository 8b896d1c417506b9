import {
  hexId,
  makeAgent,
  makeFloatingIp,
  makeNetwork,
  makePort,
  makeRouter,
  makeSubnet,
  makeSubnetPool,
} from '../make.ts'
import type {Cloud, NetworkRecord, RouterRecord, Seed, SubnetRecord} from '../state.ts'

/*
 * Routers of every SNAT mode, on paper: loaded by `labUp({snat: true})`. They belong to project `paper`, whose member
 * is user `paper` (password `paper`). Addresses are of the documentation ranges; nothing here exists in the kernel.
 */

const HOSTS: readonly (readonly [host: string, mode: string, alive: boolean])[] = [
  ['paper-net1', 'dvr_snat', true],
  ['paper-net2', 'dvr_snat', true],
  ['paper-net3', 'dvr_snat', true],
  ['paper-net4', 'legacy', false],
  ['paper-compute1', 'dvr', true],
  ['paper-compute2', 'dvr', true],
  ['paper-compute3', 'dvr_no_external', true],
]

/** Routers of every SNAT mode, on paper. */
export const seed: Seed = cloud => {
  const paper = new Paper(cloud)
  agents(cloud)
  central(paper)
  distributed(paper)
  overlays(paper)
  ovn(paper)
}

function agents(cloud: Cloud): void {
  const add = (
    agent_type: string,
    binary: string,
    host: string,
    alive: boolean,
    configurations: Record<string, unknown>,
  ) => {
    const agent = makeAgent({agent_type, binary, host, alive, configurations})
    cloud.agents.set(agent.id, agent)
  }
  for (const [host, agent_mode, alive] of HOSTS) {
    add('L3 agent', 'neutron-l3-agent', host, alive, {agent_mode})
    const tunnels = {bridge_mappings: {paper: 'br-ex'}, tunnel_types: ['vxlan']}
    add('Open vSwitch agent', 'neutron-openvswitch-agent', host, alive, tunnels)
  }
  for (const host of ['paper-gw1', 'paper-gw2', 'paper-ovn1']) {
    const type = host.startsWith('paper-gw') ? 'OVN Controller Gateway agent' : 'OVN Controller agent'
    add(type, 'ovn-controller', host, true, {chassis_name: host, 'bridge-mappings': 'paper:br-ex'})
  }
}

function central(paper: Paper): void {
  paper.router('paper-no-gateway', {gateway: null})
  paper.router('paper-legacy', {gateway: 'paper-net1', vms: ['paper-compute1', 'paper-compute2']})
  paper.router('paper-legacy-stale', {gateway: 'paper-net4', vms: ['paper-compute1']})
  paper.router('paper-legacy-unbound', {gateway: '', vms: ['paper-compute1']})
  const owner = 'network:ha_router_replicated_interface'
  const ha = {ha: true, owner, gateway: 'paper-net1'}
  paper.router('paper-ha', {...ha, replicas: ['paper-net1', 'paper-net2'], vms: ['paper-compute2']})
  paper.router('paper-ha-single', {...ha, replicas: ['paper-net1', 'paper-net4']})
  paper.router('paper-ha-split', {...ha, replicas: ['paper-net1', 'paper-net2'], actives: 2})
}

function distributed(paper: Paper): void {
  const dvr = {distributed: true, owner: 'network:router_interface_distributed', gateway: 'paper-net2'}
  paper.router('paper-dvr', {...dvr, vms: ['paper-compute1', 'paper-compute2', 'paper-net2'], floating: 1})
  paper.router('paper-dvr-ha', {
    ...dvr,
    ha: true,
    replicas: ['paper-net2', 'paper-net3'],
    vms: ['paper-compute1'],
  })
  paper.router('paper-dvr-central-fip', {...dvr, vms: ['paper-compute3'], floating: 1})
}

function overlays(paper: Paper): void {
  const given = {gateway: 'paper-net1', vms: ['paper-compute1']}
  paper.router('paper-routed', {...given, enable_snat: false})
  paper.router('paper-no-nat', {...given, subnetpool_id: paper.pool})
  paper.router('paper-multihomed', {...given, second: 'paper-net2'})
  paper.router('paper-custom', {...given, flavor_id: 'f1a70000-0000-4000-8000-000000000001'})
  const dvr = {distributed: true, owner: 'network:router_interface_distributed', gateway: 'paper-net2'}
  paper.router('paper-local-gateway', {
    ...dvr,
    vms: ['paper-compute1', 'paper-compute2'],
    local: 'paper-compute1',
  })
}

function ovn(paper: Paper): void {
  const given = {ovn: true, gateway: 'paper-gw1', vms: ['paper-ovn1']}
  paper.router('paper-ovn', given)
  paper.router('paper-ovn-fip', {...given, gateway: 'paper-gw2', ovnDistributed: true, floating: 1})
  paper.router('paper-ovn-pinned', {...given, gateway: '', external: paper.tunnelled})
}

interface Wish {
  readonly gateway: string | null
  readonly distributed?: boolean
  readonly ha?: boolean
  readonly owner?: string
  readonly replicas?: readonly string[]
  readonly actives?: number
  readonly vms?: readonly string[]
  /** How many of the VMs have a floating IP. */
  readonly floating?: number
  readonly enable_snat?: boolean
  readonly subnetpool_id?: string
  /** Host of a second external gateway. */
  readonly second?: string
  readonly flavor_id?: string
  /** Node of a local gateway. */
  readonly local?: string
  readonly ovn?: boolean
  readonly ovnDistributed?: boolean
  readonly external?: Wire
}

interface Wire {
  readonly network: NetworkRecord
  readonly subnet: SubnetRecord
}

/** A project of paper routers, and the networks that they lead to. */
class Paper {
  readonly #cloud: Cloud
  readonly #project = hexId()
  readonly #external: Wire
  readonly tunnelled: Wire
  readonly pool: string
  #routers = 0
  #addresses = 10

  constructor(cloud: Cloud) {
    this.#cloud = cloud
    const user = hexId()
    const project_id = this.#project
    cloud.projects.set(project_id, {id: project_id, name: 'paper'})
    cloud.users.set(user, {id: user, name: 'paper', password: 'paper', default_project_id: project_id})
    cloud.assignments.push({user_id: user, project_id, role: 'member'})
    const scope = {
      id: hexId(),
      name: 'paper',
      project_id,
      tenant_id: project_id,
      ip_version: 4 as const,
      shared: false,
    }
    cloud.address_scopes.set(scope.id, scope)
    const pool = makeSubnetPool({
      project_id,
      name: 'paper',
      prefixes: ['203.0.113.0/24'],
      ip_version: 4,
      address_scope_id: scope.id,
    })
    cloud.subnetpools.set(pool.id, pool)
    this.pool = pool.id
    const flat = {
      'provider:network_type': 'flat',
      'provider:physical_network': 'paper',
      'provider:segmentation_id': null,
    }
    this.#external = this.#wire(
      'paper-public',
      '198.51.100.0/24',
      '198.51.100.1',
      {...flat, 'router:external': true},
      pool.id,
    )
    const geneve = {'provider:network_type': 'geneve', 'router:external': true}
    this.tunnelled = this.#wire('paper-transit', '192.0.2.0/24', '192.0.2.1', geneve)
  }

  router(name: string, wish: Wish): void {
    const number = ++this.#routers
    const external = wish.external ?? this.#external
    const gateways = (wish.gateway === null ? [] : [wish.gateway, wish.second])
      .filter(host => host !== undefined)
      .map(host => ({host, fixed_ips: [this.#address(external)]}))
    const infos = gateways.map(({fixed_ips}) => ({
      network_id: external.network.id,
      enable_snat: wish.enable_snat ?? true,
      external_fixed_ips: fixed_ips,
    }))
    const router: RouterRecord = makeRouter({
      project_id: this.#project,
      name,
      external_gateway_info: infos[0] ?? null,
      distributed: wish.distributed ?? false,
      ha: wish.ha ?? false,
      flavor_id: wish.flavor_id ?? null,
      ...(infos.length > 1 && {external_gateways: infos}),
    })
    if (wish.ovn) this.#asOvn(router, wish)
    this.#cloud.routers.set(router.id, router)
    for (const {host, fixed_ips} of gateways)
      this.#port(router.id, 'network:router_gateway', external.network.id, host, fixed_ips)
    this.#inside(
      router,
      wish,
      this.#wire(name, `10.77.${number}.0/24`, `10.77.${number}.1`, {}, wish.subnetpool_id),
      external,
    )
    this.#schedule(router, wish)
  }

  /** OVN shows neither attribute, but in newer releases `distributed`, which is about floating IPs there. */
  #asOvn(router: RouterRecord, wish: Wish): void {
    delete router.distributed
    delete router.ha
    if (wish.ovnDistributed !== undefined) router.distributed = wish.ovnDistributed
  }

  #inside(router: RouterRecord, wish: Wish, {network, subnet}: Wire, external: Wire): void {
    const at = (last: number) => [
      {subnet_id: subnet.id, ip_address: subnet.cidr.replace(/0\/24$/, String(last))},
    ]
    const host = wish.distributed || wish.ovn ? '' : (wish.gateway ?? '')
    this.#port(router.id, wish.owner ?? 'network:router_interface', network.id, host, at(1))
    if (wish.distributed)
      this.#port(router.id, 'network:router_centralized_snat', network.id, wish.gateway ?? '', at(2))
    if (wish.local)
      this.#port(router.id, 'network:local_snat', external.network.id, wish.local, [this.#address(external)])
    ;(wish.vms ?? []).forEach((vmHost, index) => {
      const port = this.#port(hexId(), 'compute:nova', network.id, vmHost, at(10 + index))
      if (index >= (wish.floating ?? 0)) return
      const fip = makeFloatingIp({
        project_id: this.#project,
        floating_network_id: external.network.id,
        floating_ip_address: this.#address(external).ip_address,
        router_id: router.id,
        port_id: port.id,
        fixed_ip_address: port.fixed_ips[0]?.ip_address ?? null,
        status: 'ACTIVE',
      })
      this.#cloud.floatingips.set(fip.id, fip)
    })
  }

  /** Which agents host it; for HA routers with the ports and states of VRRP. */
  #schedule(router: RouterRecord, wish: Wish): void {
    const hosts = wish.replicas ?? (wish.gateway && !wish.ovn ? [wish.gateway] : [])
    const entries = hosts.map((host, index) => {
      if (wish.replicas)
        this.#port(router.id, 'network:router_ha_interface', this.#external.network.id, host, [])
      const agent = [...this.#cloud.agents.values()].find(a => a.host === host && a.agent_type === 'L3 agent')
      const ha_state = wish.replicas ? (index < (wish.actives ?? 1) ? 'active' : 'standby') : null
      return {agent_id: agent?.id ?? '', ha_state}
    })
    this.#cloud.router_agents.set(
      router.id,
      entries.filter(entry => entry.agent_id !== ''),
    )
  }

  #wire(
    name: string,
    cidr: string,
    gateway_ip: string,
    more: Partial<NetworkRecord>,
    subnetpool_id: string | null = null,
  ): Wire {
    const network = makeNetwork({project_id: this.#project, name, ...more})
    const subnet = makeSubnet({
      project_id: this.#project,
      name,
      network_id: network.id,
      cidr,
      gateway_ip,
      subnetpool_id,
    })
    network.subnets.push(subnet.id)
    this.#cloud.networks.set(network.id, network)
    this.#cloud.subnets.set(subnet.id, subnet)
    return {network, subnet}
  }

  #address({subnet}: Wire): {subnet_id: string; ip_address: string} {
    return {subnet_id: subnet.id, ip_address: subnet.cidr.replace(/0\/24$/, String(this.#addresses++))}
  }

  #port(
    device_id: string,
    device_owner: string,
    network_id: string,
    host: string,
    fixed_ips: {subnet_id: string; ip_address: string}[],
  ) {
    const bound = {
      'binding:host_id': host,
      'binding:vif_type': host === '' ? 'unbound' : 'ovs',
      status: host === '' ? 'DOWN' : 'ACTIVE',
    }
    const port = makePort({
      project_id: this.#project,
      network_id,
      device_id,
      device_owner,
      fixed_ips,
      ...bound,
    })
    this.#cloud.ports.set(port.id, port)
    return port
  }
}
