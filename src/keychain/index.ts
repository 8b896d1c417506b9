import {OsSshError} from '../errors.ts'
import {fileKeychain} from './file.ts'
import type {Keychain} from './keychain.ts'
import {systemKeychain} from './system.ts'

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
