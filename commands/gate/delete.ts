import {Args, Flags} from '@oclif/core'

import {deleteGate} from '../../src/access/fleet.ts'
import {plain} from '../../src/names/plain.ts'
import {CloudCommand} from '../base.ts'

export default class GateDelete extends CloudCommand {
  static override summary = 'delete a gate that the service has made, with all that it is made of'
  static override description =
    'Its paths are cut; who asks again gets one by another gate. A VM that was only registered is forgotten by `os-ssh gate remove`.'
  static override examples = ['$ os-ssh gate delete gate-3f2a91 --yes']
  static override args = {gate: Args.string({description: 'whole name, or UUID', required: true})}
  static override flags = {
    yes: Flags.boolean({description: 'sure: sessions through it end at once', default: false}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(GateDelete)
    const gate = await this.inSession(flags, session => deleteGate(session, args.gate, {sure: flags.yes}))
    this.logToStderr(`gate ${plain(gate.name)} is gone`)
  }
}
