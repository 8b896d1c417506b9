import {Flags} from '@oclif/core'

import {serviceLog} from '../../src/access/own-process.ts'
import {CloudCommand} from '../base.ts'

export default class ServiceLogs extends CloudCommand {
  static override summary = 'the log of the service that runs on this machine for you: JSON, a line each'
  static override examples = ['$ os-ssh service logs', '$ os-ssh service logs -n 20 --follow']
  static override flags = {
    lines: Flags.integer({char: 'n', description: 'so many of the last lines', default: 100, min: 0}),
    follow: Flags.boolean({description: 'go on with what comes'}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(ServiceLogs)
    await this.inSession(flags, async session => {
      for await (const line of serviceLog(session, flags)) this.log(line)
    })
  }
}
