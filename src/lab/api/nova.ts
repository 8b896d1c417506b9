import type {FastifyInstance, FastifyRequest} from 'fastify'
import {novaFault, novaForbidden} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import type {Cloud, ServerRecord} from '../state.ts'
import {type Caller, callerOf} from './caller.ts'
import {novaExtras} from './nova-extras.ts'
import {novaInterfaces} from './nova-interfaces.ts'
import {novaServers} from './nova-servers.ts'
import {maxMinor, microversion} from './nova-view.ts'

export const novaBase = '/compute/v2.1'

/** What every handler of Nova begins with. */
export interface NovaContext {
  readonly cloud: Cloud
  readonly fabric: Fabric
  /** @throws ApiFault 401, 403 when the token has no project, 406 */
  caller(request: FastifyRequest, rule: string): Caller
  /** Also refuses readers. */
  writer(request: FastifyRequest, rule: string): Caller
  /** @throws ApiFault 404 also for a server of another project, which looks exactly like an unknown one */
  server(who: Caller, id: string | undefined): ServerRecord
}

function context(cloud: Cloud, fabric: Fabric): NovaContext {
  const caller = (request: FastifyRequest, rule: string) => {
    const who = callerOf(cloud, request)
    microversion(request)
    if (who.project === undefined) throw novaForbidden(rule)
    return who
  }
  return {
    cloud,
    fabric,
    caller,
    writer(request, rule) {
      const who = caller(request, rule)
      if (!who.admin && !who.member) throw novaForbidden(rule)
      return who
    },
    server(who, id) {
      const server = cloud.servers.get(id ?? '')
      if (!server || (server.tenant_id !== who.projectId && !who.admin)) {
        throw novaFault(404, `Instance ${id} could not be found.`)
      }
      return server
    },
  }
}

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
  const nova = context(cloud, fabric)
  novaServers(app, nova)
  novaInterfaces(app, nova)
  novaExtras(app, nova)
}
