import {OpenStackError, type OpenStackFault} from './errors.ts'
import {isRecord} from './merge.ts'
import {reasonOf} from './reason.ts'
import type {HttpAnswer} from './transport.ts'

/** Which call it was, for messages: `compute GET http://…`. */
export interface Call {
  readonly service: string
  readonly method: string
  readonly url: URL
}

const products: Readonly<Record<string, string>> = {
  identity: 'Keystone',
  compute: 'Nova',
  network: 'Neutron',
  image: 'Glance',
  placement: 'Placement',
}

/** The name operators know a service by; its type when it has none. */
export const productOf = (service: string) => products[service] ?? `the ${service} service`

/** An answer that is no success, as the error to throw. Their shapes are recorded in test/fixtures/openstack. */
export function failureOf(call: Call, answer: HttpAnswer): OpenStackError {
  const {type, message} = errorBody(answer)
  const apiMessage = oneLine(message)
  const to = answer.headers.location
  const redirected =
    answer.status >= 300 && answer.status < 400 && to
      ? `, a redirection to ${oneLine(withoutSecrets(to))}`
      : ''
  const sentence = `${productOf(call.service)} answered ${answer.status}${redirected}${apiMessage ? `: ${apiMessage}` : ''}`
  const requestId = requestIdOf(answer)
  return new OpenStackError(faultOf(answer.status, type, apiMessage), sentence, {
    ...place(call),
    status: answer.status,
    ...(requestId && {requestId}),
    ...(apiMessage && {apiMessage}),
  })
}

/** An answer with a success status that is not what the API promises. */
export function nonsense(call: Call, what: string, answer?: HttpAnswer): OpenStackError {
  const requestId = answer && requestIdOf(answer)
  return new OpenStackError(
    'server',
    `${productOf(call.service)} gave an answer that makes no sense: ${what}`,
    {
      ...place(call),
      ...(answer && {status: answer.status}),
      ...(requestId && {requestId}),
    },
  )
}

/** The JSON of an answer. @throws OpenStackError `server` */
export function json(call: Call, answer: HttpAnswer): unknown {
  try {
    return JSON.parse(answer.body)
  } catch {
    throw nonsense(call, 'it is not JSON', answer)
  }
}

/** No answer at all. @param timeout ms @param proxy that was in between */
export function unreachable(call: Call, error: unknown, timeout: number, proxy?: string): OpenStackError {
  const {name, code} = error as NodeJS.ErrnoException
  const late = name === 'AbortError' || name === 'TimeoutError' || code === 'ABORT_ERR'
  const reason = late ? `no answer within ${timeout / 1000} s` : oneLine(reasonOf(error, proxy))
  const sentence = `${productOf(call.service)} at ${call.url.host} cannot be reached: ${reason}`
  return new OpenStackError('unreachable', sentence, {...place(call), cause: error})
}

/** A URL fit for messages: no user information. */
export function withoutSecrets(url: URL | string): string {
  if (!URL.canParse(String(url))) return String(url)
  const clean = new URL(url)
  clean.username = ''
  clean.password = ''
  return clean.href
}

function place({service, method, url}: Call) {
  return {service, method, url: withoutSecrets(url)}
}

function faultOf(status: number, type: string, message: string): OpenStackFault {
  const quota =
    /^OverQuota$|^overLimit$/.test(type) || /quota exceeded|exceeded? .*quota|quota limit/i.test(message)
  if (quota && [403, 409, 413].includes(status)) return 'quota'
  if (/^(IpAddressGenerationFailure|ExternalIpAddressExhausted)$/.test(type)) return 'exhausted'
  if (status === 401) return 'unauthorized'
  if (status === 403) return 'forbidden'
  if (status === 404) return 'not-found'
  if (status === 409) return 'conflict'
  return status >= 400 && status < 500 && status !== 429 ? 'bad-request' : 'server'
}

function requestIdOf({headers}: HttpAnswer): string | undefined {
  const id = headers['x-openstack-request-id'] ?? headers['x-compute-request-id']
  return typeof id === 'string' && /^[\w-]{1,64}$/.test(id) ? id : undefined
}

/**
 * Keystone: {error: {message}}; Nova: {itemNotFound|forbidden|…: {message}}; Neutron: {NeutronError: {type, message}};
 * Placement: {errors: [{title, detail}]}; Glance, and proxies in front of anything: HTML.
 */
function errorBody({body, headers}: HttpAnswer): {type: string; message: string} {
  const html = String(headers['content-type'] ?? '').includes('html') || /^\s*<(!doctype|html)/i.test(body)
  if (html) return {type: '', message: textOf(body)}
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return {type: '', message: body}
  }
  if (!isRecord(value)) return {type: '', message: ''}
  const errors = value['errors']
  if (Array.isArray(errors) && isRecord(errors[0])) {
    const {code, detail, title} = errors[0]
    return {type: String(code ?? ''), message: String(detail ?? title ?? '')}
  }
  for (const [key, inner] of Object.entries(value)) {
    // NeutronError was a bare text once, and is one still where a proxy or plug-in made it.
    if (typeof inner === 'string' && /error|fault|message/i.test(key)) return {type: '', message: inner}
    if (!isRecord(inner) || typeof inner['message'] !== 'string') continue
    return {type: typeof inner['type'] === 'string' ? inner['type'] : key, message: inner['message']}
  }
  return {type: '', message: ''}
}

function textOf(html: string): string {
  const inner = /<body[^>]*>([\s\S]*)<\/body>/i.exec(html)?.[1] ?? html
  const text = inner.replace(/<(h1|title|script|style)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ')
  const entities: Record<string, string> = {lt: '<', gt: '>', quot: '"', amp: '&', nbsp: ' ', '#39': "'"}
  return text.replace(/&(lt|gt|quot|amp|nbsp|#39);/g, (_, name: string) => entities[name] ?? ' ')
}

/** One line without control characters (the text may reach a terminal), of a length one can read. */
function oneLine(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim()
  return line.length > 500 ? `${line.slice(0, 499)}…` : line
}
