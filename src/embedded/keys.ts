import {OsSshError} from '../errors.ts'
import {generateKeyPair, parsePrivateKey} from '../ssh/keys.ts'

/** What a service signs and manages with: OpenSSH private keys. They lie in its user's keychain and never in a file of the service. */
export interface ServiceKeys {
  /** What the gates accept for management. */
  readonly management: string
  readonly user_ca: string
  readonly host_ca: string
}

const NAMES = ['management', 'user_ca', 'host_ca'] as const satisfies readonly (keyof ServiceKeys)[]

export const newKeys = (): ServiceKeys => ({
  management: generateKeyPair('os-ssh management').privateKey,
  user_ca: generateKeyPair('os-ssh user_ca').privateKey,
  host_ca: generateKeyPair('os-ssh host_ca').privateKey,
})

/** Keys as they were kept. @throws OsSshError CONFIG when they are none */
export function parseKeys(text: string): ServiceKeys {
  try {
    const keys = JSON.parse(text)
    for (const name of NAMES) parsePrivateKey(keys[name])
    return keys
  } catch (cause) {
    throw new OsSshError('CONFIG', 'the keys of the gates in the keychain are damaged', {
      hint: 'os-ssh destroy takes away what they manage; then os-ssh init',
      cause,
    })
  }
}
