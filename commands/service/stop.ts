import {stopService} from '../../src/access/own-process.ts'
import {CloudCommand} from '../base.ts'

export default class ServiceStop extends CloudCommand {
  static override summary =
    'stop the service that runs on this machine for you; the next command starts it again'
  static override examples = ['$ os-ssh service stop']

  async run(): Promise<void> {
    const {flags} = await this.parse(ServiceStop)
    const ran = await this.inSession(flags, stopService)
    this.logToStderr(
      ran ? 'the service has stopped; paths that are open go on until they end' : 'it does not run',
    )
  }
}
