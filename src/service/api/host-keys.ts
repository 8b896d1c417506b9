import type {HostKeys} from '../../protocol/index.ts'
import {actor} from '../caller.ts'
import {mayEnter, visibleServer} from '../grant.ts'
import {hostKeys, pinnedHostKeys} from '../host-keys.ts'
import {dropPin} from '../store/host-keys.ts'
import * as answers from './answers.ts'
import type {Api, Deps} from './deps.ts'
import {IdParams} from './schemas.ts'

/** /v1/host-keys: what is pinned for a VM; for the members of its project. */
export function hostKeyRoutes(api: Api, {context, authenticate}: Deps): void {
  const visible = async (request: Parameters<Deps['authenticate']>[0], id: string) => {
    const caller = await authenticate(request)
    mayEnter(caller, await visibleServer(caller, id))
    return caller
  }

  const pinned = {params: IdParams, response: {200: answers.HostKeys, ...answers.problems}}
  api.get('/v1/host-keys/:id', {schema: pinned}, async (request): Promise<HostKeys> => {
    const {id} = request.params
    const caller = await visible(request, id)
    const pinned = await pinnedHostKeys(context, id)
    // After a rebuild: learn now, rather than at the next grant. What was never pinned is not pinned by looking.
    const {keys, rebuild} = pinned.keys.length === 0 ? pinned : await hostKeys(context, caller.cloud, id)
    return {server_id: id, host_keys: keys, ...(rebuild && {rebuild})}
  })

  const forgotten = {params: IdParams, response: {204: answers.Nothing, ...answers.problems}}
  api.delete('/v1/host-keys/:id', {schema: forgotten}, async (request, reply) => {
    const {id} = request.params
    const caller = await visible(request, id)
    // What the console shows at the next grant is learned.
    await dropPin(context.db, id, actor(caller), context.clock())
    return reply.code(204).send()
  })
}
