import type {Generated, Selectable} from 'kysely'

import type {GateScope, PathState, RouteKind} from '../../protocol/index.ts'

/*
 * The whole state of the service. Times are epoch ms, lists are JSON text; both read the same from SQLite and
 * PostgreSQL. The rows are the *desired* state: a grant writes them first, the reconciler makes them true.
 */

export interface GateRow {
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
  readonly state: 'new' | 'ready' | 'down'
  readonly reason: string | null
  readonly created_at: number
}

/**
 * `wanted`: a row, and perhaps a port; `plugged`: Nova has attached the port; `ready`: the gate has its namespace;
 * `removing`: the gate forgets it first, then Nova detaches and Neutron deletes the port, then the row goes.
 */
export type AttachmentState = 'wanted' | 'plugged' | 'ready' | 'removing'

export interface AttachmentRow {
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
  /** JSON `string[]`: security groups that the port has. */
  readonly groups: string
  /** JSON `string[]`: those of them that are the gate project's own; null until they were asked for. */
  readonly own_groups: string | null
  readonly state: AttachmentState
  /** When the port last became as we want it, as far as Neutron says; its agents follow some seconds later. */
  readonly wired_at: number | null
  readonly idle_since: number | null
  readonly created_at: number
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
  readonly state: PathState
  readonly user_id: string
  readonly user_name: string
  readonly project_id: string
  readonly server_id: string
  readonly server_name: string
  readonly network_id: string
  readonly route: RouteKind
  readonly address: string
  /** JSON `string[]`: security groups of the VM's port; the gate's port joins them. */
  readonly groups: string
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
  readonly killed_at: number | null
  /** When alias and account went back to the pool. */
  readonly released_at: number | null
  /** JSON `{code, message, hint}` of a failed path. */
  readonly error: string | null
}

export type PathRow = Selectable<PathTable>

export interface HostKeysRow {
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

/** What an operator has just revoked: no new paths for it for a while, since validated tokens are believed for a while. */
export interface BarRow {
  readonly id: Generated<number>
  readonly kind: 'user' | 'vm' | 'project'
  readonly value: string
  /** Epoch ms. */
  readonly until: number
}

export interface AuditRow {
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

export interface Database {
  gates: GateRow
  attachments: AttachmentRow
  paths: PathTable
  host_keys: HostKeysRow
  bars: BarRow
  audit: AuditRow
}
