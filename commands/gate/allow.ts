import {Args, Flags} from '@oclif/core'

import {allowAccess, gateAccess, usualAccess} from '../../src/access/fleet.ts'
import {OsSshError} from '../../src/errors.ts'
import {plain} from '../../src/names/plain.ts'
import {CloudCommand} from '../base.ts'

export default class GateAllow extends CloudCommand {
  static override summary = 'who may reach port 22 of the gates that the service makes'
  static override description =
    'Address ranges of both families take the place of those that were said before; without any, those that may are shown. ' +
    'They count before `allow` of the service’s configuration until --usual. The service itself must be in them: auto is its own ' +
    'address as the gates see it, so that it follows a laptop that has moved.'
  static override examples = [
    '$ os-ssh gate allow',
    '$ os-ssh gate allow 192.0.2.0/24 2001:db8::/32',
    '$ os-ssh gate allow auto',
    '$ os-ssh gate allow --usual',
  ]
  static override strict = false
  static override args = {range: Args.string({description: 'address range, e.g. 192.0.2.0/24'})}
  static override flags = {
    usual: Flags.boolean({description: 'those that the service’s configuration says', default: false}),
  }

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(GateAllow)
    const ranges = argv as string[]
    if (flags.usual && ranges.length > 0)
      throw new OsSshError('USAGE', '--usual and address ranges: only one of them can be meant')
    const allow = await this.inSession(flags, session => {
      if (flags.usual) return usualAccess(session)
      return ranges.length === 0 ? gateAccess(session) : allowAccess(session, ranges)
    })
    this.log(allow.map(plain).join('\n'))
  }
}
