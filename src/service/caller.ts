import type {OpenStack, Token} from '../openstack/index.ts'
import type {Actor} from './store/audit.ts'

/** Who asks, with what the cloud says about them. */
export interface Caller {
  readonly token: Token
  /** The cloud through the caller's own eyes. */
  readonly cloud: OpenStack
  readonly source: string
  /** Whether they are an admin whose word counts here: of the whole system, or of a project that the operator named. */
  readonly admin: boolean
}

/** The caller as the audit names them. */
export const actor = ({token, source}: Pick<Caller, 'token' | 'source'>): Actor => ({
  id: token.user.id,
  name: token.user.name,
  project_id: token.project?.id ?? '',
  source,
})
