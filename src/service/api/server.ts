import {randomUUID} from 'node:crypto'

import {type TypeBoxTypeProvider, TypeBoxValidatorCompiler} from '@fastify/type-provider-typebox'
import Fastify, {type FastifyBaseLogger, LogController} from 'fastify'

import {ping} from '../store/gates.ts'
import * as answers from './answers.ts'
import type {Api, Deps} from './deps.ts'
import {fleetRoutes} from './fleet.ts'
import {gateRoutes} from './gates.ts'
import {hostKeyRoutes} from './host-keys.ts'
import {metrics} from './metrics.ts'
import {openapi} from './openapi.ts'
import {pathRoutes} from './paths.ts'
import {answerProblem} from './problems.ts'
import {serviceRoutes} from './service.ts'

const BODY_LIMIT = 64 * 1024
const LONGEST_REQUEST_MS = 150_000

/** The HTTP side of the service; listens to nothing by itself. */
export async function createApi(deps: Deps): Promise<Api> {
  const app = Fastify({
    loggerInstance: deps.context.log as FastifyBaseLogger,
    bodyLimit: BODY_LIMIT,
    requestTimeout: LONGEST_REQUEST_MS,
    genReqId: () => `req-${randomUUID()}`,
    logController: new LogController({disableRequestLogging: true}),
    forceCloseConnections: true,
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  app.setErrorHandler(answerProblem)
  app.addHook('onRequest', async (_, reply) => {
    deps.activity.begin()
    // What its client did not wait for has no response.
    reply.raw.once('close', () => deps.activity.end())
  })
  app.addHook('onSend', async (request, reply) => {
    void reply.header('x-openstack-request-id', request.id).header('cache-control', 'no-store')
  })
  app.addHook('onResponse', async (request, reply) => {
    request.log.info(
      {
        method: request.method,
        url: request.routeOptions.url,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        reqId: request.id,
      },
      'request',
    )
  })
  openapi(app, deps.version)
  app.get('/healthz', {schema: {response: {200: answers.Status}}}, async () => ({
    status: 'ok',
    version: deps.version,
  }))
  app.get('/readyz', {schema: {response: {200: answers.Status, ...answers.problems}}}, async () => {
    await ping(deps.context.db)
    return {status: 'ready', version: deps.version}
  })
  app.get('/v1/ca', {schema: {response: {200: answers.Authorities}}}, async () => {
    const {userCas, hostCas} = deps.context.ca
    return {user_ca: userCas[0] ?? '', host_ca: hostCas[0] ?? '', user_cas: userCas, host_cas: hostCas}
  })
  serviceRoutes(app, deps)
  pathRoutes(app, deps)
  hostKeyRoutes(app, deps)
  gateRoutes(app, deps)
  fleetRoutes(app, deps)
  metrics(app, deps)
  return app
}
