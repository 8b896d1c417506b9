import {readFileSync} from 'node:fs'
import {isIP} from 'node:net'

import {catalogue, type ErrorCode, OsSshError} from '../errors.ts'
import {type ProxySettings, proxyOf, reasonOf} from '../openstack/index.ts'
import type {Problem} from '../protocol/index.ts'

// Not by `import`, which reads all that it has, undici included: 20 ms and 16 MB (test/unit/architecture.test.ts).
const {Agent: HttpAgent, request: http} = process.getBuiltinModule('node:http')

/** Longest answer that is read, bytes. */
const MAX_ANSWER = 16 * 1024 * 1024

export interface SshServiceOptions {
  /** `http(s)://…` or `unix:/path/of/socket`. */
  readonly endpoint: string
  readonly token: () => Promise<string>
  readonly cacert?: string | undefined
  readonly verify?: boolean | undefined
  readonly proxy?: ProxySettings | undefined
  /** Per request, ms. Default 60,000: a crowd waits its turn before the service's own long poll begins. */
  readonly timeout?: number | undefined
}

/** The SSH service over HTTP; every method throws OsSshError with the service's own code. */
export interface SshService {
  readonly endpoint: string
  request<T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<T>
}

/** A client of the SSH service. node:http alone: it takes Unix sockets, and starts 90 ms sooner than undici. */
export function sshServiceClient(options: SshServiceOptions): SshService {
  return {
    endpoint: options.endpoint,
    async request<T>(method: string, path: string, body?: unknown) {
      const {status, text} = await exchange(options, method, path, body)
      if (status === 204 || (text === '' && status < 300)) return undefined as T
      const answer = parse(text)
      if (status < 300 && answer !== undefined) return answer as T
      throw problem(status, answer, options.endpoint)
    },
  }
}

function exchange(options: SshServiceOptions, method: string, path: string, body: unknown) {
  const {target, send, by} = address(options, path)
  const timeout = options.timeout ?? 60_000
  const content = body === undefined ? undefined : JSON.stringify(body)
  return new Promise<{status: number; text: string}>((resolve, reject) => {
    const down = (cause: Error) =>
      reject(
        new OsSshError(
          'SERVICE_DOWN',
          `the SSH service at ${options.endpoint} does not answer: ${reasonOf(cause, by)}`,
          {cause},
        ),
      )
    options.token().then(token => {
      const headers = {
        accept: 'application/json',
        'x-auth-token': token,
        ...(content !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(content),
        }),
      }
      const request = send({...target, method, headers}, response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', chunk => {
          text += chunk
          if (text.length > MAX_ANSWER) response.destroy(new Error('its answer is too long'))
        })
        response.on('error', down)
        response.on('end', () => resolve({status: response.statusCode ?? 0, text}))
      })
      // Not request.setTimeout(), which begins when there is a connection.
      const timer = setTimeout(() => {
        const late = new Error(`no whole answer within ${timeout / 1000} s`)
        down(late)
        request.destroy(late)
      }, timeout)
      request.on('error', down)
      request.on('close', () => clearTimeout(timer))
      request.end(content)
    }, reject)
  })
}

/** Where to send it, and by which proxy, if any. */
function address({endpoint, cacert, verify, proxy}: SshServiceOptions, path: string) {
  if (endpoint.startsWith('unix:')) {
    const socketPath = endpoint.slice('unix:'.length)
    return {target: {socketPath, path, host: 'localhost', agent: false as const}, send: http, by: undefined}
  }
  const base = URL.parse(endpoint)
  if (base?.protocol !== 'http:' && base?.protocol !== 'https:') {
    throw new OsSshError('CONFIG', `the SSH service's address is neither a URL nor unix:PATH: ${endpoint}`)
  }
  const by = proxyOf(base, proxy)
  // Node itself decides by these whether a request goes by one.
  const proxyEnv = proxy && Object.keys(proxy).length > 0 ? {...proxy} : undefined
  // A catalog's URL may end in /v1 or have a prefix of a proxy.
  const prefix = base.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')
  const target = {host: base.hostname.replace(/^\[|\]$/g, ''), port: base.port, path: prefix + path}
  if (base.protocol === 'http:')
    return {
      target: {...target, agent: proxyEnv ? new HttpAgent({proxyEnv}) : (false as const)},
      send: http,
      by,
    }
  // Loaded only where it is spoken.
  const {Agent: HttpsAgent, request: https} = process.getBuiltinModule('node:https')
  const trust = {...(cacert && {ca: readFileSync(cacert)}), rejectUnauthorized: verify !== false}
  const agent = proxyEnv ? new HttpsAgent({proxyEnv, ...trust}) : (false as const)
  // An address is no name that TLS could be asked for (RFC 6066).
  const name = isIP(target.host) === 0 ? {servername: target.host} : {}
  return {target: {...target, ...trust, ...name, agent}, send: https, by}
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A problem document as the fault it names; without one, what the status says. */
function problem(status: number, answer: unknown, endpoint: string): OsSshError {
  const {code, detail, hint, title, request_id} = (answer ?? {}) as Partial<Problem>
  const said =
    typeof detail === 'string' ? detail : typeof title === 'string' ? title : `HTTP status ${status}`
  const message = request_id && status >= 500 ? `${said} (request ${request_id})` : said
  if (typeof code === 'string' && Object.hasOwn(catalogue, code)) {
    return new OsSshError(code as ErrorCode, message, typeof hint === 'string' ? {hint} : {})
  }
  if (status === 401) return new OsSshError('NOT_LOGGED_IN', said)
  if (status === 403) return new OsSshError('DENIED', said)
  if (status === 404 && answer !== undefined) return new OsSshError('NOT_FOUND', said)
  if (status === 429 || status === 503) return new OsSshError('BUSY', said)
  return new OsSshError('SERVICE_DOWN', `the SSH service at ${endpoint} answered nonsense: ${said}`)
}
