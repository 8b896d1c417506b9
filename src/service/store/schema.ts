import type {Generated, Selectable} from 'kysely'

import type {ErrorCode} from '../../errors.ts'
import type {GateScope, RouteKind} from '../../protocol/index.ts'
import type {DeployPlan, Wish} from '../deploy/choice/plan.ts'
import type {AttachmentState, GateState, MachineState, PathPhase} from './lifecycle.ts'

/*
 * The whole state of the service. Times are epoch ms, lists are JSON text; both read the same from SQLite and
 * PostgreSQL. A `Table` is what the database holds, a `Row` what this folder hands out. The rows are the *desired* state: a
 * grant writes them first, the gates' workers make them true.
 */

export interface GateTable {
  readonly id: string
  readonly name: string
  readonly server_id: string
  readonly project_id: string
  readonly scope: GateScope
  readonly host: string
  readonly port: number
  readonly login: string
  /** Pinned host key, `type base64`. */
  readonly host_key: string
  /** JSON `string[]`: names of interfaces beside the management one that stay the gate's own. */
  readonly keep_nics: string
  readonly state: GateState
  readonly reason: string | null
  /** How far its clock is ahead of ours, ms. */
  readonly clock_skew: number
  readonly created_at: number
  /** Availability zone of its server, where that is known. */
  readonly zone: Generated<string | null>
  /** The one project that it serves, when that is not its own. */
  readonly serves: Generated<string | null>
  /** Since when it takes no new paths. */
  readonly drained_at: Generated<number | null>
}

export interface GateRow extends Omit<Selectable<GateTable>, 'keep_nics'> {
  readonly keep_nics: readonly string[]
}

/** What the service has made in Nova to be a gate of this id; the gate's row comes when it answers. */
export interface MachineTable {
  readonly id: string
  /** Of the gate. */
  readonly name: string
  readonly state: MachineState
  readonly scope: GateScope
  readonly serves: string | null
  readonly zone: string | null
  /** JSON `Wish`: what was asked for; and JSON `DeployPlan`: what was chosen, once, before anything was made. */
  readonly wish: string
  readonly plan: string | null
  /** Whether nobody asked for it but a path that needs it. */
  readonly automatic: number
  /** OpenSSH private key that its host has until the first contact; what user_data brings is no secret for long. */
  readonly first_key: string | null
  /** `type base64`: the host key that it has made instead, before it uses it. */
  readonly next_key: string | null
  readonly server_id: string | null
  readonly host: string | null
  readonly created_at: number
  /** Since when it is in its state. */
  readonly since: number
  /** Why it failed, or what keeps it. */
  readonly reason: string | null
  /** Since when it does not answer though Nova calls it ACTIVE, and when it was rebooted for that. */
  readonly silent_since: number | null
  readonly rebooted_at: number | null
  /** Since when no path is on it. */
  readonly idle_since: number | null
  /** When nothing of it was left in the cloud. */
  readonly cleared_at: number | null
}

export interface MachineRow extends Omit<MachineTable, 'wish' | 'plan' | 'automatic'> {
  readonly wish: Wish
  readonly plan: DeployPlan | undefined
  readonly automatic: boolean
}

export interface AttachmentTable {
  readonly id: string
  readonly gate_id: string
  /** Number of the namespace, veth and alias block on the gate. */
  readonly slot: number
  readonly network_id: string
  /** The network's owner. */
  readonly project_id: string
  readonly mtu: number
  /** JSON `Reach[]`: what lies behind the router, if any. */
  readonly reach: string
  readonly port_id: string | null
  readonly mac: string | null
  /** JSON `string[]`: the port's addresses with prefix length. */
  readonly addresses: string
  readonly state: AttachmentState
  /** When the port last became as we want it, as far as Neutron says; its agents follow some seconds later. */
  readonly wired_at: number | null
  readonly idle_since: number | null
  readonly created_at: number
}

export interface AttachmentRow extends Omit<AttachmentTable, 'reach' | 'addresses'> {
  readonly reach: readonly Reach[]
  readonly addresses: readonly string[]
}

/** A security group that an attachment's port is in. */
export interface AttachmentGroupTable {
  readonly attachment_id: string
  readonly group_id: string
  /** 1: the gate project's own, for the port's way out; 0: of the VMs that paths lead to. */
  readonly own: number
}

/** A subnet that an attachment reaches: on the link (`via` null) or through the router's address on the link. */
export interface Reach {
  readonly network_id: string
  readonly cidr: string
  readonly via: string | null
  /** Of a subnet on the link: the gate's port needs an address in it. */
  readonly subnet_id?: string
}

