import type {Call} from './failure.ts'
import type {HttpAnswer} from './transport.ts'

/** One request of a service's API, before a token and retries are added. */
export interface ApiRequest extends Call {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** May be sent twice; by default what HTTP says of the method. */
  readonly idempotent?: boolean
  /** Statuses beyond 2xx that the caller handles itself. */
  readonly accept?: readonly number[]
}

/** Sends a request as it is, with retries where it may be repeated. @throws OpenStackError */
export type Send = (request: ApiRequest) => Promise<HttpAnswer>
