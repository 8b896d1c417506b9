import {Args} from '@oclif/core'

import {allowAccess, gateAccess} from '../../src/access/fleet.ts'
import {CloudCommand} from '../base.ts'

export default class GateAllow extends CloudCommand {
  static override summary = 'who may reach port 22 of the gates that the service makes'
  static override description =
    'Address ranges of both families take the place of those that were said before; without any, those that may are shown. ' +
    'The service itself must be in them.'
  static override examples = ['$ os-ssh gate allow', '$ os-ssh gate allow 192.0.2.0/24 2001:db8::/32']
  static override strict = false
  static override args = {range: Args.string({description: 'address range, e.g. 192.0.2.0/24'})}

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(GateAllow)
    const ranges = argv as string[]
    const allow = await this.inSession(flags, session =>
      ranges.length === 0 ? gateAccess(session) : allowAccess(session, ranges),
    )
    this.log(allow.join('\n'))
  }
}
