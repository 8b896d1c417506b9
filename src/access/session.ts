import type {Conversation, Questions} from '../conversation.ts'
import {OsSshError} from '../errors.ts'
import {openKeychain} from '../keychain/index.ts'
import type {Keychain} from '../keychain/keychain.ts'
import {type CloudConfig, loadCloud, type OpenStack, openStack} from '../openstack/index.ts'
import type {Token} from '../openstack/types.ts'
import {runtimeDirectory, stateDirectory} from '../system/directories.ts'
import {loginFault, translated} from './faults.ts'
import {type SshService, sshServiceClient} from './ssh-service.ts'
import {tokenStore} from './token-store.ts'

export interface SessionOptions extends Conversation {
  readonly cloud?: string | undefined
  /** Kind of keychain; OS_SSH_KEYCHAIN, then `system`, when absent. */
  readonly keychain?: string | undefined
  readonly env?: NodeJS.ProcessEnv
  /** The work is of no use without the key: nobody is asked for a password when the keychain cannot keep it. */
  readonly needsKey?: boolean
  /** How long the SSH service may take for one answer, ms. */
  readonly timeout?: number | undefined
}

/** One cloud, opened for one command. */
export interface Session {
  readonly name: string
  readonly config: CloudConfig
  readonly env: NodeJS.ProcessEnv
  readonly ask: Questions
  /** Runtime directory of the cloud: agent, paths. */
  readonly directory: string
  readonly keychain: Keychain
  readonly cloud: OpenStack
  readonly say: (line: string) => void
  /** The outcome of `work`; a user who waits for it longer than `after` ms (a second) is told what it is. */
  during<T>(what: string, work: Promise<T>, after?: number): Promise<T>
  /** Says it where somebody sits and waits. */
  progress(line: string): void
  /** The cloud's fault as one of ours, by what this session knows. */
  explain(error: unknown): unknown
  token(): Promise<Token>
  /** Whether the keychain keeps anything at all. @throws OsSshError NO_KEYCHAIN */
  needKeychain(): void
  /** Where a service is that somebody else runs, by OS_SSH_ENDPOINT or the catalog. */
  endpoint(): Promise<string | undefined>
  /** The SSH service: that one, else the user's own, which is started when it does not run. @throws OsSshError SERVICE_DOWN */
  service(): Promise<SshService>
  /** Keeps the current token; unlike the caching by the way, this fails when it cannot. */
  keep(): Promise<void>
  /** Forgets the kept token. */
  forget(): Promise<void>
  close(): Promise<void>
}

/** Opens a cloud as the user configured it, with the token of an earlier command if it lives. @throws OsSshError */
export async function openSession(options: SessionOptions): Promise<Session> {
  const {env = process.env, ask = {}, say = () => {}} = options
  const name = options.cloud === 'envvars' ? undefined : options.cloud
  const config = await translated(() => loadCloud({env, ...(name && {cloud: name})}))
  const directory = await runtimeDirectory(config.name, env)
  const keychain = chosenKeychain(options, env)
  const store = tokenStore(keychain, directory, config)
  let keeping: Promise<void> = Promise.resolve()
  const kept = await store.get().then(
    token => ({token}),
    (fault: unknown) => ({fault}),
  )
  const needKeychain = () => {
    if ('fault' in kept && kept.fault instanceof OsSshError && kept.fault.code === 'NO_KEYCHAIN')
      throw kept.fault
  }
  const cloud = openStack(config, {
    ...('token' in kept && kept.token && {token: kept.token}),
    ...questionsOf(config, ask, options.needsKey ? needKeychain : () => {}),
    // Only a convenience: where there is no keychain, the next command logs in again.
    onToken: token => {
      keeping = store.set(token).catch(() => {})
    },
  })
  const {progress, during} = waiting(options.progress)
  const explain = (error: unknown) => loginFault(error, config, kept)
  const told = () =>
    during(`waiting for Keystone at ${new URL(config.auth.auth_url).host}`, cloud.identity.token())
  const session = {
    name: config.name,
    ...{config, env, ask, directory, keychain, cloud, say},
    during,
    progress,
    explain,
    token: told,
    needKeychain,
    endpoint: async () => env['OS_SSH_ENDPOINT'] || (await cloud.endpoint('ssh')),
    service: once(async () => patient(await findService(session, options.timeout), during)),
    keep: async () => store.set(await cloud.identity.token()),
    forget: () => store.delete(),
    async close() {
      await keeping
      await cloud.close()
    },
  } satisfies Session as Session
  return session
}

