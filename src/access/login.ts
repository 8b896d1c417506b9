import {readdir, unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {stopAgent} from '../ssh/agent.ts'
import {closeHop} from '../ssh/hop.ts'
import {ensureIdentity} from './identity.ts'
import {stopService} from './own-process.ts'
import {forgetPath, keptPaths, readPath} from './path-files.ts'
import type {Session} from './session.ts'

export interface LoggedIn {
  readonly cloud: string
  readonly user: string
  readonly project: string | null
  readonly until: string
}

/** Gets a token, keeps it, and puts the key into the agent, so that ssh needs not ask. @throws OsSshError */
export async function login(session: Session): Promise<LoggedIn> {
  // Before a password is asked for: without one there is no use in it.
  session.needKeychain()
  const {user, project, expires_at} = await session.token()
  await session.keep()
  await ensureIdentity(session)
  return {
    cloud: session.name,
    user: user.name,
    project: project?.name ?? null,
    until: expires_at.toISOString(),
  }
}

/**
 * Ends this machine's paths, at the service too when it answers, and forgets here: kept token (revoked too, when the cloud
 * answers), agent, open gate connections, paths' files. The key in the keychain stays.
 *
 * @returns how many paths could not be ended: these end by themselves
 */
export async function logout(session: Session): Promise<{cloud: string; left: number}> {
  const {directory} = session
  const ids = await keptPaths(directory)
  const ended = await Promise.all(ids.map(id => endHere(session, id)))
  await stopAgent(directory)
  // It may hold the password; what it was not done with waits for its next start.
  await stopService(session).catch(error => session.say(`the service goes on: ${(error as Error).message}`))
  await session.cloud.identity.revoke().catch(() => {})
  await session.forget().catch(() => {})
  const files = await readdir(directory)
  for (const name of files.filter(name => /^(id|token)-[0-9a-f]+$/.test(name))) {
    await unlink(join(directory, name)).catch(() => {})
  }
  return {cloud: session.name, left: ended.filter(done => !done).length}
}

/** @returns whether the service has ended it */
async function endHere(session: Session, serverId: string): Promise<boolean> {
  const path = await readPath(session.directory, serverId)
  let ended = true
  if (path) {
    await closeHop(path)
    ended = await session
      .service()
      .then(service => service.request('DELETE', `/v1/paths/${encodeURIComponent(path.id)}`))
      .then(
        () => true,
        // What the service does not know any more has ended, too.
        error => error instanceof OsSshError && error.code === 'NOT_FOUND',
      )
  }
  await forgetPath(session.directory, serverId)
  return ended
}
