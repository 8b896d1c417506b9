import {setTimeout as sleep} from 'node:timers/promises'

import type {FastifyInstance, FastifyRequest} from 'fastify'

import {keystoneForbidden} from '../fault.ts'
import type {Cloud, InjectedFault} from '../state.ts'
import {callerOf} from './caller.ts'

const taken = Symbol('fault')
type Marked = FastifyRequest & {[taken]?: InjectedFault}

/** Does `METHOD /path` (path as a prefix, `*` for one segment, `$` for its end) fit the request? */
export function matches(match: string, method: string, url: string): boolean {
  const [verb = '', path = ''] = match.split(' ')
  if (verb !== '*' && verb !== method) return false
  const have = (url.split('?')[0] ?? '').split('/')
  const want = path.replace(/\$$/, '').split('/')
  if (path.endsWith('$') && want.length !== have.length) return false
  return want.every((part, at) => part === '*' || part === have[at])
}

/** The fault that this request meets, if any: its effect is looked up by those who act on it. */
export function faultOf(request: FastifyRequest): InjectedFault | undefined {
  return (request as Marked)[taken]
}

const body500 = {computeFault: {code: 500, message: 'Injected by the lab'}}

/**
 * Faults on demand, for tests: POST /lab/faults puts one in, GET lists, DELETE clears (admin only). Also
 * PUT /lab/endpoint {"url"} changes the catalog's `ssh` entry, and POST /lab/expire ends every token.
 */
export function faults(app: FastifyInstance, cloud: Cloud): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.url.startsWith('/lab')) return
    const fault = cloud.faults.find(one => one.times !== 0 && matches(one.match, request.method, request.url))
    if (!fault) return
    if (fault.times !== undefined) fault.times--
    ;(request as Marked)[taken] = fault
    if (fault.delay_ms) await sleep(fault.delay_ms)
    if (fault.effect === 'drop') return void request.raw.socket.destroy()
    if (fault.status && (fault.effect ?? 'answer') === 'answer') {
      await reply.code(fault.status).send(fault.body ?? body500)
    }
  })
  app.addHook('onSend', async (request, reply, payload) => {
    const fault = faultOf(request)
    if (fault?.effect !== 'after') return payload
    if (!fault.status) return void request.raw.socket.destroy()
    reply.code(fault.status).header('content-type', 'application/json')
    const text = JSON.stringify(fault.body ?? body500)
    void reply.header('content-length', Buffer.byteLength(text))
    return text
  })
  const admin = (request: FastifyRequest) => {
    if (!callerOf(cloud, request).admin) throw keystoneForbidden('lab')
  }
  app.post<{Body: InjectedFault}>('/lab/faults', (request, reply) => {
    admin(request)
    cloud.faults.push({...request.body})
    return reply.code(201).send(request.body)
  })
  app.get('/lab/faults', request => {
    admin(request)
    return {faults: cloud.faults}
  })
  app.delete('/lab/faults', (request, reply) => {
    admin(request)
    cloud.faults.length = 0
    return reply.code(204).send()
  })
  app.put<{Body: {url?: string}}>('/lab/endpoint', (request, reply) => {
    admin(request)
    cloud.ssh_endpoint = String(request.body?.url ?? '')
    return reply.code(204).send()
  })
  app.post('/lab/expire', (request, reply) => {
    admin(request)
    for (const token of cloud.tokens.values()) token.expires_at = new Date(0)
    return reply.code(204).send()
  })
}
