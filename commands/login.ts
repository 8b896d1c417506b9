import {login} from '../src/access/login.ts'
import {CloudCommand} from './base.ts'

export default class Login extends CloudCommand {
  static override summary = 'log in to the cloud; asks for what clouds.yaml does not say'
  static override examples = ['$ os-ssh login', '$ os-ssh login --os-cloud mycloud --keychain file']

  async run(): Promise<void> {
    const {flags} = await this.parse(Login)
    const done = await this.inSession(flags, login, {needsKey: true})
    this.log(`${done.user} in ${done.project ?? 'no project'} of ${done.cloud}, until ${done.until}`)
  }
}
