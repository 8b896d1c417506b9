import {listVms, type Vm} from '../src/access/listing.ts'
import {type Column, outputFlags, render} from '../src/ui/output.ts'
import {CloudCommand} from './base.ts'

const columns: readonly Column<Vm>[] = [
  {name: 'id', title: 'ID'},
  {name: 'name', title: 'Name'},
  {
    name: 'status',
    title: 'Status',
    colour: vm => (vm.status === 'ACTIVE' ? 'green' : vm.status === 'ERROR' ? 'red' : 'yellow'),
  },
  {name: 'addresses', title: 'Addresses'},
  {name: 'path_until', title: 'Path until'},
]

export default class List extends CloudCommand {
  static override summary = 'list the VMs that you may see'
  static override examples = ['$ os-ssh list', '$ os-ssh list -f value -c id']
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(List)
    const vms = await listVms(this.opening(flags))
    await render(vms, columns, flags)
  }
}
