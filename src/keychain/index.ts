import {OsSshError} from '../errors.ts'
import {fileKeychain} from './file.ts'
import {systemKeychain} from './system.ts'

/** Somewhere to keep small secrets under a name. */
export interface Keychain {
  readonly kind: KeychainKind
  get(account: string): Promise<string | undefined>
  set(account: string, secret: string): Promise<void>
  delete(account: string): Promise<void>
}

/**
 * `system`: Secret Service, macOS Keychain, Windows Credential Manager. `file`: one file, each secret encrypted with
 * a passphrase. `agent`: nothing is kept; the private key lives in our ssh-agent only.
 */
export type KeychainKind = 'system' | 'agent' | 'file'

export interface KeychainOptions {
  /** Where `file` keeps its file. */
  readonly directory: string
  /** Passphrase of `file`; asked once, when first needed. @param first it seals something for the first time */
  readonly passphrase: (first: boolean) => Promise<string>
  readonly env?: NodeJS.ProcessEnv
}

/**
 * The keychain that was asked for; `system` when none was. There is no falling back from one to another: a secret
 * must not end up in a weaker place than its owner believes. @throws OsSshError USAGE for an unknown kind
 */
export function openKeychain(kind: string | undefined, options: KeychainOptions): Keychain {
  switch (kind || 'system') {
    case 'system':
      return systemKeychain(options.env)
    case 'file':
      return fileKeychain(options.directory, options.passphrase)
    case 'agent':
      return {kind: 'agent', get: async () => undefined, set: async () => {}, delete: async () => {}}
    default:
      throw new OsSshError('USAGE', `there is no keychain "${kind}"`, {hint: 'choose system, agent or file'})
  }
}
