import {logout} from '../src/access/login.ts'
import {CloudCommand} from './base.ts'

export default class Logout extends CloudCommand {
  static override summary = 'forget token, agent and paths on this machine'
  static override examples = ['$ os-ssh logout']

  async run(): Promise<void> {
    const {flags} = await this.parse(Logout)
    const {cloud} = await logout(this.opening(flags))
    this.log(`logged out of ${cloud}`)
  }
}
