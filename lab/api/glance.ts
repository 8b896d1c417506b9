import type {FastifyInstance, FastifyRequest} from 'fastify'

import {ApiFault, glanceFault, glanceProblem} from '../fault.ts'
import type {Cloud, ImageRecord} from '../state.ts'
import {callerOf} from './caller.ts'

function view(image: ImageRecord): object {
  return {
    ...image.properties,
    name: image.name,
    disk_format: 'qcow2',
    container_format: 'bare',
    visibility: 'public',
    size: 1024,
    virtual_size: null,
    status: 'active',
    checksum: null,
    protected: false,
    min_ram: 0,
    min_disk: 0,
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

/** Glance v2 under /image: reading only. */
export function glance(app: FastifyInstance, cloud: Cloud): void {
  const check = (request: FastifyRequest) => {
    try {
      callerOf(cloud, request)
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
  app.get<{Querystring: {name?: string; limit?: string; marker?: string}}>('/image/v2/images', request => {
    check(request)
    const {name, limit, marker} = request.query
    const found = [...cloud.images.values()].filter(image => name === undefined || image.name === name)
    const after = marker === undefined ? 0 : found.findIndex(image => image.id === marker) + 1
    const page = found.slice(after, limit === undefined ? undefined : after + Number(limit))
    const last = page.at(-1)
    const more = limit !== undefined && last && page.length === Number(limit)
    return {
      images: page.map(view),
      first: '/v2/images',
      schema: '/v2/schemas/images',
      ...(more ? {next: `/v2/images?limit=${limit}&marker=${last.id}`} : {}),
    }
  })
  app.get<{Params: {id: string}}>('/image/v2/images/:id', request => {
    check(request)
    const image = cloud.images.get(request.params.id)
    const sentence = `No image found with ID ${request.params.id.replace(/[^\w-]/g, '')}`
    if (!image)
      throw request.headers.accept?.includes('json')
        ? glanceProblem(404, sentence)
        : glanceFault(404, sentence)
    return view(image)
  })
}
