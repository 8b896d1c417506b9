import {listVms, type Vm} from '../src/access/listing.ts'
import {shortId, timeLeft} from '../src/names/brief.ts'
import {type Column, outputFlags, render} from '../src/ui/output.ts'
import {CloudCommand} from './base.ts'

const columns: readonly Column<Vm>[] = [
  {name: 'name', title: 'Name', shrink: true},
  {name: 'id', title: 'ID', drop: 0, brief: vm => shortId(vm.id)},
  {
    name: 'status',
    title: 'Status',
    colour: vm => (vm.status === 'ACTIVE' ? 'green' : vm.status === 'ERROR' ? 'red' : 'yellow'),
  },
  {name: 'path_until', title: 'Path', brief: vm => (vm.path_until === null ? '' : timeLeft(vm.path_until))},
  {name: 'addresses', title: 'Addresses', shrink: true},
]

export default class List extends CloudCommand {
  static override summary = 'list the VMs that you may see'
  static override examples = ['$ os-ssh list', '$ os-ssh list -f value -c id']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(List)
    const vms = await this.inSession(flags, listVms)
    await render(vms, columns, flags, {empty: 'You see no VM in this project.'})
  }
}
