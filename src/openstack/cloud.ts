import type {CloudConfig} from './config.ts'
import type {Compute, Identity, Images, Networking, Token} from './types.ts'

export interface OpenStack {
  readonly config: CloudConfig
  readonly identity: Identity
  readonly compute: Compute
  readonly network: Networking
  readonly image: Images
  /** URL of a service in the catalog, e.g. `ssh`; undefined when it is not there. */
  endpoint(serviceType: string): Promise<string | undefined>
  /** Requests sent so far, retries and pages included. */
  readonly calls: number
  /** Closes kept-alive connections. */
  close(): Promise<void>
}

export interface OpenStackOptions {
  /** A token from an earlier run; used until it expires. */
  readonly token?: Token
  /** Called with every new token, so that it can be kept. */
  readonly onToken?: (token: Token) => void
  /** Asks the user for a one-time password when the cloud wants a second factor. */
  readonly passcode?: () => Promise<string>
  /** Per request, ms. Default 30,000. */
  readonly timeout?: number
}

/** Opens no connection until the first call. */
export function openStack(_config: CloudConfig, _options?: OpenStackOptions): OpenStack {
  throw new Error('being written')
}

/** The same cloud (addresses, CA, time-outs, connections) on somebody else's already validated token; never re-authenticates. */
export function withToken(_cloud: OpenStack, _token: Token): OpenStack {
  throw new Error('being written')
}
