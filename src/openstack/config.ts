import type {NetworkTraits} from './network-traits.ts'

/**
 * Where and as whom to authenticate: one cloud of clouds.yaml, or the OS_* variables. Only `name` and `auth` are
 * needed, so one can be written by hand:
 *
 * @example
 * const config = {name: 'lab', auth: {auth_url: 'http://127.0.0.1:5000/v3', username: 'alice', password: 'alice', project_name: 'tenant1'}}
 */
export interface CloudConfig {
  /** Name in clouds.yaml, `envvars` when it came from OS_* alone (as openstacksdk calls it). */
  readonly name: string
  /** As openstacksdk names them; `password` when absent. */
  readonly auth_type?: AuthType
  readonly auth: AuthSettings
  /** Region of the catalog; the first one when absent. */
  readonly region?: string
  /** Interfaces of the catalog, best first; `public` when absent. */
  readonly interface?: readonly Interface[]
  /** Path of a PEM file with the authorities to trust instead of Node's own (which NODE_EXTRA_CA_CERTS extends). */
  readonly cacert?: string
  /** Paths of a client certificate and its key. */
  readonly cert?: string
  readonly key?: string
  /** False: do not verify the server's certificate. */
  readonly verify?: boolean
  /** Per request, ms. */
  readonly timeout?: number
  /** What differs for one service, by type with underscores (`compute`, `network`, `image`, `ssh`). */
  readonly services?: Readonly<Record<string, ServiceSettings>>
  readonly proxy?: ProxySettings
  /** What its networks are for, where their owner says so. */
  readonly networks?: readonly NetworkTraits[]
  /** The file it was read from. */
  readonly source?: string
}

export type AuthType = 'password' | 'token' | 'application_credential' | 'totp' | 'multifactor'
export type Interface = 'public' | 'internal' | 'admin'

/** The `auth` block of clouds.yaml, its older names already replaced by today's. */
export interface AuthSettings {
  readonly auth_url: string
  readonly username?: string
  readonly user_id?: string
  readonly user_domain_id?: string
  readonly user_domain_name?: string
  readonly password?: string
  readonly passcode?: string
  /** For `multifactor`: v3password, v3totp, … */
  readonly auth_methods?: readonly string[]
  readonly token?: string
  readonly application_credential_id?: string
  readonly application_credential_name?: string
  readonly application_credential_secret?: string
  readonly project_id?: string
  readonly project_name?: string
  readonly project_domain_id?: string
  readonly project_domain_name?: string
  /** Without a project: scope to this domain. */
  readonly domain_id?: string
  readonly domain_name?: string
  /** For what names no domain. Keystone's own, `default`, when absent. */
  readonly default_domain_id?: string
  readonly default_domain_name?: string
  /** `all`: scope to the whole system. */
  readonly system_scope?: string
}

export interface ServiceSettings {
  /** Used instead of the catalog's URL. */
  readonly endpoint?: string
  readonly interface?: readonly Interface[]
  readonly region?: string
  /** `2.60`: used as it is, instead of what we would pick. */
  readonly microversion?: string
}

/** The conventional variables, in their conventional meaning. */
export interface ProxySettings {
  readonly http_proxy?: string
  readonly https_proxy?: string
  readonly no_proxy?: string
}
