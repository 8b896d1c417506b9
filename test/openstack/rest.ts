import {password} from './configs.ts'
import {api} from './place.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers of the APIs are looked into freely here
export type Json = any

/** A user's session on the real APIs, for what src/openstack has no call for: making a cloud. */
export class Rest {
  readonly token: string
  readonly projectId: string
  readonly userId: string

  private constructor(token: string, projectId: string, userId: string) {
    this.token = token
    this.projectId = projectId
    this.userId = userId
  }

  static async login(user: string, secret = password, project = 'admin'): Promise<Rest> {
    const domain = {id: 'default'}
    const identity = {methods: ['password'], password: {user: {name: user, domain, password: secret}}}
    const answer = await fetch(`${api('identity')}/auth/tokens`, {
      method: 'POST',
      headers: {'content-type': 'application/json'},
      body: JSON.stringify({auth: {identity, scope: {project: {name: project, domain}}}}),
    })
    const body: Json = await answer.json()
    if (answer.status !== 201) throw new Error(`login of ${user}: ${answer.status} ${JSON.stringify(body)}`)
    return new Rest(answer.headers.get('x-subject-token') ?? '', body.token.project.id, body.token.user.id)
  }

  /** @param url whole; @throws Error with the API's words unless it answers 2xx or one of `accept` */
  async call(method: string, url: string, body?: unknown, accept: readonly number[] = []): Promise<Json> {
    const answer = await fetch(url, {
      method,
      headers: {
        'x-auth-token': this.token,
        ...(url.startsWith(api('compute')) ? {'openstack-api-version': 'compute 2.67'} : {}),
        ...(body === undefined ? {} : {'content-type': 'application/json'}),
      },
      ...(body === undefined ? {} : {body: JSON.stringify(body)}),
    })
    const text = await answer.text()
    if (!answer.ok && !accept.includes(answer.status))
      throw new Error(`${method} ${url}: ${answer.status} ${text.slice(0, 600)}`)
    return text.startsWith('{') ? JSON.parse(text) : {}
  }

  neutron(method: string, path: string, body?: unknown): Promise<Json> {
    return this.call(method, `${api('network')}/v2.0/${path}`, body)
  }

  nova(method: string, path: string, body?: unknown): Promise<Json> {
    return this.call(method, `${api('compute')}/${path}`, body)
  }

  keystone(method: string, path: string, body?: unknown): Promise<Json> {
    return this.call(method, `${api('identity')}/${path}`, body)
  }
}