/** The service that the user names, else the catalog's, else the user's own. @throws OsSshError SERVICE_DOWN */
async function findService(session: Session, timeout: number | undefined): Promise<SshService> {
  const {name, config, cloud} = session
  const endpoint = await session.endpoint()
  const {cacert, verify, proxy} = config
  const token = async () => (await cloud.identity.token()).id
  if (endpoint) return sshServiceClient({endpoint, cacert, verify, proxy, token, timeout})
  const {ownService} = await import('./own-service.ts')
  const own = await ownService(session, {timeout})
  if (own !== undefined) return own
  throw new OsSshError('SERVICE_DOWN', `cloud ${name} has no SSH service in its catalog`, {
    hint: 'os-ssh init makes gates of your own; or ask its operator for the address, and set OS_SSH_ENDPOINT',
  })
}

function chosenKeychain({keychain, ask = {}}: SessionOptions, env: NodeJS.ProcessEnv): Keychain {
  const passphrase = async (first: boolean) =>
    env['OS_SSH_PASSPHRASE'] || (await (ask.passphrase ?? locked)(first))
  return openKeychain(keychain || env['OS_SSH_KEYCHAIN'], {
    directory: stateDirectory(env),
    passphrase: remembered(passphrase),
    env,
  })
}

/** How the user is told what is waited for. */
function waiting(progress: (line: string) => void = () => {}): Pick<Session, 'progress' | 'during'> {
  return {
    progress,
    during: (what, work, after = PATIENCE) => slowly(work, {after, told: () => progress(`${what} …`)}),
  }
}

/** A service; who waits for it longer than it was asked to wait itself is told. */
function patient(service: SshService, during: Session['during']): SshService {
  return {
    endpoint: service.endpoint,
    request: (method, path, body) => {
      const [, own = '0'] = /[?&]wait=(\d+)/.exec(path) ?? []
      const after = PATIENCE + Number(own) * 1000
      return during(
        `waiting for the SSH service at ${service.endpoint}`,
        service.request(method, path, body),
        after,
      )
    },
  }
}

/** Who is asked for the cloud's secrets, if anybody. @param before throws when an answer would be of no use */
function questionsOf({name, auth}: CloudConfig, {password, passcode}: Questions, before: () => void) {
  const whose = (again: boolean) => {
    before()
    return {user: auth.username ?? auth.user_id ?? '?', cloud: name, again}
  }
  return {
    ...(password && {password: async (again: boolean) => password(whose(again))}),
    ...(passcode && {passcode: async (again: boolean) => passcode(whose(again))}),
  }
}

/** Opens a session, runs `work` in it, and closes it whatever happens; the cloud's faults come out as OsSshError. */
export async function withSession<T>(
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(options)
  try {
    return await work(session)
  } catch (error) {
    throw session.explain(error)
  } finally {
    await session.close()
  }
}

/** After this a user wonders, ms. */
const PATIENCE = 1000

async function slowly<T>(work: Promise<T>, {after, told}: {after: number; told: () => void}): Promise<T> {
  const timer = setTimeout(told, after)
  try {
    return await work
  } finally {
    clearTimeout(timer)
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

/** Asks once; what was wrong is asked for anew by the next command. */
function remembered(ask: (first: boolean) => Promise<string>): (first: boolean) => Promise<string> {
  let said: Promise<string> | undefined
  return first => (said ??= ask(first))
}

async function locked(): Promise<never> {
  throw new OsSshError('NOT_LOGGED_IN', 'the file keychain is locked and nobody can be asked here', {
    hint: 'run os-ssh login, or set OS_SSH_PASSPHRASE',
  })
}
