import {Args, Flags} from '@oclif/core'

import {removeGate} from '../../src/access/gates.ts'
import {plain} from '../../src/names/plain.ts'
import {CloudCommand} from '../base.ts'

export default class GateRemove extends CloudCommand {
  static override summary = 'cut the paths of a gate, take its networks away, and forget it'
  static override examples = ['$ os-ssh gate remove gate1 --yes']
  static override args = {gate: Args.string({description: 'whole name, or UUID', required: true})}

  static override flags = {
    yes: Flags.boolean({description: 'sure: sessions through it end at once', default: false}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(GateRemove)
    const gate = await this.inSession(flags, session => removeGate(session, args.gate, {sure: flags.yes}))
    this.logToStderr(`gate ${plain(gate.name)} is gone`)
  }
}
