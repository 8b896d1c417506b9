import {beforeEach, describe, expect, test} from '@jest/globals'

import {type Ask, paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
let alice: Ask
beforeEach(async () => {
  lab = await paperLab()
  alice = await lab.as('tenant1')
})
const groups = '/network/v2.0/security-groups'
const rules = '/network/v2.0/security-group-rules'

const create = async (name = 'gate') =>
  (await alice('POST', groups, {security_group: {name}})).body.security_group
const addRule = (id: string, rule: object) =>
  alice('POST', rules, {security_group_rule: {security_group_id: id, direction: 'ingress', ...rule}})
const ssh = {protocol: 'tcp', port_range_min: 22, port_range_max: 22}

describe('a security group', () => {
  test('begins with egress for both families, and shows its rules', async () => {
    const {id, security_group_rules: first} = await create()
    expect(first.map((rule: {ethertype: string}) => rule.ethertype).sort()).toEqual(['IPv4', 'IPv6'])
    await addRule(id, {...ssh, remote_ip_prefix: '198.51.100.7'})
    const shown = (await alice('GET', `${groups}/${id}`)).body.security_group
    expect(shown.security_group_rules).toHaveLength(3)
    expect(shown.security_group_rules.at(-1)).toMatchObject({remote_ip_prefix: '198.51.100.7/32'})
    const renamed = await alice('PUT', `${groups}/${id}`, {security_group: {name: 'new'}})
    expect(renamed.body.security_group.name).toBe('new')
  })

  test('in use is not deleted; deleted, it takes the rules that name it', async () => {
    const [one, two] = [await create('one'), await create('two')]
    const {body} = await addRule(one.id, {remote_group_id: two.id})
    const port = lab.cloud.servers.get(lab.id('t1-web'))?.ports[0]
    await alice('PUT', `/network/v2.0/ports/${port}`, {port: {security_groups: [two.id]}})
    const refused = await alice('DELETE', `${groups}/${two.id}`)
    expect([refused.status, refused.body.NeutronError]).toEqual([
      409,
      {type: 'SecurityGroupInUse', message: `Security Group ${two.id} in use.`, detail: ''},
    ])
    await alice('PUT', `/network/v2.0/ports/${port}`, {port: {security_groups: []}})
    expect((await alice('DELETE', `${groups}/${two.id}`)).status).toBe(204)
    const gone = await alice('GET', `${rules}/${body.security_group_rule.id}`)
    expect(gone.body.NeutronError.message).toBe(
      `Security group rule ${body.security_group_rule.id} does not exist`,
    )
  })

  test('called default is one only, stays and keeps its name', async () => {
    expect((await alice('POST', groups, {security_group: {name: 'default'}})).body.NeutronError.type).toBe(
      'SecurityGroupDefaultAlreadyExists',
    )
    const [found] = (await alice('GET', `${groups}?name=default`)).body.security_groups
    const renamed = await alice('PUT', `${groups}/${found.id}`, {security_group: {name: 'x'}})
    expect(renamed.body.NeutronError.type).toBe('SecurityGroupCannotUpdateDefault')
    for (const port of lab.cloud.ports.values())
      port.security_groups = port.security_groups.filter(id => id !== found.id)
    const refused = await alice('DELETE', `${groups}/${found.id}`)
    expect(refused.body.NeutronError.type).toBe('SecurityGroupCannotRemoveDefault')
  })
})

describe('a rule', () => {
  test('that is there already is refused with its id, also when it says the same in other words', async () => {
    const {id} = await create()
    const {body} = await addRule(id, ssh)
    for (const same of [ssh, {...ssh, remote_ip_prefix: '0.0.0.0/0'}, {...ssh, protocol: '6'}]) {
      const {status, body: answer} = await addRule(id, same)
      expect([status, answer.NeutronError.message]).toEqual([
        409,
        `Security group rule already exists. Rule id is ${body.security_group_rule.id}.`,
      ])
    }
    expect((await addRule(id, {...ssh, ethertype: 'IPv6'})).status).toBe(201)
  })

  test.each([
    [{ethertype: 'IPv6', remote_ip_prefix: '10.0.0.0/8'}, 'SecurityGroupRuleParameterConflict'],
    [{remote_ip_prefix: '10.0.0.0/99'}, 'HTTPBadRequest'],
    [{port_range_min: 22, port_range_max: 22}, 'SecurityGroupProtocolRequiredWithPorts'],
    [{...ssh, port_range_max: 21}, 'SecurityGroupInvalidPortRange'],
    [{protocol: 'tcp', port_range_min: 0, port_range_max: 1}, 'SecurityGroupInvalidPortValue'],
    [{protocol: 'gre2'}, 'SecurityGroupRuleInvalidProtocol'],
    [{protocol: 'ipv6-icmp'}, 'SecurityGroupEthertypeConflictWithProtocol'],
    [{direction: 'in'}, 'HTTPBadRequest'],
  ])('is refused when it makes no sense: %j', async (rule, type) => {
    const {id} = await create()
    const {status, body} = await addRule(id, rule)
    expect([status, body.NeutronError.type]).toEqual([400, type])
  })
})
