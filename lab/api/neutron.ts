import type {FastifyInstance} from 'fastify'

import {ApiFault, neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Fabric} from '../net/fabric.ts'
import {range} from '../ops/addresses.ts'
import {limits, used} from '../ops/quota.ts'
import type {Cloud, SubnetRecord} from '../state.ts'
import {callerOf} from './caller.ts'
import {floatingIps} from './neutron-floating.ts'
import {securityGroups} from './neutron-groups.ts'
import {cut, listing, type Query} from './neutron-list.ts'
import {networks} from './neutron-networks.ts'
import {ports} from './neutron-ports.ts'
import {type Resource, resources, show} from './neutron-resources.ts'
import {routers} from './neutron-routers.ts'
import {tags} from './neutron-tags.ts'
import {base} from './neutron-write.ts'

type Params = Record<string, string>

function reading(app: FastifyInstance, cloud: Cloud, resource: Resource): void {
  app.get<{Querystring: Query}>(`${base}/${resource.path}`, request => {
    const who = callerOf(cloud, request)
    const rows = resource.rows(cloud).filter(row => resource.visible(cloud, who, row))
    const known = resource.known
    return listing(cloud, request.url, request.query, resource.plural, rows, known, row =>
      show(resource, who, row),
    )
  })
  app.get<{Querystring: Query; Params: Params}>(`${base}/${resource.path}/:id`, request => {
    const who = callerOf(cloud, request)
    const id = request.params['id'] ?? ''
    const row = resource.rows(cloud).find(candidate => candidate['id'] === id)
    if (!row || !resource.visible(cloud, who, row)) throw neutronNotFound(resource.kind, id)
    if (resource.plural === 'ports' && !who.admin && row['project_id'] !== who.projectId) {
      // a quirk of real Neutron: the network's owner gets 404 with the whole port in the body
      throw new ApiFault(404, 'not found', {port: row})
    }
    return {[resource.singular]: cut(show(resource, who, row), request.query)}
  })
}

function quotas(app: FastifyInstance, cloud: Cloud): void {
  const check = (id: string | undefined, who: ReturnType<typeof callerOf>) => {
    if (!who.admin && id !== who.projectId)
      throw neutronFault(
        403,
        'AdminRequired',
        'User does not have admin privileges: Only admin is authorized to access quotas for another project.',
      )
    return id ?? ''
  }
  app.get<{Params: Params}>(`${base}/quotas/:id`, request => ({
    quota: limits(cloud, check(request.params['id'], callerOf(cloud, request))),
  }))
  for (const name of ['details', 'details.json']) {
    app.get<{Params: Params}>(`${base}/quotas/:id/${name}`, request => {
      const id = check(request.params['id'], callerOf(cloud, request))
      const entries = Object.entries(limits(cloud, id))
      return {
        quota: Object.fromEntries(
          entries.map(([resource, limit]) => [
            resource,
            {limit, used: used(cloud, id, resource), reserved: 0},
          ]),
        ),
      }
    })
  }
  app.put<{Params: Params; Body: {quota?: Record<string, number>}}>(`${base}/quotas/:id`, request => {
    if (!callerOf(cloud, request).admin) throw neutronForbidden('rule:update_quota')
    const id = request.params['id'] ?? ''
    cloud.quotas.set(id, {...cloud.quotas.get(id), ...request.body?.quota})
    return {quota: limits(cloud, id)}
  })
}

function availability(app: FastifyInstance, cloud: Cloud): void {
  const size = (subnet: SubnetRecord) => {
    const {version, base: first, last} = range(subnet.cidr)
    return Number(last - first + (version === 4 ? 1n : 0n)) - (subnet.gateway_ip === null ? 0 : 1)
  }
  const view = (networkId: string, version?: string) => {
    const network = cloud.networks.get(networkId)
    const subnets = [...cloud.subnets.values()].filter(
      subnet =>
        subnet.network_id === networkId && (version === undefined || String(subnet.ip_version) === version),
    )
    const rows = subnets.map(subnet => ({
      subnet_id: subnet.id,
      ip_version: subnet.ip_version,
      cidr: subnet.cidr,
      subnet_name: subnet.name,
      used_ips: [...cloud.ports.values()]
        .flatMap(port => port.fixed_ips)
        .filter(ip => ip.subnet_id === subnet.id).length,
      total_ips: size(subnet),
    }))
    const sum = (key: 'used_ips' | 'total_ips') => rows.reduce((total, row) => total + row[key], 0)
    return {
      network_id: networkId,
      network_name: network?.name,
      tenant_id: network?.project_id,
      project_id: network?.project_id,
      used_ips: sum('used_ips'),
      total_ips: sum('total_ips'),
      subnet_ip_availability: rows,
    }
  }
  app.get<{Querystring: Query}>(`${base}/network-ip-availabilities`, request => {
    const {ip_version: version, ...query} = request.query
    const asked = typeof version === 'string' ? version : undefined
    const rows = callerOf(cloud, request).admin ? [...cloud.networks.keys()].map(id => view(id, asked)) : []
    const keys = new Set(['network_id', 'network_name', 'tenant_id', 'project_id'])
    return listing(cloud, request.url, query, 'network_ip_availabilities', rows, keys, row => row)
  })
  app.get<{Params: Params}>(`${base}/network-ip-availabilities/:id`, request => {
    const id = request.params['id'] ?? ''
    if (!callerOf(cloud, request).admin || !cloud.networks.has(id)) throw neutronNotFound('Network', id)
    return {network_ip_availability: view(id)}
  })
}

/** Neutron 2.0 under /network. */
export function neutron(app: FastifyInstance, cloud: Cloud, fabric: Fabric): void {
  app.get('/network', () => ({
    versions: [{id: 'v2.0', status: 'CURRENT', links: [{rel: 'self', href: `${cloud.url}${base}/`}]}],
  }))
  app.get(base, request => {
    callerOf(cloud, request)
    return {
      resources: resources.map(({plural, singular, path}) => ({
        name: singular,
        collection: plural,
        links: [{rel: 'self', href: `${cloud.url}${base}/${path}`}],
      })),
    }
  })
  for (const resource of resources) reading(app, cloud, resource)
  app.get(`${base}/extensions`, request => {
    callerOf(cloud, request)
    return {extensions: [...cloud.extensions].map(extensionView)}
  })
  app.get<{Params: Params}>(`${base}/extensions/:alias`, request => {
    callerOf(cloud, request)
    const alias = request.params['alias'] ?? ''
    if (!cloud.extensions.has(alias))
      throw neutronFault(404, 'ExtensionNotFound', `Extension with alias ${alias} does not exist`)
    return {extension: extensionView(alias)}
  })
  ports(app, cloud, fabric)
  networks(app, cloud, fabric)
  securityGroups(app, cloud, fabric)
  routers(app, cloud, fabric)
  floatingIps(app, cloud, fabric)
  tags(app, cloud)
  quotas(app, cloud)
  availability(app, cloud)
}

function extensionView(alias: string): object {
  return {name: alias, alias, description: alias, updated: '2020-07-15T10:00:00-00:00', links: []}
}
