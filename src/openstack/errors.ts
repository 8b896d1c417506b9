/** What kind of fault: the caller decides by this, never by the text. */
export type OpenStackFault =
  | 'config' // clouds.yaml or OS_* cannot be used
  | 'no-cloud' // none was chosen, or there is none of that name
  | 'no-secret' // a password or the like is not configured, and nobody can be asked
  | 'refused' // Keystone does not take user, password or credential
  | 'unauthorized' // 401: the token
  | 'forbidden' // 403
  | 'not-found' // 404
  | 'conflict' // 409
  | 'quota' // Neutron 409 OverQuota, Nova 403 quota
  | 'exhausted' // Neutron: a network has no free address
  | 'bad-request' // other 4xx
  | 'server' // 5xx or 429, after retries; an answer that makes no sense
  | 'unreachable' // no answer: DNS, connection, TLS, time-out

/** Whether every other call would fail so, too: there is no session with the cloud. */
export const isOfSession = (fault: OpenStackFault) =>
  ['config', 'no-cloud', 'no-secret', 'refused', 'unauthorized'].includes(fault)

/** Where a call failed. None of it holds a secret: URLs carry no user information, headers and bodies are left out. */
export interface OpenStackErrorDetails {
  readonly service?: string
  readonly method?: string
  readonly url?: string
  readonly status?: number
  readonly requestId?: string
  /** The API's own words, without our frame around them. */
  readonly apiMessage?: string
  readonly cause?: unknown
}

/** A call that failed, with what an operator needs to find it in the cloud's logs. */
export class OpenStackError extends Error {
  readonly fault: OpenStackFault
  readonly service?: string
  readonly method?: string
  readonly url?: string
  readonly status?: number
  readonly requestId?: string
  readonly apiMessage?: string

  constructor(fault: OpenStackFault, message: string, details: OpenStackErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : {cause: details.cause})
    this.name = 'OpenStackError'
    const {cause: _, ...rest} = details
    // Before the fault, which the details of another error would bring along.
    Object.assign(this, rest)
    this.fault = fault
  }
}
