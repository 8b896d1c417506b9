import {Args} from '@oclif/core'

import {findPath} from '../../src/access/paths.ts'
import {outputFlags, renderOne} from '../../src/ui/output.ts'
import {pathColumns} from '../../src/ui/paths.ts'
import {CloudCommand} from '../base.ts'

export default class PathsShow extends CloudCommand {
  static override summary = 'show one path'
  static override examples = ['$ os-ssh paths show web1', '$ os-ssh paths show web1 -f json']
  static override args = {path: Args.string({description: 'id of the path, or its VM', required: true})}
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags, args} = await this.parse(PathsShow)
    const path = await this.inSession(flags, session => findPath(session, args.path))
    await renderOne(path, pathColumns, flags)
  }
}
