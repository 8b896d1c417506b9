import {listGates} from '../../src/access/gates.ts'
import {gateColumns} from '../../src/ui/gates.ts'
import {outputFlags, render} from '../../src/ui/output.ts'
import {CloudCommand} from '../base.ts'

export default class GateList extends CloudCommand {
  static override summary = 'list the gates that may serve you'
  static override examples = ['$ os-ssh gate list', '$ os-ssh gate list -f json']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(GateList)
    const gates = await this.inSession(flags, listGates)
    await render(gates, gateColumns, flags, {
      empty: 'No gate serves you; its operator makes one: os-ssh gate deploy.',
    })
  }
}
