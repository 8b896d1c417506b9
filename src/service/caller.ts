import type {OpenStack, Token} from '../openstack/index.ts'

/** Who asks, with what the cloud says about them. */
export interface Caller {
  readonly token: Token
  /** The cloud through the caller's own eyes. */
  readonly cloud: OpenStack
  readonly source: string
  /** Whether they are an admin whose word counts here: of the whole system, or of a project that the operator named. */
  readonly admin: boolean
}
