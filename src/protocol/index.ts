/**
 * What the SSH service and its clients say to each other as plain types: the client imports
 * these without paying for a validator; the service checks the same shapes at its border in src/service/api.
 * Field names are snake_case like every OpenStack API; times are RFC 3339 in UTC; lives are in seconds.
 */

export type RouteKind = 'routed' | 'attached' | 'direct'
export type GateScope = 'project' | 'shared'
/** `pending`: being made; `active`: usable until `expires_at`; `failed`: see `error`; `ended`: expired or revoked. */
export type PathState = 'pending' | 'active' | 'failed' | 'ended'

/** Body of POST /v1/paths. Idempotent for the same user, server and key: an active path is renewed, not doubled. */
export interface PathRequest {
  readonly server_id: string
  /** The user's key as an OpenSSH public key line (Ed25519). */
  readonly public_key: string
  /** Which of the VM's networks to use; without it the planner chooses. */
  readonly network_id?: string
  /** Asked life in seconds; the service may shorten it. */
  readonly life?: number
  /** The path that there is was tried and led nowhere: its gate is looked at before it is given again. */
  readonly failed?: boolean
}

export interface Path {
  readonly id: string
  readonly state: PathState
  readonly user_id: string
  readonly user_name: string
  readonly project_id: string
  readonly server_id: string
  readonly server_name: string
  readonly network_id: string
  readonly route: RouteKind
  /** The VM's fixed address on that network. */
  readonly address: string
  /** The address on the gate that stands for the VM, and the port to ask for. */
  readonly alias: string
  readonly port: number
  readonly gate: {readonly id: string; readonly name: string; readonly host: string; readonly port: number}
  /** Account on the gate that this path's certificate opens. */
  readonly login: string
  readonly created_at: string
  /** The end of the path: sessions that are open are cut then. */
  readonly expires_at: string
  /** The end of the right to log in, which every renewal asks the cloud for again: nothing new begins after it. */
  readonly certificate_until: string
  /** What a pending path waits for, for people. */
  readonly progress?: string
  readonly error?: Problem
}

/** Answer to POST /v1/paths and PATCH /v1/paths/ID once the path is active. */
export interface PathGrant extends Path {
  /** User certificate as one OpenSSH line, for the key of the request; valid until `certificate_until`. */
  readonly certificate: string
  /** Public key line of the host CA that signs now. The gate's host certificate has the principal `gate.id`: use it as HostKeyAlias. */
  readonly host_ca: string
  /** All host CAs to trust for the gate: during a rotation the other one, too. A service of before has `host_ca` alone. */
  readonly host_cas?: readonly string[]
  /** Host keys of the VM as `type base64`, from its console log; empty when the console shows none. */
  readonly host_keys: readonly string[]
  /** The newest rebuild or evacuation of the VM, when there was one. */
  readonly rebuild?: Rebuild
}

/** Something that gave a VM another disk, and so other host keys, by Nova's own record. */
export interface Rebuild {
  readonly request_id: string
  readonly at: string
  /** Who asked for it. */
  readonly user_id: string
  /** Whether `host_keys` are of after it; false: the console has not shown others yet, and these are of before. */
  readonly keys_seen: boolean
}

/** Answer to GET /v1/host-keys/SERVER_ID: what the service has pinned. */
export interface HostKeys {
  readonly server_id: string
  readonly host_keys: readonly string[]
  readonly rebuild?: Rebuild
}

/** Body of POST /v1/gates. */
export interface GateRequest {
  /** Nova id of the gate's server. */
  readonly server_id: string
  readonly name: string
  /** Address and port where clients and the service reach the gate's sshd. */
  readonly host: string
  readonly port?: number
  readonly scope: GateScope
  /** Management login; a plain key, root or sudo. */
  readonly login?: string
  /** Pinned host key, `type base64`; read from the gate's console log when absent. */
  readonly host_key?: string
  /** Interfaces, beside the one that the service comes in by, that stay as they are. */
  readonly keep_nics?: readonly string[]
}

/** A gate that its service has made goes from `wanted` by `booting` to `new`, and by `deleting` away; any is `new` until it is configured. */
export type GateCondition =
  | 'wanted'
  | 'booting'
  | 'failed'
  | 'new'
  | 'ready'
  | 'draining'
  | 'down'
  | 'deleting'

export interface Gate {
  readonly id: string
  readonly name: string
  readonly server_id: string
  readonly project_id: string
  readonly scope: GateScope
  readonly host: string
  readonly port: number
  readonly state: GateCondition
  /** Why it is down or failed, or what it waits for. */
  readonly reason?: string
  readonly attachments: number
  readonly paths: number
  /** Whether the service has made it, and so heals and deletes it. */
  readonly deployed: boolean
  readonly created_at: string
  /** Availability zone. */
  readonly zone?: string
  /** The one project that it serves, when that is not its own. */
  readonly serves?: string
  /** What was chosen for it, where the service has made it. */
  readonly plan?: GatePlan
}

/** Something of the cloud. */
export interface Thing {
  readonly id: string
  readonly name: string
}

/** What a gate is made of, and what it takes of the project's quota. */
export interface GatePlan {
  readonly image: Thing
  readonly flavor: Thing
  /** GB of a volume that it boots from. */
  readonly volume?: number
  readonly network: Thing
  /** Id of the subnet that its port is in, where that was chosen. */
  readonly subnet?: string
  readonly address: {readonly kind: 'floating' | 'direct' | 'ipv6'; readonly network?: Thing}
  readonly zone?: string
  readonly count: number
  readonly quota: readonly QuotaNeed[]
}

export interface QuotaNeed {
  readonly resource: string
  readonly needs: number
  readonly used: number
  /** -1: none. */
  readonly limit: number
}

/** Body of POST /v1/gates/deploy. What is absent the service chooses. */
export interface DeployRequest {
  readonly scope: GateScope
  /** Id of the one project that it serves; by default the service's own. */
  readonly project_id?: string
  readonly count?: number
  readonly zone?: string
  /** Names or ids. */
  readonly image?: string
  readonly flavor?: string
  readonly network?: string
  /** Network of the floating IP. */
  readonly external?: string
  readonly address?: 'floating' | 'direct' | 'ipv6'
  /** Only say what would be made. */
  readonly dry_run?: boolean
}

/** Answer to POST /v1/gates/deploy; no gates for a dry run. */
export interface Deployed {
  readonly plan: GatePlan
  readonly gates: readonly Gate[]
}

/** Who may reach port 22 of the gates that the service makes: prefixes. */
export interface GateAccess {
  readonly allow: readonly string[]
}

/** Answer to GET /v1/service. */
export interface ServiceStatus {
  /** The same for all replicas, after every restart. */
  readonly id: string
  readonly version: string
  /** When this replica was started. */
  readonly since: string
  /** The project of its account, where its gates are. */
  readonly project_id: string
  readonly project_name: string
  /** What one gate takes. */
  readonly limits: {readonly paths: number; readonly networks: number}
}

/** RFC 9457 problem document; `code` is one of the catalogue in src/errors.ts. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly detail: string
  readonly hint?: string
  readonly request_id?: string
}
