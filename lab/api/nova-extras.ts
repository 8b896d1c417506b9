import type {FastifyInstance} from 'fastify'

import {generateKeyPair, md5Fingerprint} from '../../src/ssh/keys.ts'
import {novaFault, novaForbidden} from '../fault.ts'
import {stamp} from '../make.ts'
import {computeHosts, zoneNames, zoneOf} from '../ops/hosts.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {keyPairView, microversion} from './nova-view.ts'

type Params = Record<string, string>

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

function zones(app: FastifyInstance, nova: NovaContext): void {
  const path = `${novaBase}/os-availability-zone`
  const view = (hosts: (zone: string) => object | null) => ({
    availabilityZoneInfo: zoneNames.map(zone => ({
      zoneName: zone,
      zoneState: {available: true},
      hosts: hosts(zone),
    })),
  })
  app.get(path, request => {
    nova.caller(request, 'os-availability-zone:list')
    return view(() => null)
  })
  app.get(`${path}/detail`, request => {
    if (!nova.caller(request, 'os-availability-zone:detail').admin)
      throw novaForbidden('os-availability-zone:detail')
    const service = {'nova-compute': {available: true, active: true, updated_at: stamp()}}
    return view(zone =>
      Object.fromEntries(computeHosts.filter(host => zoneOf(host) === zone).map(host => [host, service])),
    )
  })
}

/** Key pairs, services, zones: what clients ask besides servers. */
export function novaExtras(app: FastifyInstance, nova: NovaContext): void {
  keyPairs(app, nova)
  app.get(`${novaBase}/os-services`, request => {
    if (!nova.caller(request, 'os-services:list').admin) throw novaForbidden('os-services:list')
    const services = computeHosts.map((host, at) => ({
      binary: 'nova-compute',
      host,
      id: at + 4,
      zone: zoneOf(host),
      status: 'enabled',
      state: 'up',
      updated_at: stamp().replace('Z', '.000000'),
      disabled_reason: null,
    }))
    return {services}
  })
  zones(app, nova)
  app.get(`${novaBase}/extensions`, request => {
    nova.caller(request, 'extensions')
    return {extensions: []}
  })
}
