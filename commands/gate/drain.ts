import {Args, Flags} from '@oclif/core'

import {drainGate} from '../../src/access/fleet.ts'
import {plain} from '../../src/names/plain.ts'
import {CloudCommand} from '../base.ts'

export default class GateDrain extends CloudCommand {
  static override summary = 'have a gate take no new paths; those that it has go on until they end'
  static override examples = ['$ os-ssh gate drain gate1', '$ os-ssh gate drain gate1 --undo']
  static override args = {gate: Args.string({description: 'whole name, or UUID', required: true})}
  static override flags = {undo: Flags.boolean({description: 'have it take new paths again'})}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(GateDrain)
    const gate = await this.inSession(flags, session => drainGate(session, args.gate, !flags.undo))
    this.logToStderr(
      flags.undo
        ? `gate ${plain(gate.name)} takes new paths`
        : `gate ${plain(gate.name)} takes no new paths; it has ${gate.paths}`,
    )
  }
}
