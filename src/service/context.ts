import type {Logger} from 'pino'

import type {OpenStack} from '../openstack/index.ts'
import type {Account} from './account.ts'
import type {CertificateAuthority} from './ca/ca.ts'
import type {Copy} from './copy.ts'
import type {PathEvents} from './events.ts'
import type {GateAddress, GateConnection} from './gates/connection.ts'
import type {Jobs} from './jobs.ts'
import type {Leases} from './leases.ts'
import type {Store} from './store/open.ts'

/** What a gate's worker wants of a connection. */
export type GateLink = Pick<GateConnection, 'run' | 'reach' | 'forward' | 'close'>

/** What the parts of the running service share. */
export interface ServiceContext {
  readonly db: Store
  /** Of the service, the same in all replicas; gates know it. */
  readonly serviceId: string
  /** Which copy of the service. */
  readonly copy: Copy
  /** Who runs it, and where, for people who find what it has made. */
  readonly by: string
  /** What this replica alone may do now. */
  readonly leases: Leases
  readonly ca: CertificateAuthority
  /** The service's own account. */
  readonly cloud: OpenStack
  /** A management connection to a gate, made when it is first used; `lost` is called when it ends, whoever ended it. */
  readonly connect: (gate: GateAddress, lost: () => void) => GateLink
  readonly log: Logger
  /** Epoch ms. */
  readonly clock: () => number
  /** What becomes of paths, for those who wait for it, here and in other replicas. */
  readonly events: PathEvents
  /** What is done beside the requests. */
  readonly jobs: Jobs
  /** For what the service's account may not be allowed yet. */
  readonly account: Account
}
