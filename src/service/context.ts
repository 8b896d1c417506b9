import type {Logger} from 'pino'

import type {OsSshError} from '../errors.ts'
import type {OpenStack} from '../openstack/index.ts'
import type {CertificateAuthority} from './ca/ca.ts'
import type {GateAddress, GateConnection} from './gates/connection.ts'
import type {Store} from './store/open.ts'
import type {AttachmentRow} from './store/schema.ts'

/** What a gate's worker wants of a connection. */
export type GateLink = Pick<GateConnection, 'run' | 'close'>

/** What the parts of the running service share. */
export interface ServiceContext {
  readonly db: Store
  readonly ca: CertificateAuthority
  /** The service's own account. */
  readonly cloud: OpenStack
  /** A management connection to a gate, made when it is first used; `lost` is called when it ends, whoever ended it. */
  readonly connect: (gate: GateAddress, lost: () => void) => GateLink
  readonly log: Logger
  /** Epoch ms. */
  readonly clock: () => number
  /** Starts a round of the gate after so many ms. */
  wakeLater(gateId: string, ms: number): void
  /** Fails pending paths with a reason, tells who waits, and lets the gate forget them. */
  fail(pathIds: readonly string[], fault: OsSshError): Promise<void>
  /** Accounts of the gate that have a connection now; none when it is down, undefined when that is not known. */
  sessions(gateId: string): Promise<ReadonlySet<string> | undefined>
  /** Tells who waits that this path is no longer pending. */
  notify(pathId: string): void
  /** Detaches and deletes the port of an attachment that the gate has forgotten, and then its row. */
  unplug(row: AttachmentRow): void
}
