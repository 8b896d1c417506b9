import {readdir, unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {stopAgent} from '../ssh/agent.ts'
import {run} from '../ssh/process.ts'
import {ensureIdentity} from './identity.ts'
import {forgetPath, readPath} from './path-file.ts'
import {type SessionOptions, withSession} from './session.ts'

export interface LoggedIn {
  readonly cloud: string
  readonly user: string
  readonly project: string | null
  readonly until: string
}

/** Gets a token, keeps it, and puts the key into the agent, so that ssh needs not ask. @throws OsSshError */
export function login(options: SessionOptions): Promise<LoggedIn> {
  return withSession({...options, needsKey: true}, async session => {
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
  })
}

/**
 * Forgets on this machine: kept token (revoked too, when the cloud answers), agent, open gate connections, paths'
 * files. The key in the keychain stays; paths at the service end by themselves or by `paths revoke`.
 */
export function logout(options: SessionOptions): Promise<{cloud: string}> {
  return withSession(options, async session => {
    const {directory} = session
    const files = await readdir(directory)
    for (const name of files.filter(name => name.endsWith('.path'))) {
      const id = name.slice(0, -'.path'.length)
      const path = await readPath(directory, id)
      if (path) await run('ssh', ['-F', path.config, '-O', 'exit', path.gate])
      await forgetPath(directory, id)
    }
    await stopAgent(directory)
    await session.cloud.identity.revoke().catch(() => {})
    await session.forget().catch(() => {})
    for (const name of files.filter(name => /^(id|token)-[0-9a-f]+$/.test(name))) {
      await unlink(join(directory, name)).catch(() => {})
    }
    return {cloud: session.name}
  })
}
