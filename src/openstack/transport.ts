import {readFile} from 'node:fs/promises'
import type {Agent, IncomingHttpHeaders, IncomingMessage} from 'node:http'

import type {CloudConfig} from './config.ts'
import {OpenStackError} from './errors.ts'

// Not by `import`, which reads all that it has, undici included: 20 ms and 16 MB (test/unit/architecture.test.ts).
const {Agent: HttpAgent, request: httpRequest} = process.getBuiltinModule('node:http')

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** For the whole exchange, body included; ms. */
  readonly timeout: number
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** Sends one request, once, and follows no redirection (which would carry the token elsewhere). */
export interface Transport {
  /** @throws Error of node, with its `code`, when there is no whole answer */
  send(request: HttpRequest): Promise<HttpAnswer>
  close(): void
}

/** Servers behind Apache close idle connections after 5 s; to write on one as it closes would lose a POST. */
const idleFor = 4000

/** No listing is as long as this; a body that is, is not read into memory to its end. */
const longestBody = 256 * 1024 * 1024

/**
 * Plain node:http: it keeps connections alive, knows proxies (`proxyEnv`), authorities and client certificates, and
 * is loaded anyway; fetch is slower to start, and undici costs 90 ms of it. TLS is loaded only where it is spoken.
 */
export function createTransport(config: CloudConfig): Transport {
  const pool = {keepAlive: true, timeout: idleFor, maxSockets: 32, proxyEnv: proxyVariables(config)}
  const plain = new HttpAgent(pool)
  let secure: ReturnType<typeof secureAgent> | undefined
  return {
    async send(request) {
      if (request.url.protocol === 'http:') return exchange(httpRequest, plain, request)
      secure ??= secureAgent(config, pool)
      const {https, agent} = await secure
      return exchange(https.request, agent, request)
    },
    close() {
      plain.destroy()
      secure?.then(({agent}) => agent.destroy()).catch(() => {})
    },
  }
}

async function secureAgent(config: CloudConfig, pool: ConstructorParameters<typeof HttpAgent>[0]) {
  const [https, ca, cert, key] = await Promise.all([
    import('node:https'),
    pem('cacert', config.cacert),
    pem('cert', config.cert),
    pem('key', config.key ?? config.cert),
  ])
  const identity = {...(ca && {ca}), ...(cert && {cert}), ...(key && {key})}
  return {https, agent: new https.Agent({...pool, ...identity, rejectUnauthorized: config.verify !== false})}
}

async function pem(setting: string, path: string | undefined): Promise<string | undefined> {
  if (!path) return undefined
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new OpenStackError('config', `${setting} ${path} cannot be read: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function proxyVariables({proxy = {}}: CloudConfig): NodeJS.ProcessEnv {
  return {...proxy} as NodeJS.ProcessEnv
}

function exchange(
  send: typeof httpRequest,
  agent: Agent,
  {method, url, headers, body, timeout}: HttpRequest,
): Promise<HttpAnswer> {
  const length = body === undefined ? {} : {'content-length': String(Buffer.byteLength(body))}
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeout)
    const request = send(url, {method, agent, signal, headers: {...headers, ...length}})
    request.on('error', reject)
    request.on('response', answer => read(answer).then(resolve, reject))
    request.end(body)
  })
}

async function read(answer: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > longestBody) {
      answer.destroy()
      throw new Error(`the answer is longer than ${longestBody} bytes`)
    }
    chunks.push(chunk)
  }
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    body: Buffer.concat(chunks).toString('utf8'),
  }
}
