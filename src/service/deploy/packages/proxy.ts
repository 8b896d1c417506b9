import {promises as dns} from 'node:dns'
import type {IncomingMessage, ServerResponse} from 'node:http'
import {connect, isIP, type LookupFunction} from 'node:net'
import type {Duplex} from 'node:stream'
import {pipeline} from 'node:stream/promises'

import ipaddr from 'ipaddr.js'

import type {GateConnection} from '../../gates/connection.ts'
import {type Mirror, parseMirror} from './mirror.ts'

// Not by `import`, which reads all that it has, undici included: 20 ms and 16 MB (test/unit/architecture.test.ts).
const {createServer, request: send} = process.getBuiltinModule('node:http')

/*
 * How a gate without a way to the internet gets its packages: by the management connection, through the service, which goes
 * straight out. Where the service itself needs a proxy (src/openstack/proxy.ts) this does not help: there a mirror must be named.
 */

/** What apt and dnf open at once is less; a gate that somebody has taken over gets no more. */
const MAX_CHANNELS = 16
/** Requests that one channel may have sent ahead of their answers; apt's Pipeline-Depth is 10. */
const MAX_AHEAD = 16
/** A channel on which nothing moves for so long ends, ms. */
const IDLE_MS = 60_000
const MAX_HEADERS = 8192
/** What belongs to the connection that it came by, and not to the request or answer (RFC 9110, 7.6.1), or says of a body that is not sent on. */
const HOP_BY_HOP =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|content-length|expect)$/

/** All addresses of a name, as `getaddrinfo` orders them. */
type Lookup = (host: string) => Promise<readonly string[]>

interface Target {
  readonly host: string
  readonly port: number
}

/** Where a connection may go: the name, and the addresses that were judged. */
interface Way extends Target {
  readonly addresses: readonly string[]
}

interface Served {
  readonly idle: NodeJS.Timeout
  /** Ends what was opened for it. */
  readonly over: AbortController
  /** The request before. */
  turn: Promise<void>
  ahead: number
}

/** Why something is not done, and the status of the answer that says so. */
class Refusal extends Error {
  readonly status: number

  constructor(status: number, sentence: string) {
    super(sentence)
    this.status = status
  }
}

/**
 * An HTTP proxy for package managers: GET and HEAD from port 80, CONNECT to port 443, of public addresses only, and of the mirrors
 * that the operator names. It listens to nothing: channels are handed to it.
 */
export class PackageProxy {
  readonly #mirrors: readonly Mirror[]
  readonly #lookup: Lookup
  readonly #channels = new Map<Duplex, Served>()
  readonly #idle: number
  readonly #server = createServer({maxHeaderSize: MAX_HEADERS})
  #closed = false

  /**
   * @param options.mirrors `HOST` or `HOST:PORT` that may be reached although they are private
   * @param options.idle ms
   */
  constructor({
    mirrors,
    lookup = resolve,
    idle = IDLE_MS,
  }: {mirrors: readonly string[]; lookup?: Lookup; idle?: number}) {
    this.#mirrors = mirrors.flatMap(text => parseMirror(text) ?? [])
    this.#lookup = lookup
    this.#idle = idle
    this.#server.on('request', (request, response) => this.#inTurn(request, response))
    this.#server.on('connect', (request, channel, head) => void this.#tunnel(request, channel, head))
  }

  /** Answers what comes by this channel until either side ends it. */
  serve(channel: Duplex): void {
    // It may break at any time; its close is what counts.
    channel.on('error', () => undefined)
    if (this.#closed) {
      channel.destroy()
      return
    }
    if (this.#channels.size >= MAX_CHANNELS) {
      channel.end(answer(503, `no more than ${MAX_CHANNELS} connections at once`))
      return
    }
    const served: Served = {
      idle: setTimeout(() => this.#drop(channel), this.#idle).unref(),
      over: new AbortController(),
      turn: Promise.resolve(),
      ahead: 0,
    }
    this.#channels.set(channel, served)
    channel.once('close', () => this.#drop(channel))
    this.#server.emit('connection', channel)
  }

  /** Ends all channels, and whatever was opened for them. */
  close(): void {
    this.#closed = true
    for (const channel of this.#channels.keys()) this.#drop(channel)
  }

  #drop(channel: Duplex): void {
    const served = this.#channels.get(channel)
    this.#channels.delete(channel)
    clearTimeout(served?.idle)
    served?.over.abort()
    channel.destroy()
  }

  /** One after the other: answers go in the order of the requests anyway. */
  #inTurn(request: IncomingMessage, response: ServerResponse): void {
    const served = this.#channels.get(request.socket)
    if (served === undefined || ++served.ahead > MAX_AHEAD) {
      this.#drop(request.socket)
      return
    }
    // A body is not sent on.
    request.resume()
    served.turn = served.turn
      .then(() => this.#get(request, response, served))
      .catch(error => {
        if (response.headersSent) return this.#drop(request.socket)
        const {status, sentence} = said(error)
        const body = `${sentence}\n`
        response
          .writeHead(status, sentence, {'content-type': 'text/plain', 'content-length': body.length})
          .end(body)
      })
      .finally(() => {
        served.ahead--
        served.idle.refresh()
      })
  }

  async #get(request: IncomingMessage, response: ServerResponse, {idle, over}: Served): Promise<void> {
    const {method = '', url: text = ''} = request
    if (method !== 'GET' && method !== 'HEAD')
      throw new Refusal(403, `${method} is none of GET, HEAD and CONNECT`)
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url?.protocol !== 'http:' || url.username !== '' || url.password !== '')
      throw new Refusal(403, 'this is a proxy: it is asked for http://HOST/PATH')
    const way = await this.#wayTo({host: hostOf(url), port: Number(url.port || 80)}, 80)
    const {promise, resolve, reject} = Promise.withResolvers<IncomingMessage>()
    send({
      host: way.host,
      port: way.port,
      lookup: judged(way),
      method,
      path: `${url.pathname}${url.search}`,
      headers: {...passedOn(request.headers), host: url.host},
      agent: false,
      maxHeaderSize: MAX_HEADERS,
      signal: over.signal,
    })
      .on('response', resolve)
      .on('error', reject)
      .end()
    const from = await promise
    from.on('data', () => idle.refresh())
    const {'content-length': length} = from.headers
    const headers = {...passedOn(from.headers), ...(length === undefined ? {} : {'content-length': length})}
    response.writeHead(from.statusCode ?? 502, headers)
    await pipeline(from, response)
  }

