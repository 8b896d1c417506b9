import ipaddr from 'ipaddr.js'

import {neutronFault} from '../fault.ts'
import type {SecurityGroupRuleRecord} from '../state.ts'
import {pick} from './neutron-write.ts'

/* What Neutron asks of a security group rule: neutron/db/securitygroups_db.py. */

type Wanted = Partial<SecurityGroupRuleRecord> & {direction: 'ingress' | 'egress'; ethertype: 'IPv4' | 'IPv6'}

const numbers: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  icmpv6: 58,
  'ipv6-icmp': 58,
  sctp: 132,
  udplite: 136,
}
/** Those with ports, in the order in which Neutron names them. */
const withPorts = ['dccp', 'sctp', 'tcp', 'udp', 'udplite']

const number = (protocol: string): number => numbers[protocol] ?? Number(protocol)
const bad = (type: string, message: string) => neutronFault(400, type, message)

function choice<T extends string>(value: unknown, field: string, allowed: readonly T[]): T {
  const found = allowed.find(one => one === value)
  if (found !== undefined) return found
  const list = allowed.map(one => `'${one}'`).join(', ')
  throw bad('HTTPBadRequest', `Invalid input for ${field}. Reason: '${value}' is not in [${list}].`)
}

function checkPorts(rule: Wanted): void {
  const {port_range_min: min = null, port_range_max: max = null, protocol} = rule
  if (min === null && max === null) return
  if (!protocol)
    throw bad('SecurityGroupProtocolRequiredWithPorts', 'Must also specify protocol if port range is given.')
  const proto = number(protocol)
  if (withPorts.some(name => numbers[name] === proto)) {
    if (min === 0 || max === 0) throw bad('SecurityGroupInvalidPortValue', 'Invalid value for port 0')
    if (min === null || max === null || min > max)
      throw bad(
        'SecurityGroupInvalidPortRange',
        'For TCP/UDP protocols, port_range_min must be <= port_range_max',
      )
    return
  }
  if (proto !== 1 && proto !== 58) {
    const list = withPorts.map(name => name.toUpperCase()).join(', ')
    throw bad(
      'SecurityGroupInvalidProtocolForPort',
      `Ports cannot be specified for protocol ${proto}. Ports are only supported for ${list}.`,
    )
  }
  if (min === null)
    throw bad(
      'SecurityGroupMissingIcmpType',
      `ICMP code (port-range-max) ${max} is provided but ICMP type (port-range-min) is missing.`,
    )
}

/** With its length, and of the rule's family. */
function checkPrefix(rule: Wanted): string | null {
  const prefix = rule.remote_ip_prefix
  if (!prefix) return null
  const whole = prefix.includes('/') ? prefix : `${prefix}/${prefix.includes(':') ? 128 : 32}`
  if (!ipaddr.isValidCIDR(whole))
    throw bad(
      'HTTPBadRequest',
      `Invalid input for remote_ip_prefix. Reason: '${prefix}' is neither a valid IP address, nor is it a valid IP subnet.`,
    )
  if (whole.includes(':') !== (rule.ethertype === 'IPv6'))
    throw bad(
      'SecurityGroupRuleParameterConflict',
      `Conflicting value ethertype ${rule.ethertype} for CIDR ${prefix}`,
    )
  return whole
}

const portOf = (value: unknown): number | null =>
  value === null || value === undefined || value === '' ? null : Number(value)

/** A rule as asked for, with Neutron's defaults. @throws ApiFault 400 with its words */
export function checkRule(given: Record<string, unknown>): Wanted {
  const protocol = given['protocol'] ? String(given['protocol']).toLowerCase() : null
  const rule: Wanted = {
    ...pick(given, ['description', 'remote_group_id', 'remote_ip_prefix']),
    direction: choice(given['direction'], 'direction', ['ingress', 'egress']),
    ethertype: choice(given['ethertype'] ?? 'IPv4', 'ethertype', ['IPv4', 'IPv6']),
    protocol: protocol === 'any' ? null : protocol,
    port_range_min: portOf(given['port_range_min']),
    port_range_max: portOf(given['port_range_max']),
  }
  if (rule.protocol && !(number(rule.protocol) >= 0 && number(rule.protocol) <= 255))
    throw bad(
      'SecurityGroupRuleInvalidProtocol',
      `Security group rule protocol ${rule.protocol} not supported. Only protocol values [${Object.keys(
        numbers,
      )
        .map(name => `'${name}'`)
        .join(', ')}] and integer representations [0 to 255] are supported.`,
    )
  if (rule.ethertype === 'IPv4' && rule.protocol && number(rule.protocol) === 58)
    throw bad(
      'SecurityGroupEthertypeConflictWithProtocol',
      `Invalid ethertype IPv4 for protocol ${rule.protocol}.`,
    )
  if (rule.ethertype === 'IPv6' && rule.protocol && ['icmp', 'icmpv6'].includes(rule.protocol))
    Object.assign(rule, {protocol: 'ipv6-icmp'})
  checkPorts(rule)
  if (rule.remote_ip_prefix && rule.remote_group_id)
    throw bad(
      'SecurityGroupMultipleRemoteEntites',
      'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
    )
  return {...rule, remote_ip_prefix: checkPrefix(rule)}
}

/** Two rules with the same key say the same. */
export function ruleKey(rule: SecurityGroupRuleRecord): string {
  const {direction, ethertype, port_range_max, port_range_min, remote_group_id, security_group_id} = rule
  const prefix =
    rule.remote_ip_prefix === '0.0.0.0/0' || rule.remote_ip_prefix === '::/0' ? null : rule.remote_ip_prefix
  const protocol = rule.protocol === null ? null : number(rule.protocol)
  const parts = [direction, ethertype, port_range_max, port_range_min, protocol, remote_group_id, prefix]
  return [...parts, security_group_id].join('_')
}
