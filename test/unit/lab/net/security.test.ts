import {expect, test} from '@jest/globals'

import {makeRule} from '../../../../lab/make.ts'
import {ruleset} from '../../../../lab/net/security.ts'
import {createGroup, createNetwork, createPort, createSubnet} from '../../../../lab/ops/networks.ts'
import {emptyCloud, type SecurityGroupRuleRecord} from '../../../../lab/state.ts'

function world(rule: Partial<SecurityGroupRuleRecord>) {
  const cloud = emptyCloud('x')
  const network = createNetwork(cloud, {project_id: 'p'})
  createSubnet(cloud, {project_id: 'p', network_id: network.id, cidr: '10.0.0.0/24'})
  const group = createGroup(cloud, {project_id: 'p', name: 'g'})
  const made = makeRule({...rule, project_id: 'p', security_group_id: group.id, direction: 'ingress'})
  cloud.security_group_rules.set(made.id, made)
  const port = createPort(cloud, {project_id: 'p', network_id: network.id, security_groups: [group.id]})
  return {cloud, group, network, port}
}

test('admits what a rule names, drops the rest', () => {
  const {cloud, port} = world({
    protocol: 'tcp',
    port_range_min: 22,
    port_range_max: 22,
    remote_ip_prefix: '10.0.0.0/8',
  })
  const text = ruleset(cloud, [port])
  expect(text).toContain('ether type ip ip saddr 10.0.0.0/8 tcp dport 22-22 accept\n drop')
})

test('a rule with a remote group admits the addresses of its members, and nobody while it has none', () => {
  const {cloud, group, network, port} = world({})
  const rule = makeRule({
    project_id: 'p',
    security_group_id: group.id,
    direction: 'ingress',
    remote_group_id: 'friends',
  })
  cloud.security_group_rules.clear()
  cloud.security_group_rules.set(rule.id, rule)
  expect(ruleset(cloud, [port])).not.toContain('ip saddr { 10')
  const friend = createPort(cloud, {project_id: 'p', network_id: network.id, security_groups: ['friends']})
  expect(ruleset(cloud, [port])).toContain(
    `ether type ip ip saddr { ${friend.fixed_ips[0]?.ip_address} } accept`,
  )
})

test('hostile words of a rule never reach nft', () => {
  const {cloud, port} = world({remote_ip_prefix: '0.0.0.0/0 accept\nflush ruleset', protocol: 'tcp\n}'})
  expect(ruleset(cloud, [port])).not.toContain('flush')
})

test('a guest may send from its own addresses only', () => {
  const {cloud, port} = world({})
  const text = ruleset(cloud, [port])
  expect(text).toContain(`ether saddr != ${port.mac_address} drop`)
  expect(text).toContain(`ip saddr != { ${port.fixed_ips[0]?.ip_address} } drop`)
})