export interface PathTable {
  readonly id: string
  readonly serial: Generated<number>
  readonly state: PathPhase
  readonly user_id: string
  readonly user_name: string
  readonly project_id: string
  readonly server_id: string
  readonly server_name: string
  readonly network_id: string
  readonly route: RouteKind
  readonly address: string
  readonly gate_id: string
  readonly attachment_id: string
  readonly alias: string
  readonly login: string
  readonly public_key: string
  readonly fingerprint: string
  readonly created_at: number
  /** The end of the path, and of sessions that are open then. */
  readonly expires_at: number
  /** The end of its newest certificate: nothing new begins after it. */
  readonly certificate_until: number
  readonly ended_at: number | null
  /** When the gate confirmed that nothing of it lives any more; the quarantine of alias and account starts here. */
  readonly cut_at: number | null
  /** JSON `PathFault` of a failed path. */
  readonly error: string | null
  /** Counts what its gate must be told of it, and how far that one has acknowledged. */
  readonly version: Generated<number>
  readonly applied: Generated<number>
}

/** What the user's own token saw when they asked; while the path has no place. */
export interface PathFactsTable {
  readonly path_id: string
  /** JSON `Facts`. */
  readonly facts: string
  readonly seen_at: number
}

/** Accounts of a gate that a project's paths have, until they are released. */
export interface HoldingsTable {
  readonly gate_id: string
  readonly project_id: string
  readonly n: number
}

/** Who does what only one replica may do: a gate's rounds (`gate ID`), or what is done once for all of them. */
export interface LeaseTable {
  readonly name: string
  /** Name of the replica, the same after a restart. */
  readonly owner: string
  /** Epoch ms by the database's clock. */
  readonly until: number
  /** Grows with each owner: a gate refuses whoever comes with a smaller one. */
  readonly fence: number
}

/** One row: the id of the service, which its replicas share and its gates know. */
export interface ServiceTable {
  readonly id: string
  /** JSON `string[]`: prefixes that may reach port 22 of the gates that it makes; null: as it is configured. */
  readonly allow: Generated<string | null>
  /** Which copy of the service this database is; null: the first one. */
  readonly instance: Generated<string | null>
  /** Who runs the gates now, where another copy does. */
  readonly taken_by: Generated<string | null>
}

/** Why a path failed, as its client is told. */
export interface PathFault {
  readonly code: ErrorCode
  readonly message: string
  readonly hint?: string | undefined
}

export interface PathRow extends Omit<Selectable<PathTable>, 'error'> {
  readonly error: PathFault | undefined
}

/**
 * A security group that the attachment's port must be in for this path: those of the VM's port, where the gate's may join
 * them at all.
 */
export interface PathGroupTable {
  readonly path_id: string
  readonly group_id: string
}

export interface HostKeysTable {
  readonly server_id: string
  /** JSON `string[]` of `type base64`. */
  readonly keys: string
  readonly seen_at: number
  /** Request id of the newest rebuild or evacuation of the VM that these keys are known to be younger than. */
  readonly rebuild: string | null
  /** When that began, epoch ms, and the user who asked for it. */
  readonly rebuilt_at: number | null
  readonly rebuilt_by: string | null
}

export interface HostKeysRow extends Omit<HostKeysTable, 'keys'> {
  readonly keys: readonly string[]
}

/** What an operator has just revoked: no new paths for it for a while, since validated tokens are believed for a while. */
export interface BarTable {
  readonly id: Generated<number>
  readonly kind: 'user' | 'vm' | 'project'
  readonly value: string
  /** Epoch ms. */
  readonly until: number
}

export interface AuditTable {
  readonly id: Generated<number>
  readonly at: number
  readonly action:
    | 'grant'
    | 'renew'
    | 'deny'
    | 'revoke'
    | 'expire'
    | 'fail'
    | 'gate-add'
    | 'gate-remove'
    | 'gate-deploy'
    | 'gate-drain'
    | 'gate-delete'
    | 'gate-replace'
    | 'gate-allow'
    | 'forget-host-keys'
  readonly user_id: string
  readonly user_name: string
  readonly project_id: string
  readonly server_id: string | null
  readonly path_id: string | null
  /** Address the request came from. */
  readonly source: string | null
  readonly until: number | null
  readonly detail: string | null
}

export type AuditRow = Selectable<AuditTable>

export interface Database {
  gates: GateTable
  machines: MachineTable
  attachments: AttachmentTable
  attachment_groups: AttachmentGroupTable
  paths: PathTable
  path_groups: PathGroupTable
  path_facts: PathFactsTable
  holdings: HoldingsTable
  leases: LeaseTable
  service: ServiceTable
  host_keys: HostKeysTable
  bars: BarTable
  audit: AuditTable
}
