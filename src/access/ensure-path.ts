import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import type {Path, PathGrant, PathRequest} from '../protocol/index.ts'
import {pinnedKeys} from '../ssh/known-hosts.ts'
import {learnHostKey} from '../ssh/trust.ts'
import {withLock} from '../system/lock.ts'
import {checkGrant} from './grant.ts'
import {pinGranted} from './host-keys.ts'
import {ensureIdentity} from './identity.ts'
import {freshPath, now, type PathFile, pathFiles, readPath} from './path-files.ts'
import type {Session} from './session.ts'
import {writePath} from './write-path.ts'

/** How long the service may take to make a path, ms. */
const PATIENCE = 120_000
/** How long what it says to be waiting for, a gate that boots, may take before that, ms. */
const LONG = 480_000
/** How long the service keeps a request that it cannot answer yet, s. */
const POLL = 10
/** While it says how far it is, s. */
const TELL = 2
/** A path that ends sooner than this is of no use, s. */
const LAST_MOMENT = 30

/**
 * A usable path to a VM: the one there is while it is young, else a renewed or new one from the service. Ten callers at
 * once ask the service once. When the service is away, an older path serves until it expires.
 *
 * @param patience how long the caller waits at most, whatever the service is waiting for, ms
 * @param failed when the file of the path that does not work was written, epoch ms: one that was written since is another try
 * @throws OsSshError whatever the service says, BUSY when it takes too long, NOT_LOGGED_IN, HOST_KEY, NO_KEYCHAIN
 */
export async function ensurePath(
  session: Session,
  serverId: string,
  wanted: Pick<PathRequest, 'network_id' | 'life'> = {},
  {failed, patience = LONG + PATIENCE}: {failed?: number | undefined; patience?: number | undefined} = {},
): Promise<PathFile> {
  const deadline = Date.now() + patience
  const make = async () => {
    const there = await freshPath(session.directory, serverId)
    // One that failed is of no use, unless another process has got it anew meanwhile.
    const works = failed === undefined || failed !== there?.written
    if (there && works && Object.keys(wanted).length === 0) return there
    const identity = await ensureIdentity(session)
    try {
      const asked = {server_id: serverId, public_key: identity.publicKey, ...wanted}
      const body = failed === undefined ? asked : {...asked, failed: true}
      const grant = await ask(session, body, deadline)
      await pinGranted(session, grant)
      const path = await writePath(session.directory, grant, identity)
      await trust(session, grant, path)
      return path
    } catch (error) {
      // The older path is what has just failed.
      if (failed !== undefined) throw error
      const old = await readPath(session.directory, serverId)
      if (!(error instanceof OsSshError) || error.code !== 'SERVICE_DOWN') throw error
      if (!old || old.expires - now() < LAST_MOMENT) throw error
      session.say(
        `the path could not be renewed (${error.message}); it can be used for ${Math.floor((old.expires - now()) / 60)} min`,
      )
      return old
    }
  }
  // Who has the lock may be waiting for a gate.
  const held = () => session.progress(`another os-ssh makes the path to VM ${serverId} …`)
  return withLock(pathFiles(session.directory, serverId).lock, make, patience, held)
}

/** @param deadline of the caller, epoch ms */
async function ask(session: Session, body: PathRequest, deadline: number): Promise<PathGrant> {
  const service = await session.service()
  const since = Date.now()
  let until = Math.min(since + PATIENCE, deadline)
  // What it is doing is asked for after a second: by then a user wonders.
  for (let wait = 1, isFirst = true; ; isFirst = false) {
    const path = await service.request<Path>('POST', `/v1/paths?wait=${wait}`, body)
    if (path?.state === 'failed') {
      const {code = 'GATE_DOWN', detail = 'the path could not be made', hint} = path.error ?? {}
      throw new OsSshError(code as 'GATE_DOWN', detail, hint ? {hint} : {})
    }
    if (path?.state === 'active') return checkGrant(path, body.server_id)
    const {progress} = path ?? {}
    const at = Date.now()
    // Once its gate is there, the path has the time of any other.
    if (progress !== undefined) until = Math.min(at + PATIENCE, deadline)
    if (at >= until || (progress !== undefined && at >= since + LONG))
      throw new OsSshError(
        'BUSY',
        `the path to VM ${body.server_id} is still being made, after ${Math.round((at - since) / 1000)} s`,
      )
    if (progress !== undefined) session.progress(`${plain(progress)} …`)
    else if (isFirst) session.progress(`making a path to ${path?.server_name}${steps[path?.route] ?? ''} …`)
    wait = Math.min(progress === undefined ? POLL : TELL, Math.ceil((until - at) / 1000))
    await sleep(500)
  }
}

/** What takes its time, by the kind of route. */
const steps: Readonly<Record<string, string>> = {
  attached: ': the gate gets a port on its network',
  routed: ': the gate gets a port on a network that a router joins with it',
  direct: ': the gate asks it for an answer',
}

/** Without a key in the console log, the first key that is seen is pinned, once, and the user is told. */
async function trust(session: Session, grant: PathGrant, path: PathFile): Promise<void> {
  const id = grant.server_id
  if (grant.host_keys.length > 0 || (await pinnedKeys(id)).length > 0) return
  const learned = await learnHostKey(id, path)
  if (learned)
    session.say(`the console of VM ${id} shows no host key: accepted the one it has now, ${learned}`)
}
