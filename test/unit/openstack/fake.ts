import {readFileSync} from 'node:fs'
import {createServer, type IncomingHttpHeaders} from 'node:http'
import type {AddressInfo} from 'node:net'
import {text} from 'node:stream/consumers'

export interface Recorded {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** An answer that a real OpenStack (Zed) gave, see test/fixtures/openstack. */
export function recorded(name: string): Recorded {
  const file = new URL(`../../fixtures/openstack/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8'))
}

export interface Asked {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  // biome-ignore lint/suspicious/noExplicitAny: tests look deep into what was sent
  readonly body: any
}

/** What to answer; `drop` closes the connection instead, `silence` leaves it open. */
export type Answer = Partial<Recorded> | 'drop' | 'silence'
type Route = (asked: Asked) => Answer | Promise<Answer>

export interface Fake {
  readonly url: string
  readonly asked: Asked[]
  /** The requests of one path, its query left out. */
  to(path: string): Asked[]
  /** Answers in turn, the last one for ever. @param path without query */
  on(method: string, path: string, ...answers: (Answer | Route)[]): void
  close(): Promise<void>
}

/** An HTTP server on loopback that has a Keystone, gives token-1, token-2, …, and what else `on` says. */
export async function startFake(): Promise<Fake> {
  const asked: Asked[] = []
  const routes = new Map<string, (Answer | Route)[]>()
  const server = createServer(async (request, response) => {
    const body = await text(request)
    const one = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: request.headers,
      body: body && JSON.parse(body),
    }
    asked.push(one)
    const answers = routes.get(`${one.method} ${one.path.split('?')[0]}`) ?? [
      {status: 404, body: {error: {message: 'no such route'}}},
    ]
    const next = answers.length > 1 ? answers.shift() : answers[0]
    const answer = (typeof next === 'function' ? await next(one) : next) as Answer
    if (answer === 'drop') return request.socket.destroy()
    if (answer === 'silence') return
    const json =
      typeof answer.body === 'string'
        ? answer.body
        : answer.body === undefined
          ? ''
          : JSON.stringify(answer.body)
    response
      .writeHead(answer.status ?? 200, {'content-type': 'application/json', ...answer.headers})
      .end(json)
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const fake: Fake = {
    url,
    asked,
    to: path => asked.filter(one => one.path.split('?')[0] === path),
    on: (method, path, ...answers) => void routes.set(`${method} ${path}`, answers),
    async close() {
      server.closeAllConnections()
      await new Promise(done => server.close(done))
    },
  }
  let tokens = 0
  fake.on('POST', '/v3/auth/tokens', () => issue(url, `token-${++tokens}`))
  return fake
}

/** Keystone's recorded answer with the fake's addresses in its catalog. @param life seconds */
export function issue(url: string, id: string, life = 3600): Recorded {
  const answer = recorded('keystone-auth-token-application-credential')
  const json = JSON.stringify(answer.body).replace(/http:\/\/127\.0\.0\.1:\d+/g, url)
  const body = JSON.parse(json)
  body.token.issued_at = new Date().toISOString()
  body.token.expires_at = new Date(Date.now() + life * 1000).toISOString()
  return {...answer, headers: {'x-subject-token': id}, body}
}
