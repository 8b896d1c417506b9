import {listPaths} from '../../src/access/paths.ts'
import {withSession} from '../../src/access/session.ts'
import {outputFlags, render} from '../../src/ui/output.ts'
import {pathColumns} from '../../src/ui/paths.ts'
import {questions} from '../../src/ui/prompts.ts'
import {CloudCommand} from '../base.ts'

export default class PathsList extends CloudCommand {
  static override summary = 'list your paths to VMs'
  static override flags = {...outputFlags}

  async run(): Promise<void> {
    const {flags} = await this.parse(PathsList)
    const options = {cloud: flags['os-cloud'], keychain: flags.keychain, ask: questions()}
    const paths = await withSession(options, listPaths)
    await render(
      paths,
      pathColumns.filter(column => column.listed || flags.column),
      flags,
    )
  }
}
