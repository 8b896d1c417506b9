import type {FastifyInstance} from 'fastify'

import {neutronFault} from '../fault.ts'
import {makeRule} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import {createGroup, touch} from '../ops/networks.ts'
import {checkQuota} from '../ops/quota.ts'
import type {Cloud, SecurityGroupRecord} from '../state.ts'
import {checkRule, ruleKey} from './neutron-rules.ts'
import {answer, base, bodyOf, checkGroups, creator, pick, writable} from './neutron-write.ts'

/** A group with its rules, as it is shown. */
function withRules(cloud: Cloud, group: SecurityGroupRecord): object {
  const rules = [...cloud.security_group_rules.values()].filter(rule => rule.security_group_id === group.id)
  return {...group, security_group_rules: rules}
}

/** Security groups and their rules. */
export function securityGroups(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/security-groups`, (request, reply) => {
    const given = bodyOf(request, 'security_group')
    const {who, projectId} = creator(cloud, request, 'security_group', given)
    if (given['name'] === 'default')
      throw neutronFault(409, 'SecurityGroupDefaultAlreadyExists', 'Default security group already exists.')
    checkQuota(cloud, projectId, 'security_group')
    const group = createGroup(cloud, {
      ...pick(given, ['name', 'description', 'stateful']),
      project_id: projectId,
    })
    return reply.code(201).send(answer(who, 'security_groups', withRules(cloud, group)))
  })
  app.put(`${base}/security-groups/:id`, request => {
    const {who, record} = writable(
      cloud,
      request,
      cloud.security_groups,
      'SecurityGroup',
      'update_security_group',
    )
    const given = bodyOf(request, 'security_group')
    if (record.name === 'default' && given['name'] !== undefined)
      throw neutronFault(
        409,
        'SecurityGroupCannotUpdateDefault',
        'Updating default security group not allowed.',
      )
    Object.assign(record, pick(given, ['name', 'description']))
    touch(record)
    return answer(who, 'security_groups', withRules(cloud, record))
  })
  app.delete(`${base}/security-groups/:id`, async (request, reply) => {
    const {who, record} = writable(
      cloud,
      request,
      cloud.security_groups,
      'SecurityGroup',
      'delete_security_group',
    )
    if ([...cloud.ports.values()].some(port => port.security_groups.includes(record.id))) {
      throw neutronFault(409, 'SecurityGroupInUse', `Security Group ${record.id} in use.`)
    }
    if (record.name === 'default' && !who.admin)
      throw neutronFault(
        409,
        'SecurityGroupCannotRemoveDefault',
        'Insufficient rights for removing default security group.',
      )
    // rules of other groups that name it go, too
    for (const rule of [...cloud.security_group_rules.values()]) {
      if (rule.security_group_id === record.id || rule.remote_group_id === record.id)
        cloud.security_group_rules.delete(rule.id)
    }
    cloud.security_groups.delete(record.id)
    await fabric.syncSecurity()
    return reply.code(204).send()
  })
  app.post(`${base}/security-group-rules`, async (request, reply) => {
    const given = bodyOf(request, 'security_group_rule')
    const {who, projectId} = creator(cloud, request, 'security_group_rule', given)
    const wanted = checkRule(given)
    checkGroups(cloud, who, [given['security_group_id']])
    if (wanted.remote_group_id) checkGroups(cloud, who, [wanted.remote_group_id])
    checkQuota(cloud, projectId, 'security_group_rule')
    const rule = makeRule({
      ...wanted,
      project_id: projectId,
      security_group_id: String(given['security_group_id']),
    })
    const same = [...cloud.security_group_rules.values()].find(one => ruleKey(one) === ruleKey(rule))
    if (same)
      throw neutronFault(
        409,
        'SecurityGroupRuleExists',
        `Security group rule already exists. Rule id is ${same.id}.`,
      )
    cloud.security_group_rules.set(rule.id, rule)
    await fabric.syncSecurity()
    // Its tags are in listings only.
    const {tags: _, ...shown} = rule
    return reply.code(201).send(answer(who, 'security_group_rules', shown))
  })
  app.delete(`${base}/security-group-rules/:id`, async (request, reply) => {
    const {record} = writable(
      cloud,
      request,
      cloud.security_group_rules,
      'SecurityGroupRule',
      'delete_security_group_rule',
    )
    cloud.security_group_rules.delete(record.id)
    await fabric.syncSecurity()
    return reply.code(204).send()
  })
}
