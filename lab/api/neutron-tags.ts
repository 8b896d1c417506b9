import type {FastifyInstance, FastifyRequest} from 'fastify'

import {neutronFault} from '../fault.ts'
import {touch} from '../ops/networks.ts'
import type {Cloud, Standard} from '../state.ts'
import {resources} from './neutron-resources.ts'
import {base, writable} from './neutron-write.ts'

type Params = Record<string, string>

/** Tags of any resource that has them. */
export function tags(app: FastifyInstance, cloud: Cloud): void {
  const find = (request: FastifyRequest): Standard => {
    const {collection = ''} = request.params as Params
    const resource = resources.find(one => one.path === collection)
    const maps: Record<string, Map<string, unknown>> = {
      networks: cloud.networks,
      subnets: cloud.subnets,
      ports: cloud.ports,
      routers: cloud.routers,
      'security-groups': cloud.security_groups,
      floatingips: cloud.floatingips,
    }
    const map = maps[collection] as Map<string, Standard> | undefined
    if (!resource || !map) throw neutronFault(404, 'HTTPNotFound', 'The resource could not be found.')
    return writable(cloud, request, map, resource.kind, `update_${resource.singular}_tags`).record
  }
  app.get(`${base}/:collection/:id/tags`, request => ({tags: find(request).tags}))
  app.put<{Body: {tags?: string[]}}>(`${base}/:collection/:id/tags`, request => {
    const record = find(request)
    record.tags = [...new Set(request.body?.tags ?? [])]
    touch(record)
    return {tags: record.tags}
  })
  app.put<{Params: Params}>(`${base}/:collection/:id/tags/:tag`, (request, reply) => {
    const record = find(request)
    record.tags = [...new Set([...record.tags, request.params['tag'] ?? ''])]
    return reply.code(201).send()
  })
  app.delete<{Params: Params}>(`${base}/:collection/:id/tags/:tag`, (request, reply) => {
    const record = find(request)
    record.tags = record.tags.filter(tag => tag !== request.params['tag'])
    return reply.code(204).send()
  })
}
