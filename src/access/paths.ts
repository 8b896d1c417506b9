import {ambiguous, find, matching, missing, type Naming} from '../names/find.ts'
import type {Path} from '../protocol/index.ts'
import {checkPaths} from './grant.ts'
import {forgetPath} from './path-files.ts'
import type {Session} from './session.ts'

/** The user's paths. */
export async function listPaths(session: Session): Promise<readonly Path[]> {
  const service = await session.service()
  return checkPaths(await service.request('GET', '/v1/paths'))
}

/** Whose paths an operator means. */
export interface Which {
  readonly user_id?: string | undefined
  readonly server_id?: string | undefined
  readonly project_id?: string | undefined
}

const queryOf = (which: Which): URLSearchParams =>
  new URLSearchParams(Object.entries(which).filter(([, value]) => value !== undefined))

/** Everybody's paths, or some of them; for operators. @throws OsSshError DENIED */
export async function listAllPaths(session: Session, which: Which): Promise<readonly Path[]> {
  const service = await session.service()
  const query = queryOf(which)
  query.set('all', 'true')
  return checkPaths(await service.request('GET', `/v1/paths?${query}`))
}

/**
 * Ends the paths of a user, to a VM or of a project, and bars new ones for a minute; for operators.
 *
 * @returns how many were ended
 * @throws OsSshError DENIED
 */
export async function revokeAll(session: Session, which: Which): Promise<number> {
  const service = await session.service()
  return (await service.request<{revoked: number}>('DELETE', `/v1/paths?${queryOf(which)}`)).revoked
}

const naming: Naming<Path> = {
  kind: 'path',
  ids: ({id, server_id}) => [id, server_id],
  names: ({server_name}) => [server_name],
  line: ({id, server_name, expires_at}) => `${id}  ${server_name}  until ${expires_at}`,
  hint: 'see os-ssh paths list',
}

/** One path, by its id, a unique start of it, or its VM's id or name. @throws OsSshError NOT_FOUND, AMBIGUOUS */
export async function findPath(session: Session, word: string): Promise<Path> {
  return find(word, await listPaths(session), naming)
}

/** Ends a path at the service and forgets it here; not the VM's host keys, which are as true as before. */
export async function revokePath(session: Session, path: Path): Promise<void> {
  const service = await session.service()
  await service.request('DELETE', `/v1/paths/${encodeURIComponent(path.id)}`)
  await forgetPath(session.directory, path.server_id)
}

/**
 * Ends the path of this id, or all of the user's to the VM of this id or name.
 *
 * @returns what was done, for people
 * @throws OsSshError NOT_FOUND; AMBIGUOUS when it may be paths to several VMs
 */
export async function revokeByWord(session: Session, word: string): Promise<string> {
  const paths = await listPaths(session)
  const found = matching(word, paths, naming)
  if (found.length === 0) throw missing(word, paths, naming)
  if (new Set(found.map(path => path.server_id)).size > 1) throw ambiguous(word, found, naming)
  return revoked(session, found)
}

/** Ends all paths of the user. @returns what was done, for people */
export async function revokeMine(session: Session): Promise<string> {
  return revoked(session, await listPaths(session))
}

async function revoked(session: Session, paths: readonly Path[]): Promise<string> {
  const lines: string[] = []
  let fault: unknown
  // One whose gate is down keeps none of the others.
  for (const path of paths)
    await revokePath(session, path).then(
      () => lines.push(`revoked ${path.id} to ${path.server_id}`),
      error => {
        fault ??= error
      },
    )
  if (fault !== undefined) {
    for (const line of lines) session.say(line)
    throw fault
  }
  return lines.length === 0 ? 'there is no path to end' : lines.join('\n')
}
