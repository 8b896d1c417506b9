import type {CloudConfig, Token} from '../openstack/index.ts'
import type {ServiceKeys} from './keys.ts'

/** What a client gives the service that it starts, through a pipe: no argument, variable or file ever has it. */
export interface Handover {
  readonly cloud: CloudConfig
  /** The client's own: it need not ask for another at once. */
  readonly token: Token
  readonly keys: ServiceKeys
  readonly version: string
  /** How long it stays without a request, with nothing to do, s. */
  readonly idle: number
}

/** Whether whoever has this configuration gets a new token by it, without asking anybody. */
export function renews({auth, auth_type = 'password'}: CloudConfig): boolean {
  if (auth_type === 'password') return auth.password !== undefined
  return auth_type === 'application_credential' && auth.application_credential_secret !== undefined
}

/** @param text what `JSON.stringify` made of one */
export function parseHandover(text: string): Handover {
  const handover = JSON.parse(text) as Handover
  const {token} = handover
  return {...handover, token: {...token, expires_at: new Date(token.expires_at)}}
}
