import type {CloudConfig} from './config.ts'
import {OpenStackError} from './errors.ts'
import type {Token} from './types.ts'

/** Other names a type had or has in catalogs (the service-types authority's aliases), as far as we use them. */
const aliases: Readonly<Record<string, readonly string[]>> = {
  compute: ['computev21', 'compute_legacy'],
  image: ['imagev2'],
}

/**
 * The URL of a service: the override of the configuration, else the catalog's by interface and region.
 *
 * @param token is asked for only when the catalog is needed
 */
export async function findEndpoint(
  config: CloudConfig,
  type: string,
  token: () => Promise<Token>,
): Promise<string | undefined> {
  const settings = config.services?.[type.replaceAll('-', '_')] ?? {}
  if (settings.endpoint) {
    const project = settings.endpoint.includes('(') ? (await token()).project?.id : undefined
    return settings.endpoint.replace(/[$%]\((project|tenant)_id\)s/g, project ?? '')
  }
  const {catalog} = await token()
  const region = settings.region ?? config.region
  const entries = [type, ...(aliases[type] ?? [])].flatMap(name =>
    catalog.filter(entry => entry.type === name),
  )
  const endpoints = entries.flatMap(entry => entry.endpoints)
  for (const wanted of settings.interface ?? config.interface ?? ['public']) {
    const found = endpoints.find(
      endpoint => plain(endpoint.interface) === wanted && (!region || endpoint.region === region),
    )
    if (found) return found.url
  }
  return undefined
}

/** The fault to throw where a service is needed that `findEndpoint` does not find; says what there is. */
export function noEndpoint(config: CloudConfig, type: string, token: Token): OpenStackError {
  if (token.catalog.length === 0) {
    return new OpenStackError(
      'config',
      'the token has no service catalog: it is not scoped; name a project',
      {service: type},
    )
  }
  const wanted = `${(config.interface ?? ['public']).join('/')} endpoint${config.region ? ` in region ${config.region}` : ''}`
  const there = token.catalog.flatMap(entry =>
    entry.type === type
      ? entry.endpoints.map(({interface: name, region}) => `${plain(name)} in ${region ?? 'no region'}`)
      : [],
  )
  const instead =
    there.length > 0 ? `${type}: ${there.join(', ')}` : token.catalog.map(entry => entry.type).join(', ')
  return new OpenStackError(
    'config',
    `the catalog has no ${wanted} of the ${type} service; it has ${instead}`,
    {service: type},
  )
}

const plain = (name: string) => name.replace(/URL$/, '')
