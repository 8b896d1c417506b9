import {OsSshError} from '../errors.ts'
import {programFile} from '../system/directories.ts'
import {LATE, run} from '../system/process.ts'
import type {Keychain} from './keychain.ts'

/** After this a keychain counts as absent, ms. */
const PATIENCE = 2000

export interface KeychainCall {
  readonly method: 'get' | 'set' | 'delete'
  readonly account: string
  readonly secret?: string
}
export type KeychainAnswer = {readonly secret: string | null} | {readonly error: string}

/**
 * The keychain of the operating system. Each call runs in a child process: a D-Bus that hangs blocks a native thread
 * which nothing in this process could end (seen with a headless gnome-keyring); a child can be killed.
 * Secrets travel through its pipes, never as arguments.
 */
export function systemKeychain(env: NodeJS.ProcessEnv = process.env): Keychain {
  const call = async (request: KeychainCall) => {
    const answer = await ask(request, env)
    // Its library's own words (D-Bus, errno) help nobody to choose.
    if ('error' in answer)
      throw new OsSshError('NO_KEYCHAIN', 'this machine has no keychain that could keep your key', {
        cause: new Error(answer.error),
      })
    return answer.secret ?? undefined
  }
  return {
    kind: 'system',
    get: account => call({method: 'get', account}),
    set: async (account, secret) => void (await call({method: 'set', account, secret})),
    delete: async account => void (await call({method: 'delete', account})),
  }
}

async function ask(request: KeychainCall, env: NodeJS.ProcessEnv): Promise<KeychainAnswer> {
  const input = JSON.stringify(request)
  const {status, stdout} = await run(process.execPath, [programFile('keychain/helper')], {
    env,
    input,
    timeout: PATIENCE,
  })
  if (status === LATE) return {error: `it did not answer within ${PATIENCE / 1000} s`}
  try {
    return JSON.parse(stdout)
  } catch {
    return {error: 'its library does not work on this machine'}
  }
}
