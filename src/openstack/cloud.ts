import type {Compute, Identity, Images, Networking} from './calls.ts'
import {findEndpoint} from './catalog.ts'
import {Client} from './client.ts'
import {computeOf} from './compute.ts'
import type {CloudConfig} from './config.ts'
import {identityOf} from './identity.ts'
import {imagesOf} from './image.ts'
import {networkOf} from './network.ts'
import type {OpenStackOptions} from './options.ts'
import {createTransport} from './transport.ts'
import type {Token} from './types.ts'

export interface OpenStack {
  readonly config: CloudConfig
  readonly identity: Identity
  readonly compute: Compute
  readonly network: Networking
  readonly image: Images
  /** URL of a service in the catalog, e.g. `ssh`; undefined when it is not there. */
  endpoint(serviceType: string): Promise<string | undefined>
  /** The same cloud (addresses, CA, time-outs, connections) on somebody else's already validated token; never re-authenticates. */
  as(token: Token): OpenStack
  /** Requests sent so far, retries and pages included. */
  readonly calls: number
  /** Closes kept-alive connections. */
  close(): Promise<void>
}

/** Opens no connection until the first call. Every call throws OpenStackError, and nothing else, when it fails. */
export function openStack(config: CloudConfig, options: OpenStackOptions = {}): OpenStack {
  const transport = createTransport(config)
  return cloudOf(new Client(config, transport, options), () => transport.close())
}

function cloudOf(client: Client, close: () => void): OpenStack {
  return {
    config: client.config,
    identity: identityOf(client),
    compute: computeOf(client),
    network: networkOf(client),
    image: imagesOf(client),
    endpoint: type => findEndpoint(client.config, type, () => client.token()),
    // The connections are this one's to close.
    as: token => cloudOf(client.with(token), () => {}),
    get calls() {
      return client.calls
    },
    async close() {
      close()
    },
  }
}
