import {setTimeout as sleep} from 'node:timers/promises'

import {gates as allGates} from '../store/gates.ts'
import * as answers from './answers.ts'
import type {Api, Deps} from './deps.ts'
import {ServiceQuery} from './schemas.ts'

/** So long the gates have to say who runs them, ms. */
const FRESH_MS = 8000

/** /v1/service: what runs here; where one user alone runs it, they may tell it to leave. */
export function serviceRoutes(api: Api, deps: Deps): void {
  const {context, gates, authenticate, limits, version, since, leave} = deps

  const shown = {querystring: ServiceQuery, response: {200: answers.Service, ...answers.problems}}
  api.get('/v1/service', {schema: shown}, async request => {
    await authenticate(request)
    // Somebody else may have taken the gates over, and they are who knows.
    if (request.query.fresh === true) {
      const all = await allGates(context.db)
      for (const {id} of all) gates.forget(id)
      await Promise.race([
        Promise.all(all.map(({id}) => gates.wake(id))),
        sleep(FRESH_MS, undefined, {ref: false}),
      ])
      context.copy.mustRun()
    }
    const {project} = await context.cloud.identity.token()
    return {
      ...{id: context.serviceId, version, since: new Date(since).toISOString()},
      ...{project_id: project?.id ?? '', project_name: project?.name ?? ''},
      limits: {paths: limits.paths, networks: limits.attachments},
    }
  })

  // Without a token: whoever reaches its socket could as well kill it, and a session that is over must not keep it here.
  if (leave === undefined) return
  api.post('/v1/service/leave', {schema: {hide: true}}, async (_, reply) => {
    leave()
    return reply.code(202).send()
  })
}
