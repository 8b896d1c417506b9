import {once} from 'node:events'
import {createServer, request, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {text} from 'node:stream/consumers'

/** One request as it went over the wire, and what came back. */
export interface Exchange {
  readonly method: string
  /** Path and query, without the service's address. */
  readonly path: string
  readonly status: number
  /** Media type of the answer, without parameters. */
  readonly type: string
  /** Parsed where it is JSON, else the text. */
  readonly body: unknown
}

/** An HTTP proxy that hands on what clients send and keeps what was said: what src/openstack really asks is what is compared. */
export class Recorder {
  readonly exchanges: Exchange[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<Recorder> {
    const server = createServer()
    const recorder = new Recorder(server)
    server.on('request', async (asked, reply) => {
      const url = new URL(asked.url ?? '')
      const {'proxy-connection': _, ...headers} = asked.headers
      const forwarded = request(url, {method: asked.method, headers})
      forwarded.on('error', () => asked.socket.destroy())
      forwarded.end(await text(asked))
      const [answer] = await once(forwarded, 'response')
      const body = await text(answer)
      recorder.exchanges.push({
        method: asked.method ?? '',
        // Every service has its own port on a real cloud and its own first segment in the lab.
        path: `${url.pathname}${url.search}`.replace(/^\/(identity|compute|network|image)(?=\/v)/, ''),
        status: answer.statusCode ?? 0,
        type: String(answer.headers['content-type'] ?? '').split(';')[0] ?? '',
        body: parsed(body),
      })
      const {'transfer-encoding': __, ...back} = answer.headers
      reply
        .writeHead(answer.statusCode ?? 502, {...back, 'content-length': Buffer.byteLength(body)})
        .end(body)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return recorder
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}
