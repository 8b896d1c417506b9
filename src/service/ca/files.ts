import {readFileSync, statSync} from 'node:fs'
import {open, rename, stat} from 'node:fs/promises'
import {dirname, join} from 'node:path'

import {OsSshError} from '../../errors.ts'
import {parsePrivateKey} from '../../ssh/keys.ts'

/*
 * The directory of the CAs. The key that signs is `user_ca` or `host_ca`; what is trusted beside it lies beside it. A file appears, is
 * replaced and goes in one step, and each state between two steps is one that the service can work with: nothing else says how far
 * a rotation has come. Public keys are read from the private ones; the `.pub` files are for people.
 */

export type CaKind = 'user' | 'host'
export const KINDS: readonly CaKind[] = ['user', 'host']

/** What else than the key that signs is trusted: the one that shall sign next, did so before, or did so until a rollback. */
export type Role = 'next' | 'old' | 'undone'
export const ROLES: readonly Role[] = ['next', 'old', 'undone']

/** How long a certificate lives, s, as the service has last written it down. */
const LIFE_FILE = 'cert_life'
const USUAL_LIFE_S = 3600

export interface CaKey {
  /** OpenSSH PEM. */
  readonly privateKey: string
  /** One line of type, base64 and comment. */
  readonly publicKey: string
  /** When the file was written, epoch ms: with it the phase began. */
  readonly since: number
}

export interface CaKeys {
  readonly signs: CaKey
  /** Those that are another key than `signs`; a copy of it says nothing. */
  readonly beside: Readonly<Partial<Record<Role, CaKey>>>
}

export const fileOf = (kind: CaKind, role?: Role) => [`${kind}_ca`, ...(role ? [role] : [])].join('.')

function keyIn(directory: string, name: string): CaKey | undefined {
  const file = join(directory, name)
  try {
    const since = statSync(file).mtimeMs
    const privateKey = readFileSync(file, 'utf8')
    return {privateKey, publicKey: parsePrivateKey(privateKey).publicKey, since}
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new OsSshError('CONFIG', `the CA key ${file} cannot be used: ${(cause as Error).message}`, {
      hint: 'restore it from its backup, with mode 0600 and of the account of the service',
      cause,
    })
  }
}

/** Without its comment: two spellings of one key are one. */
export const bare = (publicKey: string) => publicKey.split(' ').slice(0, 2).join(' ')

/**
 * The keys of one CA as they are now.
 *
 * @throws OsSshError CONFIG when the one that signs is missing, or a file is no key
 */
export function readKeys(directory: string, kind: CaKind): CaKeys {
  const signs = keyIn(directory, fileOf(kind))
  if (signs === undefined)
    throw new OsSshError('CONFIG', `there is no ${fileOf(kind)} in ${directory}`, {
      hint: 'is --state the directory of the service? Its first start makes the CAs; later they come from a backup',
    })
  const found = ROLES.flatMap(role => {
    const key = keyIn(directory, fileOf(kind, role))
    return key === undefined || bare(key.publicKey) === bare(signs.publicKey) ? [] : [[role, key] as const]
  })
  return {signs, beside: Object.fromEntries(found)}
}

/** Public key lines of all that is trusted; the one that signs is the first. */
export function trusted({signs, beside}: CaKeys): readonly string[] {
  const all = [signs, ...Object.values(beside)]
  return [...new Map(all.map(({publicKey}) => [bare(publicKey), publicKey])).values()]
}

/** Which files there are, and when something was last done in the directory, epoch ms. Cheap enough to be asked every second. */
export function stampOf(directory: string): {readonly text: string; readonly newest: number} {
  const names = KINDS.flatMap(kind => [fileOf(kind), ...ROLES.map(role => fileOf(kind, role))])
  const found = ['.', ...names].map(name => statSync(join(directory, name), {throwIfNoEntry: false}))
  return {
    text: found.map(file => (file ? `${file.ino} ${file.ctimeMs} ${file.size}` : '')).join(','),
    newest: Math.max(...found.map(file => file?.ctimeMs ?? 0)),
  }
}

/** Writes a file of the directory in one step, 0600 and of the directory's owner: root may rotate what the service must read. */
export async function put(file: string, text: string): Promise<void> {
  const temp = `${file}.new`
  const handle = await open(temp, 'w', 0o600)
  try {
    await handle.chmod(0o600)
    const {uid, gid} = await stat(dirname(file))
    if (process.getuid?.() === 0) await handle.chown(uid, gid)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temp, file)
}

function textIn(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** Makes the `.pub` that people read say what signs now. */
export async function publish(directory: string, kind: CaKind, {signs}: CaKeys): Promise<void> {
  const file = join(directory, `${fileOf(kind)}.pub`)
  const text = `${signs.publicKey}\n`
  if (textIn(file) !== text) await put(file, text)
}

/** Writes down how long certificates live, s, for whoever rotates the CA in another process. */
export async function noteLife(directory: string, seconds: number): Promise<void> {
  const file = join(directory, LIFE_FILE)
  if (textIn(file) !== `${seconds}\n`) await put(file, `${seconds}\n`)
}

/** How long certificates live, s. */
export function lifeIn(directory: string): number {
  const seconds = Number(textIn(join(directory, LIFE_FILE)) ?? Number.NaN)
  return Number.isFinite(seconds) && seconds > 0 ? seconds : USUAL_LIFE_S
}
