import {setTimeout as sleep} from 'node:timers/promises'

import type {PathGrant, Problem} from '../../src/protocol/index.ts'
import {generateKeyPair, type KeyPairText} from '../../src/ssh/keys.ts'
import type {ServiceProcess} from './service.ts'

/* Clients that do not give up: what one replica does not answer they ask the other. */

export type Granted = PathGrant & {readonly key: KeyPairText}

/** So long a client waits for one answer, and goes on trying, ms. */
const ANSWER_MS = 5000
const TRYING_MS = 60_000
const PAUSE_MS = 300
/** How long a service keeps a request for a path that is not there yet, s. */
const WAIT_S = 3
/** With these a client may try again; everything else is an answer. */
const AGAIN: ReadonlySet<string> = new Set(['GATE_DOWN', 'BUSY', 'SERVICE_DOWN'])

/** An answer that another try may improve, beside those that were expected. */
const retryable = ({status, code}: Partial<Problem>) =>
  status === 202 || (status === 503 && AGAIN.has(code ?? ''))

export class Load {
  /** Answered with 201, and nobody has asked to end it. */
  readonly granted = new Map<string, Granted>()
  /** Answered with 204. */
  readonly revoked = new Map<string, Granted>()
  /** Answers that no client should get, and those who gave up; each once. */
  readonly unexpected = new Set<string>()
  /** How many requests were answered with what, by code or status, or with nothing. */
  readonly answers: Record<string, number> = {}
  /** How long somebody had to try, at most, ms. */
  slowest = 0
  readonly #services: readonly ServiceProcess[]
  readonly #token: string
  #running: Promise<unknown> = Promise.resolve()
  #going = false

  constructor(services: readonly ServiceProcess[], token: string) {
    this.#services = services
    this.#token = token
  }

  /**
   * One client for each of these VMs: it asks for a path with a new key again and again, and ends some of them.
   *
   * @param kept how many of ten paths stay
   * @param pause between its requests, ms
   */
  start(servers: readonly string[], {kept = 5, pause = 100}: {kept?: number; pause?: number} = {}): void {
    this.#going = true
    const client = async (server: string) => {
      for (let n = 0; this.#going; n++) {
        const granted = await this.grant(server)
        if (granted !== undefined && n % 10 >= kept) await this.revoke(granted)
        await sleep(pause)
      }
    }
    this.#running = Promise.all(servers.map(client))
  }

  /** Nobody begins anything any more; returns when everybody has their answer. */
  async stop(): Promise<void> {
    this.#going = false
    await this.#running
  }

  /** A path, at whichever replica answers; asked of this one first. */
  async grant(server: string, first?: ServiceProcess): Promise<Granted | undefined> {
    const key = generateKeyPair('load')
    const body = {server_id: server, public_key: key.publicKey}
    const answer = await this.#insist<PathGrant>('POST', `/v1/paths?wait=${WAIT_S}`, 201, {body, first})
    if (answer === undefined) return undefined
    const granted = {...answer, key}
    this.granted.set(granted.id, granted)
    return granted
  }

  async revoke(path: Granted): Promise<void> {
    this.granted.delete(path.id)
    if ((await this.#insist('DELETE', `/v1/paths/${path.id}`, 204)) !== undefined)
      this.revoked.set(path.id, path)
  }

  /** Asks one replica after the other until the answer is the expected one. */
  async #insist<T>(
    method: string,
    path: string,
    expected: number,
    {body, first}: {body?: unknown; first?: ServiceProcess | undefined} = {},
  ): Promise<T | undefined> {
    const begun = Date.now()
    const random = Math.floor(Math.random() * this.#services.length)
    for (
      let n = first === undefined ? random : this.#services.indexOf(first);
      Date.now() - begun < TRYING_MS;
      n++
    ) {
      const service = this.#services[n % this.#services.length] as ServiceProcess
      const answer = await service
        .ask<T & Partial<Problem>>(this.#token, method, path, {body, timeout: ANSWER_MS})
        .catch(() => undefined)
      const name = answer === undefined ? 'no answer' : `${answer.code ?? answer.status}`
      this.answers[name] = (this.answers[name] ?? 0) + 1
      if (answer?.status === expected) {
        this.slowest = Math.max(this.slowest, Date.now() - begun)
        return answer
      }
      if (answer !== undefined && !retryable(answer)) {
        this.unexpected.add(`${method}: ${answer.status} ${answer.code} ${answer.detail}`)
        return undefined
      }
      await sleep(PAUSE_MS)
    }
    this.unexpected.add(`${method}: not within ${TRYING_MS / 1000} s`)
    return undefined
  }
}
