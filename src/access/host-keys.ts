import {OsSshError} from '../errors.ts'
import {isUuid} from '../names/uuid.ts'
import type {HostKeys, PathGrant, Rebuild} from '../protocol/index.ts'
import {fingerprint} from '../ssh/keys.ts'
import {forgetKeys, pinKeys, pinnedKeys, pinnedRebuild, replaceKeys} from '../ssh/known-hosts.ts'
import {checkHostKeys} from './grant.ts'
import {forgetPath} from './path-files.ts'
import {findServer} from './servers.ts'
import type {Session} from './session.ts'

/**
 * Pins the host keys of a grant. Others than those that were pinned are taken only after a rebuild that Nova itself confirms,
 * once, and the user is told; the service's word alone is not enough.
 *
 * @throws OsSshError HOST_KEY
 */
export async function pinGranted(
  session: Session,
  grant: Pick<PathGrant, 'server_id' | 'host_keys' | 'rebuild'>,
): Promise<void> {
  const {server_id: id, host_keys: keys, rebuild} = grant
  if (rebuild && !rebuild.keys_seen && (await pinnedRebuild(id)) !== rebuild.request_id)
    session.say(`${told(id, rebuild)}; its console does not show its new host keys (yet)`)
  try {
    await pinKeys(id, keys, {rebuild: rebuild?.keys_seen ? rebuild.request_id : undefined})
  } catch (error) {
    if (!(error instanceof OsSshError) || error.code !== 'HOST_KEY' || !rebuild?.keys_seen) throw error
    const newest = await newestRebuild(session, id)
    if (newest?.request_id !== rebuild.request_id || (await pinnedRebuild(id)) === newest.request_id)
      throw error
    await replaceKeys(id, keys, newest.request_id)
    const marks = keys.map(fingerprint).join(', ')
    session.say(`${told(id, newest)}: its host key is now ${marks}`)
  }
}

const told = (id: string, {at, user_id}: Pick<Rebuild, 'at' | 'user_id'>) =>
  `VM ${id} was rebuilt at ${at} by the user ${user_id || 'of the cloud'}`

/** The newest one by Nova's own record, asked with the user's token; an older one explains no new keys. */
async function newestRebuild(
  session: Session,
  id: string,
): Promise<Pick<Rebuild, 'request_id' | 'at' | 'user_id'> | undefined> {
  const actions = await session.cloud.compute.instanceActions(id).catch(() => [])
  const [newest] = actions
    .filter(one => /^(rebuild|evacuate)$/.test(one.action))
    .sort((a, b) => Date.parse(`${b.start_time}Z`) - Date.parse(`${a.start_time}Z`))
  if (newest === undefined) return undefined
  const at = new Date(`${newest.start_time}Z`).toISOString()
  return {request_id: newest.request_id, at, user_id: newest.user_id ?? ''}
}

/** A host key that is pinned for a VM, and where. */
export interface Pin {
  readonly where: 'this machine' | 'service'
  readonly type: string
  readonly fingerprint: string
  /** Nova's request id of the rebuild that it is younger than. */
  readonly rebuild: string | null
}

/**
 * What is pinned for a VM, here and at the service. After a rebuild this machine takes the new keys, as a new path would: whoever
 * asks has just been alarmed by ssh.
 *
 * @throws OsSshError NOT_FOUND, AMBIGUOUS, DENIED
 */
export async function listPins(session: Session, vm: string): Promise<readonly Pin[]> {
  const {id} = await findServer(session, vm)
  const service = await session.service()
  const there = checkHostKeys(await service.request<HostKeys>('GET', `/v1/host-keys/${id}`), id)
  if (there.rebuild && (await pinnedKeys(id)).length > 0)
    await pinGranted(session, there).catch(error => {
      // Others than those of the service: that is what is shown.
      if (!(error instanceof OsSshError) || error.code !== 'HOST_KEY') throw error
    })
  const [here, rebuild] = [await pinnedKeys(id), await pinnedRebuild(id)]
  const pins = (where: Pin['where'], keys: readonly string[], request: string | undefined) =>
    keys.map(key => ({
      where,
      type: key.split(' ')[0] ?? '',
      fingerprint: fingerprint(key),
      rebuild: request ?? null,
    }))
  const seen = there.rebuild?.keys_seen ? there.rebuild.request_id : undefined
  return [...pins('this machine', here, rebuild), ...pins('service', there.host_keys, seen)]
}

/**
 * Forgets what is pinned for a VM, here and at the service, and the path that this machine has, so that the next connection
 * learns it anew. A VM that is not seen any more is forgotten here, by its UUID.
 *
 * @returns what was done, for people
 * @throws OsSshError NOT_FOUND, AMBIGUOUS, DENIED
 */
export async function forgetPins(session: Session, vm: string): Promise<string> {
  const gone = async (error: unknown) => {
    const pinned = isUuid(vm) && (await pinnedKeys(vm)).length > 0
    if (pinned && error instanceof OsSshError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
  const server = await findServer(session, vm).catch(gone)
  const id = server?.id ?? vm
  if (server !== undefined) await (await session.service()).request('DELETE', `/v1/host-keys/${id}`)
  await forgetKeys(id)
  await forgetPath(session.directory, id)
  const where = server === undefined ? 'here; you see no such VM' : 'here and at the service'
  return `the host keys of ${id} are forgotten, ${where}`
}
