import {findEndpoint} from './catalog.ts'
import {computeOf} from './compute.ts'
import type {CloudConfig} from './config.ts'
import {OpenStackError} from './errors.ts'
import {identityOf} from './identity.ts'
import {imagesOf} from './image.ts'
import {networkOf} from './network.ts'
import {Session} from './session.ts'
import {createTransport} from './transport.ts'
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
  /** Asks the user for the password when the configuration has none. @param again what was typed before was wrong */
  readonly password?: (again: boolean) => Promise<string>
  /** Asks the user for a one-time password when the cloud wants a second factor. */
  readonly passcode?: (again: boolean) => Promise<string>
  /** Per request, ms. Default: the configuration's, else 30,000. */
  readonly timeout?: number
  /** Delay before the first of three retries, ms; it doubles each time. Default 250. */
  readonly retryDelay?: number
}

const sessions = new WeakMap<OpenStack, Session>()

/** Opens no connection until the first call. Every call throws OpenStackError, and nothing else, when it fails. */
export function openStack(config: CloudConfig, options: OpenStackOptions = {}): OpenStack {
  const transport = createTransport(config)
  return assemble(new Session(config, transport, options), () => transport.close())
}

/** The same cloud (addresses, CA, time-outs, connections) on somebody else's already validated token; never re-authenticates. */
export function withToken(cloud: OpenStack, token: Token): OpenStack {
  const session = sessions.get(cloud)
  if (!session) throw new OpenStackError('config', 'withToken takes what openStack() returned')
  // The connections are the other's to close.
  return assemble(session.with(token), () => {})
}

function assemble(session: Session, close: () => void): OpenStack {
  const cloud: OpenStack = {
    config: session.config,
    identity: identityOf(session),
    compute: computeOf(session),
    network: networkOf(session),
    image: imagesOf(session),
    endpoint: type => findEndpoint(session.config, type, () => session.token()),
    get calls() {
      return session.calls
    },
    async close() {
      close()
    },
  }
  sessions.set(cloud, session)
  return cloud
}
