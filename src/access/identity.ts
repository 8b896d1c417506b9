import {createHash} from 'node:crypto'
import {join} from 'node:path'

import {ensureAgent} from '../ssh/agent.ts'
import {generateKeyPair, parsePrivateKey} from '../ssh/keys.ts'
import {fileName} from '../system/directories.ts'
import {readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import type {Session} from './session.ts'

/** How long the agent remembers the key, s. */
const AGENT_LIFE = 24 * 3600
/** A key that is forgotten sooner than this is handed over again, s: a path made with it should outlive its user's day. */
const ENOUGH = 9 * 3600

/** The user's key on this cloud, held by the agent now. */
export interface Identity {
  readonly publicKey: string
  /** When the agent forgets it, epoch seconds. */
  readonly until: number
}

/**
 * The user's key pair on this cloud, made on first use, and in the agent. Its private part lies in the keychain; with
 * the keychain `agent` only in the agent, so that a new one is made when the agent is gone.
 * @throws OsSshError NO_KEYCHAIN, NOT_LOGGED_IN
 */
export async function ensureIdentity(session: Session): Promise<Identity> {
  const {user} = await session.token()
  const {directory, keychain, name} = session
  const mark = createHash('sha256').update(user.id).digest('hex').slice(0, 12)
  const file = join(directory, `id-${mark}`)
  return withLock(`${file}.lock`, async () => {
    const agent = await ensureAgent(directory)
    const saved = parse(await readIfThere(file))
    const held =
      saved && (await agent.keys()).some(key => saved.publicKey.startsWith(key)) ? saved : undefined
    const now = Math.floor(Date.now() / 1000)
    if (held && held.until - now > ENOUGH) return held
    const privateKey = await secret(session, `key:${fileName(name)}:${user.id}`).catch(error => {
      if (held && held.until > now + 60) return undefined
      throw error
    })
    if (privateKey === undefined && held) return held
    const pair = privateKey ?? generateKeyPair(`os-ssh ${user.name}@${name}`).privateKey
    await agent.add(pair, AGENT_LIFE)
    const identity = {publicKey: parsePrivateKey(pair).publicKey, until: now + AGENT_LIFE}
    await writeAtomic(file, JSON.stringify(identity), 0o600)
    if (keychain.kind === 'agent')
      session.say('the private key lives in the ssh-agent of os-ssh only (--keychain agent)')
    return identity
  })
}

/** The private key in the keychain, made when there is none; undefined when the keychain keeps nothing. */
async function secret({keychain, name}: Session, account: string): Promise<string | undefined> {
  if (keychain.kind === 'agent') return undefined
  const kept = await keychain.get(account)
  if (kept) return kept
  const {privateKey} = generateKeyPair(`os-ssh ${name}`)
  await keychain.set(account, privateKey)
  return privateKey
}

/** Public half of the key the agent holds for a user, if any; asks nobody. */
export async function knownIdentity(directory: string, userId: string): Promise<Identity | undefined> {
  const mark = createHash('sha256').update(userId).digest('hex').slice(0, 12)
  return parse(await readIfThere(join(directory, `id-${mark}`)))
}

function parse(text: string | undefined): Identity | undefined {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
