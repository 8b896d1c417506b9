import type {FastifyInstance} from 'fastify'

import type {Fabric} from '../net/fabric.ts'
import type {Cloud} from '../state.ts'
import {novaActions} from './nova-actions.ts'
import {novaBase, novaContext} from './nova-context.ts'
import {novaExtras} from './nova-extras.ts'
import {novaFlavors} from './nova-flavors.ts'
import {novaGroups} from './nova-groups.ts'
import {novaInterfaces} from './nova-interfaces.ts'
import {novaQuotas} from './nova-quotas.ts'
import {novaServers} from './nova-servers.ts'
import {maxMinor, microversion} from './nova-view.ts'

function versions(app: FastifyInstance, cloud: Cloud): void {
  const version = () => ({
    id: 'v2.1',
    status: 'CURRENT',
    version: `2.${maxMinor}`,
    min_version: '2.1',
    updated: '2013-07-23T11:33:21Z',
    links: [{rel: 'self', href: `${cloud.url}${novaBase}/`}],
  })
  app.get('/compute', () => ({versions: [version()]}))
  app.get(novaBase, () => ({
    version: {
      ...version(),
      'media-types': [{base: 'application/json', type: 'application/vnd.openstack.compute+json;version=2.1'}],
    },
  }))
}

/** Nova 2.1 - 2.93 under /compute. */
export function nova(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.addHook('onRequest', async (request, reply) => {
    if (!request.url.startsWith(`${novaBase}/`)) return
    let minor = 1
    try {
      minor = microversion(request)
    } catch {} // answered by the handler, after the token was looked at
    void reply.header('openstack-api-version', `compute 2.${minor}`)
    void reply.header('x-openstack-nova-api-version', `2.${minor}`)
    void reply.header('vary', 'OpenStack-API-Version, X-OpenStack-Nova-API-Version')
  })
  versions(app, cloud)
  const nova = novaContext(cloud, fabric)
  novaServers(app, nova)
  novaActions(app, nova)
  novaInterfaces(app, nova)
  novaFlavors(app, nova)
  novaGroups(app, nova)
  novaQuotas(app, nova)
  novaExtras(app, nova)
}
