import {Flags} from '@oclif/core'

import {listAllPaths, listPaths} from '../../src/access/paths.ts'
import {outputFlags, render} from '../../src/ui/output.ts'
import {pathColumns} from '../../src/ui/paths.ts'
import {CloudCommand} from '../base.ts'

export default class PathsList extends CloudCommand {
  static override summary = 'list your paths to VMs, or, for operators, everybody’s'
  static override examples = ['$ os-ssh paths list', '$ os-ssh paths list --all --project PROJECT_ID']
  static override flags = {
    ...outputFlags,
    all: Flags.boolean({description: 'operators: the paths of every user'}),
    user: Flags.string({description: 'of this user only', helpValue: 'ID', dependsOn: ['all']}),
    project: Flags.string({description: 'to VMs of this project only', helpValue: 'ID', dependsOn: ['all']}),
    vm: Flags.string({description: 'to this VM only', helpValue: 'UUID', dependsOn: ['all']}),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(PathsList)
    const which = {user_id: flags.user, project_id: flags.project, server_id: flags.vm}
    const paths = await this.inSession(flags, session =>
      flags.all ? listAllPaths(session, which) : listPaths(session),
    )
    const listed = flags.all ? new Set(['user_name', 'project_id']) : new Set()
    await render(
      paths,
      pathColumns.filter(column => column.listed || flags.column || listed.has(column.name)),
      flags,
      {empty: flags.all ? 'There is no path.' : 'You have no path.'},
    )
  }
}
