import {createCipheriv, createDecipheriv, randomBytes, scrypt} from 'node:crypto'
import {join} from 'node:path'
import {promisify} from 'node:util'

import {OsSshError} from '../errors.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import type {Keychain} from './keychain.ts'

/** scrypt as OWASP advises (2^15, 8, 3: 32 MiB); kept in the file, so that it can grow. */
const COST = {N: 2 ** 15, r: 8, p: 3}
const derive = promisify<string, Buffer, number, object, Buffer>(scrypt)

interface Contents {
  readonly version: 1
  readonly salt: string
  readonly secrets: Record<string, string>
}

/**
 * Secrets in one file, 0600, each sealed with AES-256-GCM under a key that scrypt makes of a passphrase; the account
 * is bound to its secret, so that entries cannot be exchanged.
 */
export function fileKeychain(directory: string, passphrase: (first: boolean) => Promise<string>): Keychain {
  const file = join(directory, 'keychain.json')
  let key: {salt: string; bytes: Promise<Buffer>} | undefined
  const unlock = (salt: string, first = false) => {
    if (key?.salt !== salt) key = {salt, bytes: keyFrom(() => passphrase(first), salt)}
    return key.bytes
  }
  const change = async (edit: (contents: Contents) => Promise<void>) => {
    await makeDirectory(directory)
    await withLock(`${file}.lock`, async () => {
      const contents = await load(file)
      await edit(contents)
      await writeAtomic(file, `${JSON.stringify(contents, null, 2)}\n`, 0o600)
    })
  }
  return {
    kind: 'file',
    async get(account) {
      const {salt, secrets} = await load(file)
      const sealed = Object.hasOwn(secrets, account) ? secrets[account] : undefined
      return sealed === undefined ? undefined : open(sealed, account, await unlock(salt), file)
    },
    async set(account, secret) {
      // Before the lock: a passphrase may be typed slowly. A first passphrase is proved by nothing, a later one is.
      const before = await load(file)
      const [first] = Object.entries(before.secrets)
      if (first) open(first[1], first[0], await unlock(before.salt), file)
      await unlock(before.salt, !first)
      await change(async contents => {
        if (!first && Object.keys(contents.secrets).length === 0) Object.assign(contents, {salt: before.salt})
        contents.secrets[account] = seal(secret, account, await unlock(contents.salt))
      })
    },
    async delete(account) {
      if (!Object.hasOwn((await load(file)).secrets, account)) return
      await change(async contents => void delete contents.secrets[account])
    },
  }
}

async function load(file: string): Promise<Contents> {
  const text = await readIfThere(file)
  if (text === undefined) return {version: 1, salt: randomBytes(16).toString('base64'), secrets: {}}
  try {
    const contents = JSON.parse(text)
    if (contents.version === 1 && typeof contents.salt === 'string' && contents.secrets) return contents
  } catch {
    // said below
  }
  throw new OsSshError('NO_KEYCHAIN', `${file} is damaged`, {hint: 'remove it: a new key is made'})
}

async function keyFrom(passphrase: () => Promise<string>, salt: string): Promise<Buffer> {
  const text = await passphrase()
  return derive(text.normalize('NFC'), Buffer.from(salt, 'base64'), 32, {...COST, maxmem: 128 * 1024 * 1024})
}

function seal(secret: string, account: string, key: Buffer): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(account))
  return Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString(
    'base64',
  )
}

function open(sealed: string, account: string, key: Buffer, file: string): string {
  const bytes = Buffer.from(sealed, 'base64')
  try {
    const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12), {authTagLength: 16})
    cipher.setAAD(Buffer.from(account)).setAuthTag(bytes.subarray(-16))
    return cipher.update(bytes.subarray(12, -16), undefined, 'utf8') + cipher.final('utf8')
  } catch (cause) {
    throw new OsSshError('NO_KEYCHAIN', 'the passphrase does not open the file keychain', {
      hint: `try again; or remove ${file}, and a new key is made`,
      cause,
    })
  }
}
