import {OsSshError} from '../../src/errors.ts'
import type {Flavor, Image, NetworkTraits, Quota} from '../../src/openstack/index.ts'
import {choose} from '../../src/service/deploy/choice/choose.ts'
import type {Wish} from '../../src/service/deploy/choice/plan.ts'
import type {Seen, SeenNetwork, SeenRouter, SeenSubnet} from '../../src/service/deploy/choice/seen.ts'

/* What there is to choose from, in a few words. */

export const GiB = 2 ** 30
export const image = (id: string, change: Partial<Image> = {}): Image => ({
  id,
  name: id,
  status: 'active',
  visibility: 'public',
  owner: 'admin',
  disk_format: 'qcow2',
  size: GiB / 2,
  virtual_size: 2 * GiB,
  min_ram: 0,
  min_disk: 0,
  created_at: '2026-01-01T00:00:00Z',
  os_distro: 'ubuntu',
  os_version: '24.04',
  ...change,
})
export const flavor = (id: string, change: Partial<Flavor> = {}): Flavor => ({
  id,
  name: id,
  vcpus: 1,
  ram: 1024,
  disk: 10,
  ...change,
})
export const network = (id: string, change: Partial<SeenNetwork> = {}): SeenNetwork => ({
  id,
  name: id,
  project_id: 'infra',
  shared: false,
  'router:external': false,
  ...change,
})
export const external = (id: string, change: Partial<SeenNetwork> = {}) =>
  network(id, {project_id: 'admin', 'router:external': true, ...change})
export const subnet = (id: string, network_id: string, change: Partial<SeenSubnet> = {}): SeenSubnet => ({
  id,
  name: id,
  network_id,
  project_id: 'infra',
  ip_version: 4,
  cidr: '10.0.0.0/24',
  gateway_ip: '10.0.0.1',
  ...change,
})
export const router = (id: string, to: string | null, change: Partial<SeenRouter> = {}): SeenRouter => ({
  id,
  project_id: 'infra',
  status: 'ACTIVE',
  admin_state_up: true,
  external_gateway_info: to === null ? null : {network_id: to, external_fixed_ips: []},
  created_at: '2026-01-01T00:00:00Z',
  ...change,
})
export const leg = (device_id: string, subnet_id: string, ip_address = '10.0.0.1') => ({
  device_id,
  fixed_ips: [{subnet_id, ip_address}],
})
export const trait = (name: string, change: Partial<NetworkTraits> = {}): NetworkTraits => ({
  name,
  routes_ipv4_externally: false,
  routes_ipv6_externally: false,
  nat_destination: false,
  default_interface: false,
  ...change,
})
export const quota = (limit: number, used: number, reserved = 0): Quota => ({limit, used, reserved})

/** A project with a network behind a router, on a cloud with one of everything. */
export const seen = (change: Partial<Seen> = {}): Seen => ({
  project: 'infra',
  images: [image('ubuntu')],
  flavors: [flavor('small')],
  volumes: true,
  limits: {
    maxTotalInstances: 10,
    totalInstancesUsed: 0,
    maxTotalCores: 20,
    totalCoresUsed: 0,
    maxTotalRAMSize: 51_200,
    totalRAMUsed: 0,
    maxServerGroups: 10,
    totalServerGroupsUsed: 0,
  },
  quotas: {port: quota(500, 1), floatingip: quota(50, 1), security_group: quota(10, 1)},
  networks: [network('net'), external('public')],
  subnets: [subnet('sub', 'net')],
  routers: [router('r', 'public')],
  legs: [leg('r', 'sub')],
  zones: ['nova'],
  traits: [],
  ...change,
})

/** What `choose` says of it. */
export function fault(facts: Seen, wish: Wish = {}): OsSshError {
  try {
    choose(facts, wish)
  } catch (error) {
    if (error instanceof OsSshError) return error
    throw error
  }
  throw new Error('it found something')
}
