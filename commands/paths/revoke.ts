import {Args} from '@oclif/core'

import {revokeByWord} from '../../src/access/paths.ts'
import {withSession} from '../../src/access/session.ts'
import {questions} from '../../src/ui/prompts.ts'
import {CloudCommand} from '../base.ts'

export default class PathsRevoke extends CloudCommand {
  static override summary =
    'end a path now, with every connection through it, and forget the host key of its VM'
  static override args = {path: Args.string({description: 'id of the path, or its VM', required: true})}

  async run(): Promise<void> {
    const {flags, args} = await this.parse(PathsRevoke)
    const options = {cloud: flags['os-cloud'], keychain: flags.keychain, ask: questions()}
    this.log(await withSession(options, session => revokeByWord(session, args.path)))
  }
}
