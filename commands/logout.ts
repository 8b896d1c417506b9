import {logout} from '../src/access/login.ts'
import {conversation} from '../src/ui/prompts.ts'
import {CloudCommand} from './base.ts'

/** A service that is away must not keep anybody from logging out, ms. */
const PATIENCE = 10_000

export default class Logout extends CloudCommand {
  static override summary = 'end the paths of this machine, and forget token and agent'
  static override examples = ['$ os-ssh logout']

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout)
    // Never for a password: who leaves needs no new session.
    const {passphrase} = conversation().ask ?? {}
    const ask = passphrase ? {passphrase} : {}
    const {cloud, left} = await this.inSession(flags, logout, {ask, timeout: PATIENCE})
    this.log(`logged out of ${cloud}`)
    if (left > 0) this.logToStderr(`os-ssh: ${left} paths could not be ended now; they end by themselves`)
  }
}
