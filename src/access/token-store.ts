import {createHash} from 'node:crypto'
import {join} from 'node:path'

import type {Keychain} from '../keychain/keychain.ts'
import type {CloudConfig} from '../openstack/index.ts'
import type {Token} from '../openstack/types.ts'
import {fileName} from '../system/directories.ts'
import {secretStore} from './secret-store.ts'

/** Where a token is kept: the keychain; beside the agent, in the runtime directory, for the keychain `agent`. */
export function tokenStore(keychain: Keychain, directory: string, config: CloudConfig) {
  // Another user, project or region of the same cloud is another token. Secrets are no part of the name.
  const {password: _p, passcode: _c, token: _t, application_credential_secret: _s, ...who} = config.auth
  const mark = createHash('sha256')
    .update(JSON.stringify([config.name, config.region, who]))
    .digest('hex')
    .slice(0, 16)
  const account = `token:${fileName(config.name)}:${mark}`
  const kept = secretStore(keychain, account, join(directory, `token-${mark}`))
  return {
    async get(): Promise<Token | undefined> {
      const text = await kept.get()
      if (!text) return undefined
      const token = JSON.parse(text)
      return {...token, expires_at: new Date(token.expires_at)}
    },
    set: (token: Token): Promise<void> => kept.set(JSON.stringify(token)),
    delete: (): Promise<void> => kept.delete(),
  }
}
