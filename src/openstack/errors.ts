/** What kind of fault: the caller decides by this, never by the text. */
export type OpenStackFault =
  | 'config' // clouds.yaml or OS_* cannot be used
  | 'unauthorized' // 401
  | 'forbidden' // 403
  | 'not-found' // 404
  | 'conflict' // 409
  | 'quota' // Neutron 409 OverQuota, Nova 403 quota
  | 'bad-request' // other 4xx
  | 'server' // 5xx, after retries
  | 'unreachable' // no answer: DNS, connection, TLS, time-out

/** A call that failed, with what an operator needs to find it in the cloud's logs. */
export class OpenStackError extends Error {
  readonly fault: OpenStackFault
  readonly service?: string
  readonly method?: string
  readonly url?: string
  readonly status?: number
  readonly requestId?: string

  constructor(
    fault: OpenStackFault,
    message: string,
    details: {service?: string; method?: string; url?: string; status?: number; requestId?: string; cause?: unknown} = {},
  ) {
    super(message, details.cause === undefined ? undefined : {cause: details.cause})
    this.name = 'OpenStackError'
    this.fault = fault
    const {cause: _, ...rest} = details
    Object.assign(this, rest)
  }
}
