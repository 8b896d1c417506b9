import {unlink} from 'node:fs/promises'

import type {Keychain} from '../keychain/keychain.ts'
import {readIfThere, writeAtomic} from '../system/files.ts'

/** Where one secret is kept: the keychain, under this account; for the keychain `agent`, which keeps nothing, in this file (0600). */
export function secretStore(keychain: Keychain, account: string, file: string) {
  const inFile = keychain.kind === 'agent'
  return {
    get: (): Promise<string | undefined> => (inFile ? readIfThere(file) : keychain.get(account)),
    set: (text: string): Promise<void> =>
      inFile ? writeAtomic(file, text, 0o600) : keychain.set(account, text),
    delete: (): Promise<void> => (inFile ? unlink(file).catch(() => {}) : keychain.delete(account)),
  }
}
