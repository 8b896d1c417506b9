import type {FastifyInstance} from 'fastify'

import {neutronFault} from '../fault.ts'
import {makeRule} from '../make.ts'
import type {Fabric} from '../net/fabric.ts'
import {createGroup} from '../ops/networks.ts'
import {checkQuota} from '../ops/quota.ts'
import type {Cloud, SecurityGroupRuleRecord} from '../state.ts'
import {answer, base, bodyOf, checkGroups, creator, pick, writable} from './neutron-write.ts'

/** Security groups and their rules. */
export function securityGroups(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.post(`${base}/security-groups`, (request, reply) => {
    const given = bodyOf(request, 'security_group')
    const {who, projectId} = creator(cloud, request, 'security_group', given)
    checkQuota(cloud, projectId, 'security_group')
    const group = createGroup(cloud, {
      ...pick(given, ['name', 'description', 'stateful']),
      project_id: projectId,
    })
    const rules = [...cloud.security_group_rules.values()].filter(rule => rule.security_group_id === group.id)
    return reply.code(201).send(answer(who, 'security_groups', {...group, security_group_rules: rules}))
  })
  app.delete(`${base}/security-groups/:id`, (request, reply) => {
    const {record} = writable(cloud, request, cloud.security_groups, 'SecurityGroup', 'delete_security_group')
    if ([...cloud.ports.values()].some(port => port.security_groups.includes(record.id))) {
      throw neutronFault(409, 'SecurityGroupInUse', `Security Group ${record.id} in use.`)
    }
    for (const rule of [...cloud.security_group_rules.values()]) {
      if (rule.security_group_id === record.id) cloud.security_group_rules.delete(rule.id)
    }
    cloud.security_groups.delete(record.id)
    return reply.code(204).send()
  })
  app.post(`${base}/security-group-rules`, async (request, reply) => {
    const given = bodyOf(request, 'security_group_rule')
    const {who, projectId} = creator(cloud, request, 'security_group_rule', given)
    checkGroups(cloud, who, [given['security_group_id']])
    if (given['remote_group_id']) checkGroups(cloud, who, [given['remote_group_id']])
    checkQuota(cloud, projectId, 'security_group_rule')
    const wanted = pick(given, [
      'description',
      'ethertype',
      'protocol',
      'port_range_min',
      'port_range_max',
      'remote_ip_prefix',
      'remote_group_id',
    ]) as Partial<SecurityGroupRuleRecord>
    const direction = given['direction'] === 'egress' ? 'egress' : 'ingress'
    const rule = makeRule({
      ...wanted,
      project_id: projectId,
      security_group_id: String(given['security_group_id']),
      direction,
    })
    cloud.security_group_rules.set(rule.id, rule)
    await fabric.syncSecurity()
    return reply.code(201).send(answer(who, 'security_group_rules', rule))
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