  async #tunnel(request: IncomingMessage, channel: Duplex, head: Buffer): Promise<void> {
    const served = this.#channels.get(channel)
    if (served === undefined) return this.#drop(channel)
    try {
      const text = `https://${request.url}`
      const url = /^(\[[\da-f:.]+\]|[^:/?#@\\]+):\d{1,5}$/i.test(request.url ?? '') && URL.canParse(text)
      if (!url) throw new Refusal(403, 'CONNECT is asked for HOST:PORT')
      const target = new URL(text)
      const way = await this.#wayTo({host: hostOf(target), port: Number(target.port || 443)}, 443)
      const there = connect({...way, lookup: judged(way), signal: served.over.signal})
      await new Promise((resolve, reject) => there.once('connect', resolve).once('error', reject))
      channel.write('HTTP/1.1 200 Connection established\r\n\r\n')
      there.write(head)
      for (const side of [there, channel]) side.on('data', () => served.idle.refresh())
      await Promise.all([pipeline(there, channel), pipeline(channel, there)])
    } catch (error) {
      const {status, sentence} = said(error)
      // After the 200 there is nobody to be told: a stream that has failed is destroyed.
      if (channel.writable) channel.end(answer(status, sentence))
    }
  }

  /** @throws Refusal when it is none of the operator's mirrors, nor public by all its addresses */
  async #wayTo({host, port}: Target, usual: 80 | 443): Promise<Way> {
    const isMirror = this.#mirrors.some(
      one => one.host === host && (one.port === undefined ? port === usual : one.port === port),
    )
    if (!isMirror && port !== usual)
      throw new Refusal(403, `${host}:${port} is neither port ${usual} nor a mirror of the configuration`)
    const addresses = isIP(host) === 0 ? await this.#addressesOf(host) : [host]
    // All of them: which one is taken is not ours to say.
    if (!isMirror && !addresses.every(isPublic))
      throw new Refusal(403, `${host} is neither public nor a mirror of the configuration`)
    return {host, port, addresses}
  }

  async #addressesOf(host: string): Promise<readonly string[]> {
    const addresses = await this.#lookup(host).catch(() => [])
    if (addresses.length === 0) throw new Refusal(502, `${host} has no address`)
    return addresses
  }
}

/** Addresses of the internet. Of IPv6 only what is given out (2000::/3): what lies outside may be translated or tunnelled to anywhere. */
function isPublic(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  return parsed.kind() === 'ipv4' || parsed.match(ipaddr.parseCIDR('2000::/3'))
}

const hostOf = ({hostname}: URL) => hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')

const resolve: Lookup = async host => (await dns.lookup(host, {all: true})).map(({address}) => address)

/** The connection goes to what was judged; a second question might have another answer. */
const judged =
  ({addresses}: Way): LookupFunction =>
  (_host, options, answer) => {
    const found = addresses.map(address => ({address, family: isIP(address)}))
    if (options.all) answer(null, found)
    else answer(null, found[0]?.address ?? '', found[0]?.family)
  }

/** Without what is between two neighbours only, and without what one of them has named so. */
function passedOn(headers: IncomingMessage['headers']): NodeJS.Dict<string | string[]> {
  const named = (headers.connection ?? '').toLowerCase().split(/[\s,]+/)
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !HOP_BY_HOP.test(name) && !named.includes(name)),
  )
}

function said(error: unknown): {status: number; sentence: string} {
  if (error instanceof Refusal) return {status: error.status, sentence: error.message}
  return {
    status: 502,
    sentence: `the service does not reach it (${(error as NodeJS.ErrnoException).code ?? 'no answer'})`,
  }
}

/** An answer where there is nothing but the stream. */
const answer = (status: number, sentence: string) =>
  `HTTP/1.1 ${status} ${sentence}\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${sentence}\n`

/**
 * While `task` runs, a port of the gate's loopback is an HTTP proxy for packages.
 *
 * @param task has the port
 * @throws OsSshError GATE_DOWN, HOST_KEY; whatever `task` throws
 */
export async function withPackageProxy<T>(
  connection: Pick<GateConnection, 'forward'>,
  mirrors: readonly string[],
  task: (port: number) => Promise<T>,
): Promise<T> {
  const proxy = new PackageProxy({mirrors})
  try {
    const forwarding = await connection.forward(channel => proxy.serve(channel))
    try {
      return await task(forwarding.port)
    } finally {
      forwarding.close()
    }
  } finally {
    proxy.close()
  }
}
