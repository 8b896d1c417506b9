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
