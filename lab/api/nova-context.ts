import type {FastifyRequest} from 'fastify'

import {novaFault, novaForbidden} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import type {Cloud, ServerRecord} from '../state.ts'
import {type Caller, callerOf} from './caller.ts'
import {microversion} from './nova-view.ts'

/** Where Nova's API lies. */
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

/** The context of Nova's handlers. */
export function novaContext(cloud: Cloud, fabric: Fabric): NovaContext {
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
