import type {AuthSettings, CloudConfig} from './config.ts'
import {OpenStackError} from './errors.ts'
import {failureOf} from './failure.ts'
import type {OpenStackOptions} from './options.ts'
import type {ApiRequest, Send} from './request.ts'
import {parseToken} from './token.ts'
import type {HttpAnswer} from './transport.ts'
import type {Token} from './types.ts'

export interface Grant {
  readonly token: Token
  /** By this machine's clock, ms since the epoch. */
  readonly until: number
}

/** The v3 address of Keystone, whether auth_url ends in a version or not. */
export function keystone({auth}: CloudConfig, ...path: string[]): URL {
  const url = new URL(auth.auth_url)
  const base = url.pathname.replace(/\/+$/, '').replace(/\/v(2\.0|3)$/, '')
  url.pathname = [`${base}/v3`, ...path].join('/')
  url.search = ''
  return url
}

/**
 * Gets a token (POST /v3/auth/tokens); asks for the one-time password when Keystone wants a second factor.
 *
 * A wrong password that was typed is asked for again, three times in all.
 *
 * @throws OpenStackError `refused`; `no-secret` when there is nobody to ask; `config` when something else is missing
 */
export async function authenticate(
  config: CloudConfig,
  send: Send,
  options: OpenStackOptions,
): Promise<Grant> {
  const url = keystone(config, 'auth', 'tokens')
  // A token is no harm to ask for twice, so this POST is retried.
  const request = {service: 'identity', method: 'POST', url, idempotent: true, accept: [401]}
  const methods = methodsOf(config)
  for (let attempt = 1; ; attempt++) {
    const secrets = new Secrets(options, attempt > 1)
    const body = {auth: {identity: await identity(config, methods, secrets), ...scope(config)}}
    const asked = Date.now()
    let answer = await send({...request, body})
    if (answer.status === 401) answer = await secondFactor(config, send, request, answer, methods, secrets)
    if (answer.status === 401) {
      if (secrets.asked && attempt < TRIES) continue
      throw refused(failureOf(request, answer))
    }
    const {token, issued} = parseToken(request, answer)
    // Its life, not its end, so that a laptop's wrong clock does not make every token look expired.
    return {token, until: asked + (token.expires_at.getTime() - issued.getTime())}
  }
}

/** How often a user may type a password. */
const TRIES = 3

/** The user's answers in one try; remembers whether there were any. */
class Secrets {
  asked = false
  readonly #options: OpenStackOptions
  readonly #again: boolean

  constructor(options: OpenStackOptions, again: boolean) {
    this.#options = options
    this.#again = again
  }

  async ask(what: 'password' | 'passcode'): Promise<string | undefined> {
    const question = this.#options[what]
    this.asked ||= question !== undefined
    return question?.(this.#again)
  }
}

const refused = (error: OpenStackError) =>
  new OpenStackError('refused', error.message, {...error, cause: error})

/** Keystone answers the first of several factors with 401 and a receipt that stands for it. */
async function secondFactor(
  config: CloudConfig,
  send: Send,
  request: ApiRequest,
  refusal: HttpAnswer,
  sent: string[],
  secrets: Secrets,
) {
  const receipt = refusal.headers['openstack-auth-receipt']
  if (typeof receipt !== 'string' || sent.includes('totp') || !wantsTotp(refusal)) return refusal
  const body = {auth: {identity: await identity(config, ['totp'], secrets), ...scope(config)}}
  return send({...request, body, headers: {'openstack-auth-receipt': receipt}})
}

function wantsTotp({body}: HttpAnswer): boolean {
  try {
    const rules: unknown = JSON.parse(body).required_auth_methods
    return Array.isArray(rules) && rules.some(rule => Array.isArray(rule) && rule.includes('totp'))
  } catch {
    return false
  }
}

function methodsOf({auth, auth_type = 'password'}: CloudConfig): string[] {
  if (auth_type !== 'multifactor') return [auth_type]
  const methods = (auth.auth_methods ?? ['v3password', 'v3totp']).map(method => method.replace(/^v3/, ''))
  return methods.map(method => (method === 'applicationcredential' ? 'application_credential' : method))
}

async function identity(config: CloudConfig, methods: string[], secrets: Secrets) {
  const {auth} = config
  const parts: Record<string, unknown> = {methods}
  for (const method of methods) {
    if (method === 'password') {
      const password = auth.password ?? (await secrets.ask('password'))
      parts[method] = {user: {...user(auth), password: asked(config, 'password', password)}}
    } else if (method === 'totp') {
      const passcode = auth.passcode ?? (await secrets.ask('passcode'))
      parts[method] = {user: {...user(auth), passcode: asked(config, 'passcode', passcode)}}
    } else if (method === 'token') parts[method] = {id: need(config, 'token', auth.token)}
    else if (method === 'application_credential') parts[method] = applicationCredential(config)
    else
      throw new OpenStackError(
        'config',
        `cloud ${JSON.stringify(config.name)}: auth method ${method} is not supported`,
      )
  }
  return parts
}

function applicationCredential(config: CloudConfig) {
  const {auth} = config
  const secret = need(config, 'application_credential_secret', auth.application_credential_secret)
  if (auth.application_credential_id) return {id: auth.application_credential_id, secret}
  return {
    name: need(config, 'application_credential_id', auth.application_credential_name),
    user: user(auth),
    secret,
  }
}

function user(auth: AuthSettings) {
  if (auth.user_id) return {id: auth.user_id}
  if (!auth.username) throw new OpenStackError('config', 'username (or user_id) is missing')
  return {name: auth.username, domain: domain(auth, auth.user_domain_id, auth.user_domain_name)}
}

/** An application credential has its scope within; a token may keep the one it has. */
function scope({auth, auth_type}: CloudConfig) {
  if (auth_type === 'application_credential') return {}
  if (auth.project_id) return {scope: {project: {id: auth.project_id}}}
  if (auth.project_name) {
    const of = domain(auth, auth.project_domain_id, auth.project_domain_name)
    return {scope: {project: {name: auth.project_name, domain: of}}}
  }
  if (auth.domain_id) return {scope: {domain: {id: auth.domain_id}}}
  if (auth.domain_name) return {scope: {domain: {name: auth.domain_name}}}
  return auth.system_scope === 'all' ? {scope: {system: {all: true}}} : {}
}

function domain(auth: AuthSettings, id: string | undefined, name: string | undefined) {
  if (id) return {id}
  if (name) return {name}
  if (auth.default_domain_id) return {id: auth.default_domain_id}
  return auth.default_domain_name ? {name: auth.default_domain_name} : {id: 'default'}
}

/** What a person may have typed: nothing at all is as good as wrong. */
function asked(config: CloudConfig, key: 'password' | 'passcode', value: string | undefined): string {
  if (value !== undefined) return value
  const what = key === 'password' ? 'password' : 'one-time password (passcode)'
  throw new OpenStackError(
    'no-secret',
    `cloud ${JSON.stringify(config.name)}: there is no ${what}, and nobody can be asked for one here`,
  )
}

function need(config: CloudConfig, key: string, value: string | undefined): string {
  if (value) return value
  throw new OpenStackError('config', `cloud ${JSON.stringify(config.name)}: ${key} is missing`)
}
