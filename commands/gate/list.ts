import {listGates} from '../../src/access/gates.ts'
import {shortId} from '../../src/names/brief.ts'
import type {Gate} from '../../src/protocol/index.ts'
import {type Column, outputFlags, render} from '../../src/ui/output.ts'
import {CloudCommand} from '../base.ts'

const colours = {ready: 'green', new: 'yellow', down: 'red'} as const

const columns: Column<Gate>[] = [
  {name: 'name', title: 'Name'},
  {name: 'id', title: 'ID', brief: gate => shortId(gate.id)},
  {name: 'state', title: 'State', colour: gate => colours[gate.state]},
  {name: 'scope', title: 'Scope'},
  {name: 'host', title: 'Host'},
  {name: 'attachments', title: 'Networks'},
  {name: 'paths', title: 'Paths'},
  {name: 'reason', title: 'Reason', drop: 2.5, shrink: true},
]

export default class GateList extends CloudCommand {
  static override summary = 'list the gates that may serve you'
  static override examples = ['$ os-ssh gate list', '$ os-ssh gate list -f json']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(GateList)
    const gates = await this.inSession(flags, listGates)
    await render(gates, columns, flags, {
      empty: 'No gate serves you; its operator adds one: os-ssh gate add.',
    })
  }
}
