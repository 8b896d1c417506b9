import type {FastifyInstance} from 'fastify'

import {novaFault} from '../fault.ts'
import type {Cloud, Flavor} from '../state.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {microversion} from './nova-view.ts'

type Params = Record<string, string>

function view(cloud: Cloud, flavor: Flavor, minor: number): object {
  const {extra_specs, ...plain} = flavor
  return {
    ...plain,
    swap: minor >= 75 ? 0 : '',
    rxtx_factor: 1,
    'OS-FLV-EXT-DATA:ephemeral': 0,
    'OS-FLV-DISABLED:disabled': false,
    'os-flavor-access:is_public': true,
    links: [{rel: 'self', href: `${cloud.url}${novaBase}/flavors/${flavor.id}`}],
    ...(minor >= 55 ? {description: null} : {}),
    ...(minor >= 61 ? {extra_specs} : {}),
  }
}

/** @throws ApiFault 400 */
function select(cloud: Cloud, query: Params): Flavor[] {
  const least = (key: 'minRam' | 'minDisk') => {
    const asked = query[key] ?? '0'
    if (!/^\d+$/.test(asked)) throw novaFault(400, `Invalid ${key} filter [${asked}]`)
    return Number(asked)
  }
  const [ram, disk] = [least('minRam'), least('minDisk')]
  return [...cloud.flavors.values()].filter(flavor => flavor.ram >= ram && flavor.disk >= disk)
}

/** One page. @throws ApiFault 400 */
function page(found: Flavor[], {limit, marker}: Params): Flavor[] {
  const at = marker === undefined ? -1 : found.findIndex(flavor => flavor.id === marker)
  if (marker !== undefined && at < 0) throw novaFault(400, `marker [${marker}] not found`)
  return found.slice(at + 1, at + 1 + (Number(limit) || 1000))
}

/** Flavors: reading only. */
export function novaFlavors(app: FastifyInstance, nova: NovaContext): void {
  const {cloud} = nova
  const path = `${novaBase}/flavors`
  const find = (id: string | undefined) => {
    const flavor = cloud.flavors.get(id ?? '')
    if (!flavor) throw novaFault(404, `Flavor ${id} could not be found.`)
    return flavor
  }
  for (const [name, detailed] of [['', false] as const, ['/detail', true] as const]) {
    app.get<{Querystring: Params}>(`${path}${name}`, request => {
      nova.caller(request, 'flavors')
      const found = select(cloud, request.query)
      const shown = page(found, request.query)
      const flavors = shown.map(flavor =>
        detailed
          ? view(cloud, flavor, microversion(request))
          : {
              id: flavor.id,
              name: flavor.name,
              links: [{rel: 'self', href: `${cloud.url}${path}/${flavor.id}`}],
            },
      )
      const last = shown.at(-1)
      const url = new URL(cloud.url + request.url)
      url.searchParams.set('marker', last?.id ?? '')
      const more = request.query['limit'] !== undefined && shown.length === Number(request.query['limit'])
      return {flavors, ...(more && last ? {flavors_links: [{rel: 'next', href: url.href}]} : {})}
    })
  }
  app.get<{Params: Params}>(`${path}/:id`, request => {
    nova.caller(request, 'flavors')
    return {flavor: view(cloud, find(request.params['id']), microversion(request))}
  })
  app.get<{Params: Params}>(`${path}/:id/os-extra_specs`, request => {
    nova.caller(request, 'flavors')
    return {extra_specs: find(request.params['id']).extra_specs}
  })
}
