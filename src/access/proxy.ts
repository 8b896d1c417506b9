import {join} from 'node:path'

import type {Conversation} from '../conversation.ts'
import {OsSshError} from '../errors.ts'
import {isUuid} from '../names/uuid.ts'
import {hopArguments} from '../ssh/hop.ts'
import {packageRoot, runtimeDirectory, stateDirectory} from '../system/directories.ts'
import {makeDirectory, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {replaceProcess} from '../system/process.ts'
import {freshPath, type PathFile} from './path-files.ts'

/** What a ProxyCommand says: `proxy CLOUD VM_UUID [KEYCHAIN] [--again=SECONDS:WRITTEN]`. */
export interface ProxyArguments {
  readonly cloud: string
  readonly serverId: string
  readonly keychain?: string | undefined
  /** The path that looked fresh has just failed: after how many s, and when its file was written, epoch ms. */
  readonly again?: {readonly seconds: number; readonly written: number} | undefined
}

/** After a path that failed all of it takes no longer than this, s: ssh gives up then, and says not why (ConnectTimeout of the VM's Host). */
const PATIENCE = 180
/** Until the service has answered a request after a path that failed, ms: the user has waited already. */
const ANSWER = 45_000
/** Until another ssh's user has typed a password, ms; what is left of ssh's time is for the path. */
const LOGIN = 45_000
/** What the hop itself may take of it, s (ConnectTimeout of the gate's Host). */
const HOP = 10

/** Without the time in the file of an older os-ssh. */
const AGAIN = /^--again=(\d{1,4}):(\d{0,16})$/

/** @throws OsSshError USAGE */
export function proxyArguments(words: readonly string[]): ProxyArguments {
  const again = words.find(word => AGAIN.test(word))
  const [cloud, serverId = '', keychain, ...more] = words.filter(word => word !== again)
  if (!cloud || !isUuid(serverId) || more.length > 0) {
    throw new OsSshError('USAGE', 'proxy CLOUD VM_UUID [KEYCHAIN] is for ssh: see os-ssh config')
  }
  const [, seconds, written] = AGAIN.exec(again ?? '') ?? []
  if (seconds === undefined) return {cloud, serverId, keychain}
  return {cloud, serverId, keychain, again: {seconds: Number(seconds), written: Number(written)}}
}

/**
 * The entry of a ProxyCommand when the path is not fresh, or failed though it was: asks the service for one and becomes what
 * carries the bytes. Never reads standard input, which is ssh's. @throws OsSshError
 */
export async function proxy(args: ProxyArguments, talk: Conversation): Promise<never> {
  const fresh =
    args.again === undefined ? await freshPath(await runtimeDirectory(args.cloud), args.serverId) : undefined
  const path = fresh ?? (await renewed(args, talk))
  if (process.platform === 'win32') return replaceProcess('ssh', hopArguments(path))
  const {cloud, serverId, keychain} = args
  const words = [join(packageRoot(), 'bin', 'proxy'), cloud, serverId, ...(keychain ? [keychain] : [])]
  return replaceProcess('sh', words, {...process.env, OS_SSH_PROXY_LAST: '1'})
}

/** What a fresh path needs not is not even loaded. */
async function renewed(
  {cloud, serverId, keychain, again}: ProxyArguments,
  {ask, ...talk}: Conversation,
): Promise<PathFile> {
  const [{withSession}, {ensurePath}] = await Promise.all([
    import('./session.ts'),
    import('./ensure-path.ts'),
  ])
  const end = again && Date.now() + Math.max(HOP, PATIENCE - HOP - again.seconds) * 1000
  const timeout = again && ANSWER
  const renew = (more: Pick<Conversation, 'ask'>) =>
    withSession({cloud, keychain, needsKey: true, ...talk, timeout, ...more}, session => {
      // Of the time that a password has taken nothing is left.
      const patience = end && Math.max(0, end - Date.now())
      return ensurePath(session, serverId, {}, {failed: again?.written, patience})
    })
  return renew({}).catch(async error => {
    if (ask === undefined || !(error instanceof OsSshError) || error.code !== 'NOT_LOGGED_IN') throw error
    // What is configured is wrong: there is nothing to ask for.
    if ((error.cause as {fault?: string} | undefined)?.fault === 'refused') throw error
    // Several ssh may have been started at once: one asks, and the others find what it has got.
    const lock = join(await runtimeDirectory(cloud), 'login.lock')
    return withLock(lock, () => renew({ask}), LOGIN)
  })
}

/** Tells bin/proxy which Node to start: editors and cron have another PATH. */
export async function rememberNode(directory = stateDirectory()): Promise<void> {
  await makeDirectory(directory)
  await writeAtomic(join(directory, 'node'), `${process.execPath}\n`, 0o600)
}
