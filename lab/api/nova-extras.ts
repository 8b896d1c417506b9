import type {FastifyInstance} from 'fastify'

import {generateKeyPair, md5Fingerprint} from '../../src/ssh/keys.ts'
import {novaFault, novaForbidden} from '../fault.ts'
import {stamp} from '../make.ts'
import {computeHosts} from '../ops/servers.ts'
import type {Cloud, Flavor} from '../state.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {keyPairView, microversion} from './nova-view.ts'

type Params = Record<string, string>

function flavorView(cloud: Cloud, flavor: Flavor): object {
  return {
    ...flavor,
    swap: '',
    rxtx_factor: 1,
    'OS-FLV-EXT-DATA:ephemeral': 0,
    'OS-FLV-DISABLED:disabled': false,
    'os-flavor-access:is_public': true,
    links: [{rel: 'self', href: `${cloud.url}${novaBase}/flavors/${flavor.id}`}],
  }
}

function keyPairs(app: FastifyInstance, nova: NovaContext): void {
  const {cloud} = nova
  const path = `${novaBase}/os-keypairs`
  app.get(path, request => {
    const who = nova.caller(request, 'os-keypairs:index')
    const own = [...cloud.keypairs.values()].filter(pair => pair.user_id === who.user.id)
    return {keypairs: own.map(pair => keyPairView(pair, microversion(request), false))}
  })
  app.get<{Params: Params; Querystring: Params}>(`${path}/:name`, request => {
    const who = nova.caller(request, 'os-keypairs:show')
    const user = who.admin ? (request.query['user_id'] ?? who.user.id) : who.user.id
    const pair = cloud.keypairs.get(`${user}/${request.params['name']}`)
    if (!pair) throw novaFault(404, `Keypair ${request.params['name']} not found for user ${user}`)
    return keyPairView(pair, microversion(request), true)
  })
  app.post<{Body: {keypair?: {name?: string; public_key?: string}}}>(path, (request, reply) => {
    const who = nova.caller(request, 'os-keypairs:create')
    const {name, public_key: given} = request.body?.keypair ?? {}
    if (!name || !/^[\w @.-]{1,255}$/.test(name))
      throw novaFault(400, `Invalid input for field/attribute name. Value: ${name}.`)
    if (cloud.keypairs.has(`${who.user.id}/${name}`))
      throw novaFault(409, `Key pair '${name}' already exists.`)
    const made = given === undefined ? generateKeyPair('Generated-by-Nova') : undefined
    const public_key = given?.trim() ?? made?.publicKey ?? ''
    const fingerprint = fingerprintOf(public_key)
    const pair = {
      name,
      user_id: who.user.id,
      public_key,
      fingerprint,
      created_at: stamp(),
    }
    cloud.keypairs.set(`${who.user.id}/${name}`, pair)
    const view = {...pair, type: 'ssh', ...(made ? {private_key: made.privateKey} : {})}
    return reply.code(microversion(request) >= 2 ? 201 : 200).send({keypair: view})
  })
  app.delete<{Params: Params}>(`${path}/:name`, (request, reply) => {
    const who = nova.caller(request, 'os-keypairs:delete')
    if (!cloud.keypairs.delete(`${who.user.id}/${request.params['name']}`)) {
      throw novaFault(404, `Keypair ${request.params['name']} not found for user ${who.user.id}`)
    }
    return reply.code(microversion(request) >= 2 ? 204 : 202).send()
  })
}

function fingerprintOf(public_key: string): string {
  try {
    return md5Fingerprint(public_key)
  } catch {
    throw novaFault(400, 'Keypair data is invalid: failed to generate fingerprint')
  }
}

/** Key pairs, flavors, limits, services: what clients ask besides servers. */
export function novaExtras(app: FastifyInstance, nova: NovaContext): void {
  const {cloud} = nova
  keyPairs(app, nova)
  app.get(`${novaBase}/flavors`, request => {
    nova.caller(request, 'flavors')
    return {flavors: [...cloud.flavors.values()].map(({id, name}) => ({id, name, links: []}))}
  })
  app.get(`${novaBase}/flavors/detail`, request => {
    nova.caller(request, 'flavors')
    return {flavors: [...cloud.flavors.values()].map(flavor => flavorView(cloud, flavor))}
  })
  app.get<{Params: Params}>(`${novaBase}/flavors/:id`, request => {
    nova.caller(request, 'flavors')
    const flavor = cloud.flavors.get(request.params['id'] ?? '')
    if (!flavor) throw novaFault(404, `Flavor ${request.params['id']} could not be found.`)
    return {flavor: flavorView(cloud, flavor)}
  })
  app.get<{Params: Params}>(`${novaBase}/flavors/:id/os-extra_specs`, request => {
    nova.caller(request, 'flavors')
    return {extra_specs: {}}
  })
  app.get(`${novaBase}/limits`, request => {
    const who = nova.caller(request, 'limits')
    const count = [...cloud.servers.values()].filter(server => server.tenant_id === who.projectId).length
    const max = cloud.quotas.get(who.projectId)?.['instances'] ?? 50
    return {
      limits: {
        rate: [],
        absolute: {
          maxTotalInstances: max,
          totalInstancesUsed: count,
          maxTotalCores: 100,
          totalCoresUsed: count,
          maxTotalRAMSize: 100000,
          totalRAMUsed: 64 * count,
          maxTotalKeypairs: 100,
          maxServerMeta: 128,
        },
      },
    }
  })
  app.put<{Params: Params; Body: {quota_set?: {instances?: number}}}>(
    `${novaBase}/os-quota-sets/:project`,
    request => {
      if (!nova.caller(request, 'os-quota-sets:update').admin) throw novaForbidden('os-quota-sets:update')
      const {instances} = request.body.quota_set ?? {}
      const project = request.params['project'] ?? ''
      if (instances !== undefined) cloud.quotas.set(project, {...cloud.quotas.get(project), instances})
      return {quota_set: {instances: cloud.quotas.get(project)?.['instances'] ?? 50}}
    },
  )
  app.get(`${novaBase}/os-services`, request => {
    if (!nova.caller(request, 'os-services:list').admin) throw novaForbidden('os-services:list')
    const services = computeHosts.map((host, at) => ({
      binary: 'nova-compute',
      host,
      id: at + 4,
      zone: 'nova',
      status: 'enabled',
      state: 'up',
      updated_at: stamp().replace('Z', '.000000'),
      disabled_reason: null,
    }))
    return {services}
  })
  app.get(`${novaBase}/os-availability-zone`, request => {
    nova.caller(request, 'os-availability-zone:list')
    return {availabilityZoneInfo: [{zoneName: 'nova', zoneState: {available: true}, hosts: null}]}
  })
  app.get(`${novaBase}/extensions`, request => {
    nova.caller(request, 'extensions')
    return {extensions: []}
  })
}
