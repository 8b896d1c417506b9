import type {Filter} from './calls.ts'
import {findEndpoint, noEndpoint} from './catalog.ts'
import type {Client} from './client.ts'
import {OpenStackError} from './errors.ts'
import {json, nonsense} from './failure.ts'
import {isRecord, type Settings} from './merge.ts'
import {pageOf, queries} from './paging.ts'
import type {ApiRequest} from './request.ts'
import type {HttpAnswer} from './transport.ts'

export interface AdapterTraits {
  readonly type: string
  /** Brings the catalog's URL to the version we speak. */
  readonly versioned: (pathname: string) => string
  /** Headers of every request. */
  readonly headers?: () => Readonly<Record<string, string>>
  /** Learns from 406, the refusal of a microversion; `headers` then gives others. */
  readonly refused?: (answer: HttpAnswer) => void
}

type Extra = Partial<Pick<ApiRequest, 'body' | 'idempotent'>> & {readonly query?: string}

/** One service of a cloud (keystoneauth's word): paths instead of URLs, JSON instead of text, whole listings instead of pages. */
export class Adapter {
  private readonly client: Client
  private readonly traits: AdapterTraits

  constructor(client: Client, traits: AdapterTraits) {
    this.client = client
    this.traits = traits
  }

  /** The JSON object that is answered, or undefined for an empty body. @param path its segments, encoded here */
  async call(method: string, path: readonly string[], extra: Extra = {}): Promise<Settings | undefined> {
    const request = await this.request(method, path, extra)
    const answer = await this.send(request)
    if (answer.body === '') return undefined
    const value = json(request, answer)
    if (!isRecord(value)) throw nonsense(request, 'it is not a JSON object', answer)
    return value
  }

  /** The object under `key` of the answer. @throws OpenStackError `server` when there is none */
  async show(method: string, path: readonly string[], key: string, extra: Extra = {}): Promise<Settings> {
    const value = (await this.call(method, path, extra))?.[key]
    if (!isRecord(value)) throw nonsense(await this.request(method, path, extra), `it has no ${key}`)
    return value
  }

  /** Every entry of a listing, all pages of it. @param key where the answer keeps the entries */
  async list(path: readonly string[], key: string, filter: Filter = {}): Promise<Settings[]> {
    const entries: Settings[] = []
    for (const first of queries(filter)) {
      const seen = new Set<string>()
      for (let query: string | undefined = first; query !== undefined; ) {
        if (seen.has(query) || seen.size >= 10_000) {
          throw nonsense(await this.request('GET', path, {query}), 'its pages go in a circle')
        }
        seen.add(query)
        const request = await this.request('GET', path, {query})
        const answer = await this.send(request)
        const page = pageOf(request, answer, key)
        for (const entry of page.entries) entries.push(entry)
        query = page.next
      }
    }
    return entries
  }

  private async send(request: ApiRequest): Promise<HttpAnswer> {
    const {headers, refused} = this.traits
    const answer = await this.client.request({
      ...request,
      ...(headers && {headers: headers()}),
      ...(refused && {accept: [406]}),
    })
    if (answer.status !== 406) return answer
    refused?.(answer)
    return this.client.request({...request, ...(headers && {headers: headers()})})
  }

  private async request(
    method: string,
    path: readonly string[],
    {query = '', ...rest}: Extra,
  ): Promise<ApiRequest> {
    const {type, versioned} = this.traits
    const endpoint = await findEndpoint(this.client.config, type, () => this.client.token())
    if (!endpoint) throw noEndpoint(this.client.config, type, await this.client.token())
    const url = new URL(endpoint)
    url.pathname = [versioned(url.pathname.replace(/\/+$/, '')), ...path.map(segment)].join('/')
    url.search = query
    return {service: type, method, url, ...rest}
  }
}

/** One segment of a path; what comes from outside cannot leave its place in it. */
function segment(text: string): string {
  // `.` and `..` survive every encoding: URL parsers resolve %2e%2e too.
  if (text === '' || text === '.' || text === '..')
    throw new OpenStackError('bad-request', `${JSON.stringify(text)} cannot be an ID or a name`)
  return encodeURIComponent(text)
}
