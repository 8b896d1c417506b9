/** The child process of system.ts: one call as JSON on standard input, one answer on standard output. */
import {text} from 'node:stream/consumers'

import type {KeychainAnswer, KeychainCall} from './system.ts'

const SERVICE = 'os-ssh'

async function answer({method, account, secret = ''}: KeychainCall): Promise<KeychainAnswer> {
  try {
    const {Entry} = await import('@napi-rs/keyring')
    // Without the pin it falls back to the kernel's keyring without a word, and a reboot forgets.
    const entry = new Entry(SERVICE, account, {linux: {store: 'secret-service'}})
    if (method === 'set') entry.setPassword(secret)
    else if (method === 'get') return {secret: entry.getPassword()}
    else if (entry.getPassword() !== null) entry.deletePassword()
    return {secret: null}
  } catch (error) {
    return {error: error instanceof Error ? error.message : String(error)}
  }
}

process.stdout.write(JSON.stringify(await answer(JSON.parse(await text(process.stdin)))))
