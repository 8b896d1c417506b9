import {TypeBoxValidatorCompiler} from '@fastify/type-provider-typebox'
import Fastify, {type RouteOptions} from 'fastify'

import type {Api} from './deps.ts'

/** GET /openapi.json: what all routes that are added after it take and answer. What describes them is loaded for whoever asks. */
export function openapi(api: Api, version: string): void {
  const routes: RouteOptions[] = []
  let document: Promise<object> | undefined
  api.addHook('onRoute', ({method, url, schema}) => {
    // Fastify adds these by itself.
    if (method === 'HEAD') return
    routes.push({method, url, ...(schema && {schema}), handler: async () => undefined})
  })
  api.get('/openapi.json', {schema: {hide: true}}, async () => {
    document ??= described(routes, version)
    return document
  })
}

async function described(routes: readonly RouteOptions[], version: string): Promise<object> {
  const {default: swagger} = await import('@fastify/swagger')
  // It hears of the routes of one that is being built, and ours is running.
  const copy = Fastify()
  copy.setValidatorCompiler(TypeBoxValidatorCompiler)
  await copy.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'os-ssh service',
        version,
        description: 'Time-limited ways to VMs of OpenStack, through gates, for plain OpenSSH',
      },
    },
  })
  for (const route of routes) copy.route(route)
  await copy.ready()
  return copy.swagger()
}
