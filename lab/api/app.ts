import {randomUUID} from 'node:crypto'

import fastify, {type FastifyInstance, type FastifyRequest} from 'fastify'

import {ApiFault} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import type {Cloud} from '../state.ts'
import {faults} from './faults.ts'
import {glance} from './glance.ts'
import {keystone} from './keystone.ts'
import {neutron} from './neutron.ts'
import {nova} from './nova.ts'

function serviceOf(request: FastifyRequest): string {
  return request.url.split(/[/?]/)[1] ?? ''
}

/**
 * The cloud's API: Keystone, Nova, Neutron and Glance under /identity, /compute, /network and /image, and /lab for
 * tests. Set `cloud.url` once it listens; `inject()` works without.
 */
export function createLabApi(cloud: Cloud, fabric: Fabric): FastifyInstance {
  const app = fastify({
    routerOptions: {ignoreTrailingSlash: true, maxParamLength: 500},
    forceCloseConnections: true,
    genReqId: () => `req-${randomUUID()}`,
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', {parseAs: 'string'}, (_, text, done) => {
    try {
      done(null, text === '' ? undefined : JSON.parse(text as string))
    } catch {
      done(
        new ApiFault(400, 'Malformed request body', {
          badRequest: {code: 400, message: 'Malformed request body'},
        }),
      )
    }
  })
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-openstack-request-id', request.id)
    if (serviceOf(request) === 'identity') void reply.header('vary', 'X-Auth-Token')
  })
  faults(app, cloud)
  app.setErrorHandler((error, request, reply) => {
    if (!(error instanceof ApiFault)) {
      process.stderr.write(
        `${new Date().toISOString()} ${request.method} ${request.url}: ${(error as Error).stack}\n`,
      )
      const message = 'Unexpected API Error. This is a bug of the lab.'
      return reply.code(500).send({
        computeFault: {code: 500, message},
        error: {code: 500, message, title: 'Internal Server Error'},
      })
    }
    if (error.status === 401) void reply.header('www-authenticate', `Keystone uri="${cloud.url}/identity"`)
    if (typeof error.body === 'string') void reply.type('text/html; charset=UTF-8')
    return reply.code(error.status).send(error.body)
  })
  app.setNotFoundHandler((request, reply) => {
    const message = 'The resource could not be found.'
    if (serviceOf(request) === 'network')
      return reply.code(404).send({NeutronError: {type: 'HTTPNotFound', message, detail: ''}})
    if (serviceOf(request) === 'compute') return reply.code(404).send({itemNotFound: {code: 404, message}})
    return reply.code(404).send({error: {code: 404, message, title: 'Not Found'}})
  })
  keystone(app, cloud)
  nova(app, cloud, fabric)
  neutron(app, cloud, fabric)
  glance(app, cloud)
  return app
}
