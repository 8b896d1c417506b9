import {join} from 'node:path'

import {OsSshError} from '../errors.ts'
import {makeDirectory, readIfThere, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {keyOf, newSalt, seal, unseal} from '../system/seal.ts'
import type {Keychain} from './keychain.ts'

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
    if (key?.salt !== salt) key = {salt, bytes: passphrase(first).then(text => keyOf(text, salt))}
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
  if (text === undefined) return {version: 1, salt: newSalt(), secrets: {}}
  try {
    const contents = JSON.parse(text)
    if (contents.version === 1 && typeof contents.salt === 'string' && contents.secrets) return contents
  } catch {
    // said below
  }
  throw new OsSshError('NO_KEYCHAIN', `${file} is damaged`, {hint: 'remove it: a new key is made'})
}

function open(sealed: string, account: string, key: Buffer, file: string): string {
  try {
    return unseal(sealed, account, key).toString()
  } catch (cause) {
    throw new OsSshError('NO_KEYCHAIN', 'the passphrase does not open the file keychain', {
      hint: `try again; or remove ${file}, and a new key is made`,
      cause,
    })
  }
}
