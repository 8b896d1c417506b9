import {Flags} from '@oclif/core'

import {labNames, labStatus} from '../../src/lab/index.ts'
import {type Column, outputFlags, render} from '../../src/ui/output.ts'
import {BaseCommand} from '../base.ts'

type Row = Awaited<ReturnType<typeof labStatus>>

const columns: readonly Column<Row>[] = [
  {name: 'name', title: 'Name'},
  {name: 'state', title: 'State', colour: row => (row.state === 'up' ? 'green' : 'red')},
  {name: 'api', title: 'API', get: row => row.info?.api ?? ''},
  {name: 'external_cidr', title: 'External network', get: row => row.info?.external_cidr ?? ''},
  {name: 'servers', title: 'Servers', get: row => row.info?.servers.length ?? 0},
  {name: 'processes', title: 'Processes'},
  {name: 'clouds_yaml', title: 'clouds.yaml', get: row => row.info?.clouds_yaml ?? ''},
]

export default class LabStatus extends BaseCommand {
  static override summary = 'show the labs of this machine'
  static override examples = ['$ os-ssh lab status', '$ os-ssh lab status -f json']
  static override flags = {name: Flags.string({description: 'only this lab'}), ...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(LabStatus)
    const names = flags.name === undefined ? await labNames() : [flags.name]
    await render(await Promise.all(names.map(name => labStatus({name}))), columns, flags, {
      empty: 'There is no lab.',
    })
  }
}
