import {createHash} from 'node:crypto'
import {unlink} from 'node:fs/promises'
import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {type Keychain, openKeychain} from '../keychain/index.ts'
import {type CloudConfig, loadCloud, type OpenStack, openStack} from '../openstack/index.ts'
import type {Token} from '../openstack/types.ts'
import {readIfThere, runtimeDirectory, stateDirectory, writeAtomic} from '../ssh/files.ts'
import {translated} from './faults.ts'
import {type Service, serviceClient} from './service.ts'
import {slug} from './words.ts'

/** How to ask the user; a command on a terminal has all of these, the proxy none. */
export interface Questions {
  readonly password?: () => Promise<string>
  readonly passcode?: () => Promise<string>
  /** Passphrase of the file keychain. */
  readonly passphrase?: () => Promise<string>
}

export interface SessionOptions {
  readonly cloud?: string | undefined
  /** Kind of keychain; OS_SSH_KEYCHAIN, then `system`, when absent. */
  readonly keychain?: string | undefined
  readonly ask?: Questions
  /** Told what the user should know though nothing failed, one line each. */
  readonly say?: (line: string) => void
  readonly env?: NodeJS.ProcessEnv
  /** How long the SSH service may take for one answer, ms. */
  readonly timeout?: number | undefined
}

/** One cloud, opened for one command. */
export interface Session {
  readonly name: string
  readonly config: CloudConfig
  /** Runtime directory of the cloud: agent, paths. */
  readonly directory: string
  readonly keychain: Keychain
  readonly cloud: OpenStack
  readonly say: (line: string) => void
  token(): Promise<Token>
  service(): Promise<Service>
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
  const directory = await runtimeDirectory(slug(config.name), env)
  const keychain = openKeychain(options.keychain || env['OS_SSH_KEYCHAIN'], {
    directory: stateDirectory(env),
    passphrase: once(async () => env['OS_SSH_PASSPHRASE'] || (await (ask.passphrase ?? locked)())),
    env,
  })
  const store = tokenStore(keychain, directory, config)
  let keeping: Promise<void> = Promise.resolve()
  const kept = await store.get().catch(() => undefined)
  const cloud = openStack(config, {
    ...(kept && {token: kept}),
    ...(ask.password && {password: ask.password}),
    ...(ask.passcode && {passcode: ask.passcode}),
    // Only a convenience: where there is no keychain, the next command logs in again.
    onToken: token => {
      keeping = store.set(token).catch(() => {})
    },
  })
  const token = () => translated(() => cloud.identity.token())
  return {
    name: config.name,
    config,
    directory,
    keychain,
    cloud,
    say,
    token,
    service: once(async () => {
      const endpoint = env['OS_SSH_ENDPOINT'] || (await translated(() => cloud.endpoint('ssh')))
      if (!endpoint)
        throw new OsSshError('SERVICE_DOWN', `cloud ${config.name} has no SSH service in its catalog`)
      const {cacert, verify} = config
      return serviceClient({
        endpoint,
        cacert,
        verify,
        token: async () => (await token()).id,
        timeout: options.timeout,
      })
    }),
    keep: async () => store.set(await token()),
    forget: () => store.delete(),
    async close() {
      await keeping
      await cloud.close()
    },
  }
}

/** Opens a session, runs `work` in it, and closes it whatever happens; the cloud's faults come out as OsSshError. */
export async function withSession<T>(
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(options)
  try {
    return await translated(() => work(session))
  } finally {
    await session.close()
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

async function locked(): Promise<never> {
  throw new OsSshError('NOT_LOGGED_IN', 'the file keychain is locked and nobody can be asked here', {
    hint: 'run os-ssh login, or set OS_SSH_PASSPHRASE',
  })
}

/** Where a token is kept: the keychain; beside the agent, in the runtime directory, for the keychain `agent`. */
function tokenStore(keychain: Keychain, directory: string, config: CloudConfig) {
  // Another user, project or region of the same cloud is another token. Secrets are no part of the name.
  const {password: _p, passcode: _c, token: _t, application_credential_secret: _s, ...who} = config.auth
  const mark = createHash('sha256')
    .update(JSON.stringify([config.name, config.region, who]))
    .digest('hex')
    .slice(0, 16)
  const account = `token:${slug(config.name)}:${mark}`
  const file = join(directory, `token-${mark}`)
  const inFile = keychain.kind === 'agent'
  return {
    async get(): Promise<Token | undefined> {
      const text = inFile ? await readIfThere(file) : await keychain.get(account)
      if (!text) return undefined
      const token = JSON.parse(text)
      return {...token, expires_at: new Date(token.expires_at)}
    },
    async set(token: Token): Promise<void> {
      const text = JSON.stringify(token)
      await (inFile ? writeAtomic(file, text, 0o600) : keychain.set(account, text))
    },
    async delete(): Promise<void> {
      await (inFile ? unlink(file).catch(() => {}) : keychain.delete(account))
    },
  }
}
