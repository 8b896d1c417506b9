import {spawn} from 'node:child_process'
import {extname} from 'node:path'
import {fileURLToPath} from 'node:url'

import {OsSshError} from '../errors.ts'
import type {Keychain} from './index.ts'

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
 * which nothing in this process could end (seen with headless gnome-keyring, PEERS.md 5); a child can be killed.
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

function ask(request: KeychainCall, env: NodeJS.ProcessEnv): Promise<KeychainAnswer> {
  const helper = fileURLToPath(new URL(`./helper${extname(import.meta.url)}`, import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [helper], {env, stdio: ['pipe', 'pipe', 'ignore']})
    let said = ''
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      child.stdout.destroy()
      resolve({error: `it did not answer within ${PATIENCE / 1000} s`})
    }, PATIENCE)
    child.stdout.setEncoding('utf8').on('data', text => (said += text))
    child.stdin.on('error', () => {})
    child.stdin.end(JSON.stringify(request))
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      try {
        resolve(JSON.parse(said))
      } catch {
        resolve({error: 'its library does not work on this machine'})
      }
    })
  })
}
