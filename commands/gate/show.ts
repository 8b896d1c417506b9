import {Args} from '@oclif/core'

import {findGate} from '../../src/access/fleet.ts'
import {gateDetails} from '../../src/ui/gates.ts'
import {outputFlags, renderOne} from '../../src/ui/output.ts'
import {CloudCommand} from '../base.ts'

export default class GateShow extends CloudCommand {
  static override summary = 'show one gate: where it is, how it is, what it is made of'
  static override examples = ['$ os-ssh gate show gate-3f2a91']
  static override args = {
    gate: Args.string({description: 'name, UUID, or a unique start of it', required: true}),
  }
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(GateShow)
    const gate = await this.inSession(flags, session => findGate(session, args.gate))
    await renderOne(gate, gateDetails, flags)
  }
}
