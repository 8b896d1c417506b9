import {fileURLToPath} from 'node:url'

/** Where the real OpenStack of this machine lives; see docs/openstack.md. */
export const here = fileURLToPath(new URL('.', import.meta.url))
const state = process.env['OS_SSH_OPENSTACK_STATE'] || '/var/tmp/os-ssh-openstack'
/** Everything of the cloud that runs; gone after `down`. */
export const dir = `${state}/run`
/** Synchronised databases and Keystone's keys, so that the next `up` need not make them again; of another recipe, another file. */
export const template = (recipe: string) => `${state}/template-${recipe}.tar`
/** Network namespace that holds the cloud, its APIs and its user's workstation. */
export const netns = 'os-ssh-openstack'
/** Address of the controller on the nodes' management network. */
export const mgmt = '10.66.0.1'
/** The external network; the workstation, which is its gateway too, has the first address. */
export const external = {
  cidr: '172.24.4.0/24',
  gateway: '172.24.4.1',
  first: '172.24.4.100',
  last: '172.24.4.250',
}

export type Backend = 'ovs' | 'ovn'

export interface Node {
  readonly name: string
  /** Last byte of its addresses. */
  readonly id: number
  /** The L3 agent's agent_mode. */
  readonly l3: 'dvr_snat' | 'dvr'
  readonly compute: boolean
}

export const nodes: readonly Node[] = [
  {name: 'network1', id: 11, l3: 'dvr_snat', compute: false},
  {name: 'compute1', id: 12, l3: 'dvr', compute: true},
  {name: 'compute2', id: 13, l3: 'dvr', compute: true},
]

/** The APIs as the workstation sees them; nodes and services use `mgmt` instead of the loopback. */
export const ports = {identity: 5000, compute: 8774, network: 9696, image: 9292, placement: 8778} as const
export const paths = {identity: '/v3', compute: '/v2.1', network: '', image: '', placement: ''} as const
export const api = (service: keyof typeof ports, host = '127.0.0.1') =>
  `http://${host}:${ports[service]}${paths[service]}`
