import type {FastifyInstance, FastifyRequest} from 'fastify'

import {ApiFault, glanceFault, glanceProblem} from '../fault.ts'
import type {Cloud, ImageRecord} from '../state.ts'
import {type Caller, callerOf} from './caller.ts'

function view(image: ImageRecord): object {
  return {
    ...image.properties,
    name: image.name,
    disk_format: image.disk_format,
    container_format: 'bare',
    visibility: image.visibility,
    size: image.size,
    virtual_size: null,
    status: image.status,
    checksum: null,
    protected: false,
    min_ram: image.min_ram,
    min_disk: image.min_disk,
    owner: image.owner,
    os_hidden: false,
    os_hash_algo: null,
    os_hash_value: null,
    id: image.id,
    created_at: image.created_at,
    updated_at: image.created_at,
    tags: [],
    stores: 'fs',
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: '/v2/schemas/image',
  }
}

const denied =
  'This server could not verify that you are authorized to access the document you requested. Either you supplied the wrong credentials (e.g., bad password), or your browser does not understand how to supply the credentials required.'

type Query = Record<string, string | string[] | undefined>

const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value)
const fields = ['name', 'id', 'status', 'container_format', 'disk_format'] as const
const sortKeys: readonly string[] = [
  ...fields,
  'size',
  'virtual_size',
  'min_disk',
  'min_ram',
  'created_at',
  'updated_at',
]
const sizes = {size_min: 'size', min_ram: 'min_ram', min_disk: 'min_disk'} as const
const notFilters = new Set(['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'visibility', 'member_status'])

/** May the caller see it, by its id at least? */
function visible(who: Caller, image: ImageRecord): boolean {
  return (
    who.admin ||
    image.visibility === 'public' ||
    image.visibility === 'community' ||
    image.owner === who.projectId
  )
}

/** Community images of others are listed to those only who ask for them. @throws ApiFault 400 */
function select(cloud: Cloud, who: Caller, query: Query): ImageRecord[] {
  const visibility = one(query['visibility'])
  if (visibility && !['community', 'public', 'private', 'shared', 'all'].includes(visibility))
    throw glanceFault(400, `Invalid visibility value: ${visibility}`)
  const listed = (image: ImageRecord) => {
    if (visibility && visibility !== 'all') return image.visibility === visibility
    return visibility === 'all' || image.visibility !== 'community' || image.owner === who.projectId
  }
  const fits = (image: ImageRecord) => {
    const shown = view(image) as Record<string, unknown>
    return Object.entries(query).every(([key, value]) => {
      if (notFilters.has(key)) return true
      const want = one(value) ?? ''
      if (key === 'size_max') return image.size <= Number(want)
      if (key in sizes) return Number(shown[sizes[key as keyof typeof sizes]]) >= Number(want)
      if (key === 'tag') return (shown['tags'] as string[]).includes(want)
      const several = want.startsWith('in:') && fields.some(field => field === key)
      return (several ? want.slice(3).split(',') : [want]).includes(String(shown[key]))
    })
  }
  return [...cloud.images.values()].filter(image => visible(who, image) && listed(image) && fits(image))
}

/** Newest first, unless `sort` (`key:dir,…`) or `sort_key` and `sort_dir` say otherwise. @throws ApiFault 400 */
function sorted(images: ImageRecord[], query: Query): ImageRecord[] {
  const classic = [query['sort_key'] ?? []].flat()
  const dirs = [query['sort_dir'] ?? []].flat()
  const asked =
    one(query['sort'])?.split(',') ?? classic.map((key, at) => `${key}:${dirs[at] ?? dirs[0] ?? 'desc'}`)
  const keys = (asked.length > 0 ? asked : ['created_at']).map(word => {
    const [key = '', dir = 'desc'] = word.split(':')
    if (!sortKeys.includes(key)) throw glanceFault(400, `Invalid sort key: ${key}.`)
    if (dir !== 'asc' && dir !== 'desc') throw glanceFault(400, `Invalid sort direction: ${dir}`)
    return [key, dir === 'asc' ? 1 : -1] as const
  })
  const value = (image: ImageRecord, key: string) =>
    (view(image) as Record<string, string | number>)[key] ?? ''
  return images.toSorted((a, b) => {
    for (const [key, sign] of [...keys, ['id', 1] as const]) {
      const [x, y] = [value(a, key), value(b, key)]
      if (x !== y) return x < y ? -sign : sign
    }
    return 0
  })
}

/** Glance v2 under /image: reading only. */
export function glance(app: FastifyInstance, cloud: Cloud): void {
  const check = (request: FastifyRequest) => {
    try {
      return callerOf(cloud, request)
    } catch (error) {
      throw error instanceof ApiFault ? glanceFault(401, denied) : error
    }
  }
  const versions = () => ({
    versions: ['v2.15', 'v2.9', 'v2.7', 'v2.0'].map((id, at) => ({
      id,
      status: at === 0 ? 'CURRENT' : 'SUPPORTED',
      links: [{rel: 'self', href: `${cloud.url}/image/v2/`}],
    })),
  })
  app.get('/image', (_, reply) => reply.code(300).send(versions()))
  app.get('/image/versions', versions)
  app.get('/image/v2', (_, reply) => reply.code(300).send(versions()))
  app.get<{Querystring: Query}>('/image/v2/images', request => {
    const who = check(request)
    const {query} = request
    const found = sorted(select(cloud, who, query), query)
    const marker = one(query['marker'])
    const at = marker === undefined ? -1 : found.findIndex(image => image.id === marker)
    if (marker !== undefined && at < 0) throw glanceFault(400, `Image ${marker} not found`)
    const limit = Number(one(query['limit']) ?? 1000)
    if (!Number.isInteger(limit) || limit < 0) throw glanceFault(400, 'limit param must be an integer')
    const page = found.slice(at + 1, at + 1 + limit)
    const last = page.at(-1)
    const more = last && page.length === limit
    const link = (to: string | undefined) => {
      const url = new URL(request.url.replace(/^\/image/, ''), cloud.url)
      if (to === undefined) url.searchParams.delete('marker')
      else url.searchParams.set('marker', to)
      return url.pathname + url.search
    }
    return {
      images: page.map(view),
      first: link(undefined),
      schema: '/v2/schemas/images',
      ...(more ? {next: link(last.id)} : {}),
    }
  })
  app.get<{Params: {id: string}}>('/image/v2/images/:id', request => {
    const who = check(request)
    const known = cloud.images.get(request.params.id)
    const image = known && visible(who, known) ? known : undefined
    const sentence = `No image found with ID ${request.params.id.replace(/[^\w-]/g, '')}`
    if (!image)
      throw request.headers.accept?.includes('json')
        ? glanceProblem(404, sentence)
        : glanceFault(404, sentence)
    return view(image)
  })
}
