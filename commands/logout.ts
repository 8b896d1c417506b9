import {logout} from '../src/access/login.ts'
import {CloudCommand} from './base.ts'

export default class Logout extends CloudCommand {
  static override summary = 'end the paths of this machine, and forget token and agent'
  static override examples = ['$ os-ssh logout']

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout)
    // Never for a password: who leaves needs no new session.
    const {ask: {passphrase} = {}, ...rest} = this.opening(flags)
    const {cloud, left} = await logout({...rest, ...(passphrase && {ask: {passphrase}})})
    this.log(`logged out of ${cloud}`)
    if (left > 0) this.logToStderr(`os-ssh: ${left} paths could not be ended now; they end by themselves`)
  }
}
