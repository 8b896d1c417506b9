import {logout} from '../src/access/login.ts'
import {CloudCommand} from './base.ts'

export default class Logout extends CloudCommand {
  static override summary = 'end the paths of this machine, and forget token and agent'
  static override examples = ['$ os-ssh logout']

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout)
    const {cloud, left} = await logout({cloud: flags['os-cloud'], keychain: flags.keychain})
    this.log(`logged out of ${cloud}`)
    if (left > 0) this.logToStderr(`os-ssh: ${left} paths could not be ended now; they end by themselves`)
  }
}
