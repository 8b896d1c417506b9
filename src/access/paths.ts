import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {ambiguous, find, matching, missing, type Naming} from '../find.ts'
import type {Path, PathGrant, PathRequest} from '../protocol/index.ts'
import {agentSocket} from '../ssh/agent.ts'
import {pinnedKeys} from '../ssh/known-hosts.ts'
import {configPath} from '../ssh/quote.ts'
import {learnHostKey} from '../ssh/trust.ts'
import {writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {template} from '../system/template.ts'
import {checkGrant, checkPaths} from './grant.ts'
import {pinGranted} from './host-keys.ts'
import {ensureIdentity, type Identity} from './identity.ts'
import {forgetPath, freshPath, type PathFile, readPath, writtenAt} from './path-file.ts'
import type {Session} from './session.ts'

/** How long the service may take to make a path, ms. */
const PATIENCE = 120_000
/** How long the service keeps a request that it cannot answer yet, s. */
const POLL = 10
/** A path that ends sooner than this is of no use, s. */
const LAST_MOMENT = 30
/** Longest directory below which ssh's control socket (%C and a temporary suffix) fits into sun_path. */
const MAX_CONTROL_DIRECTORY = 104 - 60

const now = () => Math.floor(Date.now() / 1000)

/**
 * A usable path to a VM: the one there is while it is young, else a renewed or new one from the service. Ten callers at
 * once ask the service once. When the service is away, an older path serves until it expires.
 * @param failedAt since when the path that there is does not work, epoch ms
 * @throws OsSshError whatever the service says, NOT_LOGGED_IN, HOST_KEY, NO_KEYCHAIN
 */
export async function ensurePath(
  session: Session,
  serverId: string,
  wish: Pick<PathRequest, 'network_id' | 'life'> = {},
  {failedAt, patience = PATIENCE}: {failedAt?: number | undefined; patience?: number | undefined} = {},
): Promise<PathFile> {
  return withLock(join(session.directory, `${serverId}.lock`), async () => {
    const there = await freshPath(session.directory, serverId)
    // One that failed is of no use, unless another process has got it anew meanwhile.
    const works = failedAt === undefined || (await writtenAt(session.directory, serverId)) > failedAt
    if (there && works && Object.keys(wish).length === 0) return there
    const identity = await ensureIdentity(session)
    try {
      const body = {server_id: serverId, public_key: identity.publicKey, ...wish}
      const grant = await ask(session, body, patience)
      await pinGranted(session, grant)
      const path = await writePath(session.directory, grant, identity)
      await trust(session, grant, path)
      return path
    } catch (error) {
      // The older path is what has just failed.
      if (failedAt !== undefined) throw error
      const old = await readPath(session.directory, serverId)
      if (!(error instanceof OsSshError) || error.code !== 'SERVICE_DOWN') throw error
      if (!old || old.expires - now() < LAST_MOMENT) throw error
      session.say(
        `the path could not be renewed (${error.message}); it can be used for ${Math.floor((old.expires - now()) / 60)} min`,
      )
      return old
    }
  })
}

async function ask(session: Session, body: PathRequest, patience: number): Promise<PathGrant> {
  const service = await session.service()
  const deadline = Date.now() + patience
  // What it is doing is asked for after a second: by then a user wonders.
  for (let wait = 1; ; wait = Math.min(POLL, Math.ceil(patience / 1000))) {
    const path = await service.request<Path>('POST', `/v1/paths?wait=${wait}`, body)
    if (path?.state === 'failed') {
      const {code = 'GATE_DOWN', detail = 'the path could not be made', hint} = path.error ?? {}
      throw new OsSshError(code as 'GATE_DOWN', detail, hint ? {hint} : {})
    }
    if (path?.state === 'active') return checkGrant(path, body.server_id)
    if (Date.now() > deadline)
      throw new OsSshError(
        'BUSY',
        `the path to VM ${body.server_id} is still being made, after ${patience / 1000} s`,
      )
    if (wait === 1) session.progress(`making a path to ${path?.server_name}${steps[path?.route] ?? ''} …`)
    await sleep(500)
  }
}

/** What takes its time, by the kind of route. */
const steps: Readonly<Record<string, string>> = {
  attached: ': the gate gets a port on its network',
  routed: ': the gate gets a port on a network that a router joins with it',
  direct: ': the gate asks it for an answer',
}

async function writePath(directory: string, grant: PathGrant, identity: Identity): Promise<PathFile> {
  const at = join(directory, grant.server_id)
  // The certificate's end, and not the path's: nothing new begins after it.
  const expires = Math.floor(Date.parse(grant.certificate_until) / 1000)
  const control = join(directory, '..', '.c')
  const until = Math.min(now() + Math.floor(((expires - now()) * 2) / 3), identity.until - 60)
  // A rebuilt VM is about to show its new keys: ask for them each time until it has.
  const unsettled = grant.rebuild?.keys_seen === false
  const config = template('ssh_config/gate.eta')({
    gate: grant.gate.id,
    host: grant.gate.host,
    port: grant.gate.port,
    login: grant.login,
    knownHosts: configPath(`${at}.known`),
    certificate: configPath(`${at}-cert.pub`),
    publicKey: configPath(`${at}.pub`),
    agent: configPath(agentSocket(directory)),
    // Not on Windows: its OpenSSH cannot multiplex.
    control:
      process.platform !== 'win32' && control.length <= MAX_CONTROL_DIRECTORY
        ? configPath(`${control}/`).replace(/"$/, '%C"')
        : undefined,
  })
  // 0600 for the public ones too: ssh frightens its user about others when the agent is empty (GATE.md).
  await writeAtomic(`${at}.known`, `@cert-authority ${grant.gate.id} ${grant.host_ca}\n`, 0o600)
  await writeAtomic(`${at}-cert.pub`, `${grant.certificate}\n`, 0o600)
  await writeAtomic(`${at}.pub`, `${identity.publicKey}\n`, 0o600)
  await writeAtomic(`${at}.conf`, config, 0o600)
  const path = {
    until: unsettled ? 0 : until,
    alias: grant.alias,
    port: grant.port,
    gate: grant.gate.id,
    expires,
    id: grant.id,
  }
  // Last: what it names is complete when it appears.
  await writeAtomic(`${at}.path`, `${Object.values(path).join(' ')}\n`, 0o600)
  return {...path, config: `${at}.conf`}
}

/** Without a key in the console log, the first key that is seen is pinned, once, and the user is told. */
async function trust(session: Session, grant: PathGrant, path: PathFile): Promise<void> {
  const id = grant.server_id
  if (grant.host_keys.length > 0 || (await pinnedKeys(id)).length > 0) return
  const learned = await learnHostKey(id, path)
  if (learned)
    session.say(`the console of VM ${id} shows no host key: accepted the one it has now, ${learned}`)
}

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
