import {authenticate, type Grant} from './auth.ts'
import type {CloudConfig} from './config.ts'
import {OpenStackError} from './errors.ts'
import {type Call, failureOf, unreachable} from './failure.ts'
import type {OpenStackOptions} from './options.ts'
import {proxyOf} from './proxy.ts'
import type {ApiRequest} from './request.ts'
import {type Outcome, type RetryPolicy, withRetries} from './retry.ts'
import {tokenPattern} from './token.ts'
import type {HttpAnswer, Transport} from './transport.ts'
import type {Token} from './types.ts'

/** A token about to expire (ms) is as good as none: it would die on the way. */
const margin = 30_000

/** One cloud as one user: sends requests with a token, gets new tokens, counts. */
export class Client {
  calls = 0
  readonly config: CloudConfig
  private readonly transport: Transport
  private readonly options: OpenStackOptions
  /** A token of somebody else's: never replaced by one of ours. */
  private readonly fixed: boolean
  private grant: Grant | undefined
  /** The last one that somebody else has brought. */
  private adopted: Grant | undefined
  private pending: Promise<Grant> | undefined
  /** Microversion that suits the cloud, by service; learnt once for all users of the connections. */
  private agreed = new Map<string, string>()

  constructor(config: CloudConfig, transport: Transport, options: OpenStackOptions, fixed = false) {
    this.config = config
    this.transport = transport
    this.options = options
    this.fixed = fixed
    const {token} = options
    // One kept as JSON has its date as a text; one that was garbled on the way is as good as none.
    if (token && (fixed || tokenPattern.test(token.id)))
      this.grant = {token, until: new Date(token.expires_at).getTime()}
  }

  /** The same cloud and connections with somebody else's token. */
  with(token: Token): Client {
    // Validated without its catalog: the addresses are the same for everybody.
    const catalog = token.catalog.length > 0 ? token.catalog : (this.grant?.token.catalog ?? [])
    const {timeout, retryDelay} = this.options
    const options = {
      token: {...token, catalog},
      ...(timeout && {timeout}),
      ...(retryDelay !== undefined && {retryDelay}),
    }
    const client = new Client(this.config, this.transport, options, true)
    client.agreed = this.agreed
    return client
  }

  /** The current token, or a new one; several callers at once share one authentication. */
  async token(): Promise<Token> {
    if (this.grant && (this.fixed || this.grant.until - margin > Date.now())) return this.grant.token
    this.pending ??= authenticate(this.config, request => this.send(request), this.options).finally(() => {
      this.pending = undefined
    })
    // An adopted one whose end our clock has passed may be good yet, where it is our clock that is wrong: the cloud says which.
    const grant = await this.pending.catch(error => {
      const isLast = this.grant === this.adopted && error instanceof OpenStackError
      if (this.grant && isLast && error.fault === 'no-secret') return this.grant
      throw error
    })
    if (this.grant !== grant) {
      this.grant = grant
      this.options.onToken?.(grant.token)
    }
    return grant.token
  }

  /** The token there is, without asking for one. */
  get held(): Token | undefined {
    return this.grant?.token
  }

  /** Takes a token that lives longer than the one that there is. */
  adopt(token: Token): void {
    const until = token.expires_at.getTime()
    if (this.grant !== undefined && this.grant.until >= until) return
    const catalog = token.catalog.length > 0 ? token.catalog : (this.grant?.token.catalog ?? [])
    this.grant = {token: {...token, catalog}, until}
    this.adopted = this.grant
  }

  get until(): number | undefined {
    return this.grant?.until
  }

  microversion(service: string): string | undefined {
    return this.agreed.get(service)
  }

  agree(service: string, microversion: string): void {
    this.agreed.set(service, microversion)
  }

  /** Forgets the token if it is still this one. */
  forget(token: Token): void {
    if (this.grant?.token.id === token.id) this.grant = undefined
  }

  /**
   * Sends with the token; when that is refused, once more with a new one.
   *
   * @throws OpenStackError
   */
  async request(request: ApiRequest): Promise<HttpAnswer> {
    const token = await this.token()
    const first = await this.send({
      ...request,
      headers: {...request.headers, 'x-auth-token': token.id},
      accept: [401, ...(request.accept ?? [])],
    })
    if (first.status !== 401) return first
    if (this.fixed) throw failureOf(request, first)
    this.forget(token)
    const renewed = await this.token()
    return this.send({...request, headers: {...request.headers, 'x-auth-token': renewed.id}})
  }

  /**
   * Sends as it is, with retries where the call may be repeated.
   *
   * @throws OpenStackError for every status that is neither 2xx nor accepted
   */
  async send(request: ApiRequest): Promise<HttpAnswer> {
    const call: Call = request
    const timeout = this.options.timeout ?? this.config.timeout ?? 30_000
    const idempotent = request.idempotent ?? ['GET', 'HEAD', 'PUT', 'DELETE'].includes(request.method)
    const policy: RetryPolicy = {
      retries: idempotent ? 3 : 0,
      base: this.options.retryDelay ?? 250,
      until: timeout * 2,
    }
    let tries = 0
    const outcome = await withRetries(policy, n => {
      tries = n
      return this.attempt(request, timeout)
    })
    if ('error' in outcome) {
      if (outcome.error instanceof OpenStackError) throw outcome.error
      throw unreachable(call, outcome.error, timeout, proxyOf(call.url, this.config.proxy))
    }
    const {answer} = outcome
    if ((answer.status >= 200 && answer.status < 300) || request.accept?.includes(answer.status))
      return answer
    // The answer of the first try was lost, but it had been heard.
    if (request.method === 'DELETE' && answer.status === 404 && tries > 0)
      return {...answer, status: 204, body: ''}
    throw failureOf(call, answer)
  }

  private async attempt(request: ApiRequest, timeout: number): Promise<Outcome> {
    this.calls++
    const json = request.body === undefined ? {} : {'content-type': 'application/json'}
    const headers = {accept: 'application/json', 'user-agent': 'os-ssh', ...json, ...request.headers}
    const body = request.body === undefined ? {} : {body: JSON.stringify(request.body)}
    try {
      return {
        answer: await this.transport.send({
          method: request.method,
          url: request.url,
          headers,
          timeout,
          ...body,
        }),
      }
    } catch (error) {
      return {error}
    }
  }
}
