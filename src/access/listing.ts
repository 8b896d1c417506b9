import {knownIdentity} from './identity.ts'
import {readPath} from './path-files.ts'
import {addressesOf, listServers} from './servers.ts'
import type {Session} from './session.ts'

/** A VM as `os-ssh list` shows it. */
export interface Vm {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly addresses: readonly string[]
  /** Until when this machine holds a path to it, RFC 3339; null without one. */
  readonly path_until: string | null
}

/** The VMs the user may see, by name: one listing, whatever their number. @throws OsSshError */
export async function listVms(session: Session): Promise<readonly Vm[]> {
  const servers = await listServers(session)
  const rows = servers.map(async (server): Promise<Vm> => {
    const {id, name, status} = server
    const path = await readPath(session.directory, id)
    const live = path && path.expires * 1000 > Date.now()
    return {
      id,
      name,
      status,
      addresses: addressesOf(server),
      path_until: live ? new Date(path.expires * 1000).toISOString() : null,
    }
  })
  return (await Promise.all(rows)).sort((a, b) => (`${a.name} ${a.id}` < `${b.name} ${b.id}` ? -1 : 1))
}

/** Who the user is to the cloud and to the gates. */
export interface Me {
  readonly cloud: string
  readonly user: string
  readonly user_id: string
  readonly project: string | null
  readonly roles: readonly string[]
  readonly token_expires_at: string
  readonly service: string | null
  readonly keychain: string
  /** Public key in the agent; null before the first path. */
  readonly public_key: string | null
}

/** @throws OsSshError NOT_LOGGED_IN and the like */
export async function whoAmI(session: Session): Promise<Me> {
  const token = await session.token()
  const service = await session.service().catch(() => undefined)
  const identity = await knownIdentity(session.directory, token.user.id)
  return {
    cloud: session.name,
    user: token.user.name,
    user_id: token.user.id,
    project: token.project?.name ?? null,
    roles: token.roles,
    token_expires_at: token.expires_at.toISOString(),
    service: service?.endpoint ?? null,
    keychain: session.keychain.kind,
    public_key: identity?.publicKey ?? null,
  }
}
