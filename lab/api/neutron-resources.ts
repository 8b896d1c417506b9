import {
  makeAgent,
  makeFloatingIp,
  makeNetwork,
  makePort,
  makeRouter,
  makeRule,
  makeSecurityGroup,
  makeSubnet,
  makeSubnetPool,
} from '../make.ts'
import {portDetails} from '../ops/floating.ts'
import type {Cloud, NetworkRecord} from '../state.ts'
import type {Caller} from './caller.ts'

type Row = Record<string, unknown>

/** A collection of Neutron: how it is called, who sees which of its rows, and which of their fields. */
export interface Resource {
  readonly plural: string
  readonly singular: string
  /** Path under /v2.0. */
  readonly path: string
  /** Name in `…NotFound`. */
  readonly kind: string
  rows(cloud: Cloud): Row[]
  visible(cloud: Cloud, who: Caller, row: Row): boolean
  readonly adminOnly: readonly string[]
  readonly known: ReadonlySet<string>
}

const own = (_: Cloud, who: Caller, row: Row) => who.admin || row['project_id'] === who.projectId
const seesNetwork = (who: Caller, network: NetworkRecord | undefined) =>
  network !== undefined &&
  (who.admin ||
    who.advsvc ||
    network.project_id === who.projectId ||
    network.shared ||
    network['router:external'])
const p = {project_id: 'p'}

function known(sample: object, ...more: string[]): ReadonlySet<string> {
  return new Set([...Object.keys(sample), 'tenant_id', ...more])
}

/** May the caller see the network? */
export function networkVisible(cloud: Cloud, who: Caller, id: string): boolean {
  return seesNetwork(who, cloud.networks.get(id))
}

/** Does the caller own the network that the port is on? Owners see others' ports in their listings. */
export function ownsNetworkOf(cloud: Cloud, who: Caller, port: {network_id?: unknown}): boolean {
  const {projectId} = who
  return projectId !== '' && cloud.networks.get(String(port.network_id))?.project_id === projectId
}

const list = <T extends object>(map: Map<string, T>) => [...map.values()] as unknown as Row[]

export const resources: readonly Resource[] = [
  {
    plural: 'networks',
    singular: 'network',
    path: 'networks',
    kind: 'Network',
    rows: cloud => list(cloud.networks),
    visible: (_, who, row) => seesNetwork(who, row as unknown as NetworkRecord),
    adminOnly: ['provider:network_type', 'provider:physical_network', 'provider:segmentation_id'],
    known: known(makeNetwork(p), 'is_default'),
  },
  {
    plural: 'subnets',
    singular: 'subnet',
    path: 'subnets',
    kind: 'Subnet',
    rows: cloud => list(cloud.subnets),
    // the external network's subnets are hidden from tenants
    visible: (cloud, who, row) =>
      own(cloud, who, row) || cloud.networks.get(String(row['network_id']))?.shared === true,
    adminOnly: [],
    known: known(makeSubnet({...p, network_id: '', cidr: ''})),
  },
  {
    plural: 'ports',
    singular: 'port',
    path: 'ports',
    kind: 'Port',
    rows: cloud => list(cloud.ports),
    visible: (cloud, who, row) => who.advsvc || own(cloud, who, row) || ownsNetworkOf(cloud, who, row),
    adminOnly: ['binding:host_id', 'binding:vif_type', 'binding:vif_details', 'binding:profile'],
    known: known(makePort({...p, network_id: ''}), 'ip_allocation'),
  },
  {
    plural: 'routers',
    singular: 'router',
    path: 'routers',
    kind: 'Router',
    rows: cloud => list(cloud.routers),
    visible: own,
    adminOnly: ['distributed', 'ha'],
    known: known(makeRouter(p)),
  },
  {
    plural: 'security_groups',
    singular: 'security_group',
    path: 'security-groups',
    kind: 'SecurityGroup',
    rows: cloud =>
      list(cloud.security_groups).map(group => ({
        ...group,
        security_group_rules: list(cloud.security_group_rules).filter(
          rule => rule['security_group_id'] === group['id'],
        ),
      })),
    visible: own,
    adminOnly: [],
    known: known(makeSecurityGroup(p)),
  },
  {
    plural: 'security_group_rules',
    singular: 'security_group_rule',
    path: 'security-group-rules',
    kind: 'SecurityGroupRule',
    rows: cloud => list(cloud.security_group_rules),
    visible: own,
    adminOnly: [],
    known: known(makeRule({...p, security_group_id: '', direction: 'ingress'})),
  },
  {
    plural: 'agents',
    singular: 'agent',
    path: 'agents',
    kind: 'Agent',
    rows: cloud => list(cloud.agents),
    visible: (_, who) => who.admin, // a member gets an empty list, not a refusal
    adminOnly: [],
    known: known(makeAgent({agent_type: '', binary: '', host: ''})),
  },
  {
    plural: 'floatingips',
    singular: 'floatingip',
    path: 'floatingips',
    kind: 'FloatingIP',
    rows: cloud =>
      list(cloud.floatingips).map(row => ({
        ...row,
        port_details: portDetails(cloud, row['port_id'] as string | null) ?? row['port_details'],
      })),
    visible: own,
    adminOnly: [],
    known: known(makeFloatingIp({...p, floating_network_id: '', floating_ip_address: ''})),
  },
  {
    plural: 'subnetpools',
    singular: 'subnetpool',
    path: 'subnetpools',
    kind: 'SubnetPool',
    rows: cloud => list(cloud.subnetpools),
    visible: (cloud, who, row) => own(cloud, who, row) || row['shared'] === true,
    adminOnly: [],
    known: known(makeSubnetPool({...p, prefixes: [], ip_version: 4})),
  },
  {
    plural: 'address_scopes',
    singular: 'address_scope',
    path: 'address-scopes',
    kind: 'AddressScope',
    rows: cloud => list(cloud.address_scopes),
    visible: (cloud, who, row) => own(cloud, who, row) || row['shared'] === true,
    adminOnly: [],
    known: new Set(['id', 'name', 'project_id', 'tenant_id', 'ip_version', 'shared']),
  },
]

/** The row as the caller may see it. */
export function show(resource: Resource, who: Caller, row: Row): Row {
  if (who.admin) return row
  const shown = Object.fromEntries(Object.entries(row).filter(([key]) => !resource.adminOnly.includes(key)))
  // seen on a real cloud: the owner of a network sees others' ports on it, without their names
  if (resource.plural === 'ports' && row['project_id'] !== who.projectId) shown['name'] = ''
  return shown
}
