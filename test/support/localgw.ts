import type {Member} from '../../src/localgw/desired.ts'
import type {Port} from '../../src/openstack/index.ts'
import {
  type AgentFact,
  type Facts,
  type FloatingIpFact,
  NO_FACTS,
  type PortFact,
  type RouterFact,
  type SubnetFact,
} from '../../src/snat/facts.ts'

/*
 * A cloud of as many routers as a test wants, each with one subnet; all tenants have the same addresses. Ids say what they are of.
 */

/** A UUID that says what it is of: the first digits differ, for names of devices have no others. */
export const idOf = (kind: 'router' | 'vm' | 'port' | 'net' | 'subnet' | 'leg', n: number) =>
  `${(n + 1).toString(16).padStart(8, '0')}-${KIND[kind]}-4000-8000-000000000000`
const KIND = {router: '0a0a', vm: '0b0b', port: '0c0c', net: '0d0d', subnet: '0e0e', leg: '0f0f'} as const

/** External networks 0 and 1, and the addresses of their routers. */
export const EXTERNAL = [
  'eeeeeeee-0000-4000-8000-000000000000',
  'eeeeeeee-0000-4000-8000-000000000001',
] as const
const OUTER = ['5ebe7000-0000-4000-8000-000000000000', '5ebe7000-0000-4000-8000-000000000001'] as const
export const outside = (external: 0 | 1, last = 1) => `172.24.${4 + external}.${last}`

export interface VmOf {
  readonly host: string
  /** Whether it has a floating IP. */
  readonly fip?: boolean
}

export interface RouterOf {
  readonly external?: 0 | 1
  readonly vms: readonly VmOf[]
  readonly change?: Partial<RouterFact>
}

/** Address of the VM with this number behind its router. */
export const vmAddress = (vm: number) => `10.0.0.${10 + vm}`

const NETWORK_NODE = 'network1'
const HOSTS = ['compute1', 'compute2', 'compute3']

/** The facts of such a cloud: DVR, with the central SNAT on a node of its own. */
export function cloudOf(routers: readonly RouterOf[], agents: readonly AgentFact[] = AGENTS): Facts {
  return {
    ...NO_FACTS,
    agents,
    routers: routers.map(routerRow),
    ports: routers.flatMap((router, n) => [...portRows(n, router.external), ...vmRows(n, router.vms)]),
    floatingIps: routers.flatMap(({vms, external}, n) => floatingIps(n, vms, external)),
    subnets: [...routers.map((_, n) => subnetRow(n)), outerRow(0), outerRow(1)],
    networks: [
      ...routers.map((_, n) => ({id: idOf('net', n), name: `net${n}`, mtu: 1450})),
      ...EXTERNAL.map(id => ({id, name: 'public', mtu: 1500})),
    ],
  }
}

export const agentOn = (host: string, agent_mode: string): AgentFact => ({
  id: host,
  agent_type: 'L3 agent',
  host,
  alive: true,
  configurations: {agent_mode},
})
export const AGENTS = [...HOSTS.map(host => agentOn(host, 'dvr')), agentOn(NETWORK_NODE, 'dvr_snat')]

function routerRow({external = 0, change}: RouterOf, n: number): RouterFact {
  const external_fixed_ips = [{subnet_id: OUTER[external], ip_address: outside(external, 100 + (n % 100))}]
  return {
    id: idOf('router', n),
    name: `router${n}`,
    project_id: 'p',
    external_gateway_info: {network_id: EXTERNAL[external], enable_snat: true, external_fixed_ips},
    distributed: true,
    ha: false,
    routes: [],
    ...change,
  }
}

function portRows(n: number, external: 0 | 1 = 0): PortFact[] {
  const of = (kind: string, ip_address: string, subnet_id: string, host: string): PortFact => ({
    id: `${kind}-${n}`,
    device_id: idOf('router', n),
    device_owner: `network:${kind}`,
    fixed_ips: [{subnet_id, ip_address}],
    'binding:host_id': host,
  })
  return [
    of('router_interface_distributed', '10.0.0.1', idOf('subnet', n), ''),
    of('router_centralized_snat', '10.0.0.2', idOf('subnet', n), NETWORK_NODE),
    of('router_gateway', outside(external, 100 + (n % 100)), OUTER[external], NETWORK_NODE),
  ]
}

const vmRows = (n: number, vms: readonly VmOf[]) =>
  vms.map(
    ({host}, vm): PortFact => ({
      id: `vm-${n}-${vm}`,
      device_id: idOf('vm', 1000 * n + vm),
      device_owner: 'compute:nova',
      fixed_ips: [{subnet_id: idOf('subnet', n), ip_address: vmAddress(vm)}],
      'binding:host_id': host,
    }),
  )

const floatingIps = (n: number, vms: readonly VmOf[], external: 0 | 1 = 0) =>
  vms.flatMap(({fip}, vm): FloatingIpFact[] =>
    fip === true
      ? [
          {
            id: `fip-${n}-${vm}`,
            floating_ip_address: outside(external, 200),
            floating_network_id: EXTERNAL[external],
            fixed_ip_address: vmAddress(vm),
            port_id: `vm-${n}-${vm}`,
            router_id: idOf('router', n),
          },
        ]
      : [],
  )

const subnetRow = (n: number): SubnetFact => ({
  id: idOf('subnet', n),
  network_id: idOf('net', n),
  ip_version: 4,
  cidr: '10.0.0.0/24',
  gateway_ip: '10.0.0.1',
})

const outerRow = (external: 0 | 1): SubnetFact => ({
  id: OUTER[external],
  network_id: EXTERNAL[external],
  ip_version: 4,
  cidr: `172.24.${4 + external}.0/24`,
  gateway_ip: outside(external),
})

/** A Neutron port that is a leg on compute1: of a router, or of an external network. */
export function legPort(n: number, device_id: string, external: 0 | 1 = 0, change: Partial<Port> = {}): Port {
  return {
    id: idOf('leg', n),
    name: 'os-ssh-lsnat',
    network_id: EXTERNAL[external],
    project_id: 'agents',
    mac_address: 'fa:16:3e:00:00:01',
    status: 'ACTIVE',
    device_id,
    device_owner: 'network:local_snat',
    fixed_ips: [{subnet_id: OUTER[external], ip_address: outside(external, 50 + n)}],
    security_groups: [],
    'binding:host_id': 'compute1',
    ...change,
  }
}

/** A router as it is told to the kernel. */
export function memberWith(n: number, change: Partial<Member> = {}): Member {
  const router = idOf('router', n)
  return {
    router,
    number: n + 1,
    mtu: 1450,
    locals: ['10.0.0.10'],
    keeps: [],
    central: ['10.0.0.2'],
    ...change,
  }
}
