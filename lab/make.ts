/** Factories: a record with everything a fresh one has, so that callers say only what matters. */
import {randomBytes, randomUUID} from 'node:crypto'

import type {
  AgentRecord,
  FloatingIpRecord,
  NetworkRecord,
  PortRecord,
  RouterRecord,
  SecurityGroupRecord,
  SecurityGroupRuleRecord,
  Standard,
  SubnetPoolRecord,
  SubnetRecord,
} from './records.ts'

/** Now, to the second, as OpenStack writes it. */
export function stamp(date = new Date()): string {
  return `${date.toISOString().slice(0, 19)}Z`
}

/** Keystone's kind of id: 32 hexadecimal digits. */
export function hexId(): string {
  return randomBytes(16).toString('hex')
}

/** A MAC address under Neutron's default prefix. */
export function newMac(): string {
  return `fa:16:3e:${[...randomBytes(3)].map(byte => byte.toString(16).padStart(2, '0')).join(':')}`
}

function standard(project_id: string): Standard {
  const now = stamp()
  return {
    id: randomUUID(),
    name: '',
    project_id,
    tenant_id: project_id,
    description: '',
    tags: [],
    created_at: now,
    updated_at: now,
    revision_number: 1,
  }
}

type Given<T> = Partial<T> & {project_id: string}

/** A tenant network on VXLAN, MTU 1450, unless told otherwise. */
export function makeNetwork(given: Given<NetworkRecord>): NetworkRecord {
  return {
    ...standard(given.project_id),
    admin_state_up: true,
    mtu: 1450,
    status: 'ACTIVE',
    subnets: [],
    shared: false,
    availability_zone_hints: [],
    availability_zones: ['nova'],
    ipv4_address_scope: null,
    ipv6_address_scope: null,
    'router:external': false,
    port_security_enabled: true,
    l2_adjacency: true,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
    'provider:segmentation_id': 1000 + Math.floor(Math.random() * 1000),
    ...given,
  }
}

/** A subnet; put its id into the network's `subnets` yourself, or use ops.createSubnet. */
export function makeSubnet(given: Given<SubnetRecord> & {network_id: string; cidr: string}): SubnetRecord {
  return {
    ...standard(given.project_id),
    ip_version: given.cidr.includes(':') ? 6 : 4,
    subnetpool_id: null,
    enable_dhcp: true,
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    gateway_ip: null,
    allocation_pools: [],
    host_routes: [],
    dns_nameservers: [],
    service_types: [],
    ...given,
  }
}

/** A port that is not bound to anything. */
export function makePort(given: Given<PortRecord> & {network_id: string}): PortRecord {
  return {
    ...standard(given.project_id),
    mac_address: newMac(),
    admin_state_up: true,
    status: 'DOWN',
    device_id: '',
    device_owner: '',
    fixed_ips: [],
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    security_groups: [],
    'binding:vnic_type': 'normal',
    'binding:profile': {},
    'binding:host_id': '',
    'binding:vif_type': 'unbound',
    'binding:vif_details': {},
    port_security_enabled: true,
    ip_allocation: 'immediate',
    ...given,
  }
}

/** A legacy router (not distributed, not HA) without a gateway. */
export function makeRouter(given: Given<RouterRecord>): RouterRecord {
  return {
    ...standard(given.project_id),
    admin_state_up: true,
    status: 'ACTIVE',
    external_gateway_info: null,
    availability_zones: ['nova'],
    availability_zone_hints: [],
    distributed: false,
    ha: false,
    routes: [],
    conntrack_helpers: [],
    flavor_id: null,
    ...given,
  }
}

/** An agent that is alive. */
export function makeAgent(
  given: Partial<AgentRecord> & {agent_type: string; binary: string; host: string},
): AgentRecord {
  const now = stamp().replace('T', ' ').replace('Z', '')
  return {
    id: randomUUID(),
    topic: 'N/A',
    admin_state_up: true,
    created_at: now,
    started_at: now,
    heartbeat_timestamp: now,
    description: null,
    resources_synced: null,
    availability_zone: null,
    alive: true,
    configurations: {},
    ...given,
  }
}

/** A floating IP that is not associated. */
export function makeFloatingIp(
  given: Given<FloatingIpRecord> & {floating_network_id: string; floating_ip_address: string},
): FloatingIpRecord {
  const {name: _, ...rest} = standard(given.project_id)
  return {
    ...rest,
    router_id: null,
    port_id: null,
    fixed_ip_address: null,
    status: 'DOWN',
    port_details: null,
    port_forwardings: [],
    ...given,
  }
}

/** A security group without rules. */
export function makeSecurityGroup(given: Given<SecurityGroupRecord>): SecurityGroupRecord {
  return {...standard(given.project_id), stateful: true, shared: false, ...given}
}

/** A rule that admits everything in its direction. */
export function makeRule(
  given: Given<SecurityGroupRuleRecord> & {security_group_id: string; direction: 'ingress' | 'egress'},
): SecurityGroupRuleRecord {
  const {name: _, ...rest} = standard(given.project_id)
  return {
    ...rest,
    ethertype: 'IPv4',
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_address_group_id: null,
    normalized_cidr: given.remote_ip_prefix ?? null,
    remote_group_id: null,
    ...given,
  }
}

/** A subnet pool. */
export function makeSubnetPool(
  given: Given<SubnetPoolRecord> & {prefixes: string[]; ip_version: 4 | 6},
): SubnetPoolRecord {
  return {
    ...standard(given.project_id),
    default_prefixlen: given.ip_version === 4 ? '26' : '64',
    min_prefixlen: given.ip_version === 4 ? '8' : '64',
    max_prefixlen: given.ip_version === 4 ? '32' : '128',
    address_scope_id: null,
    shared: false,
    is_default: false,
    default_quota: null,
    ...given,
  }
}
