import {Args, Flags} from '@oclif/core'

import {revokeAll, revokeByWord} from '../../src/access/paths.ts'
import {withSession} from '../../src/access/session.ts'
import {OsSshError} from '../../src/errors.ts'
import {CloudCommand} from '../base.ts'

export default class PathsRevoke extends CloudCommand {
  static override summary = 'end a path now, with every connection through it'
  static override description =
    'Operators end the paths of a user, to a VM or of a project; nothing new is granted to these for a minute.'
  static override examples = ['$ os-ssh paths revoke web1', '$ os-ssh paths revoke --user USER_ID']
  static override args = {path: Args.string({description: 'id of the path, or its VM'})}
  static override flags = {
    user: Flags.string({
      description: 'operators: all paths of this user',
      helpValue: 'ID',
      exclusive: ['vm', 'project'],
    }),
    vm: Flags.string({
      description: 'operators: all paths to this VM',
      helpValue: 'UUID',
      exclusive: ['user', 'project'],
    }),
    project: Flags.string({
      description: 'operators: all paths to VMs of this project',
      helpValue: 'ID',
      exclusive: ['user', 'vm'],
    }),
  }

  async run(): Promise<void> {
    const {flags, args} = await this.parse(PathsRevoke)
    const options = this.opening(flags)
    const which = {user_id: flags.user, server_id: flags.vm, project_id: flags.project}
    const many = Object.values(which).some(value => value !== undefined)
    if (many === (args.path !== undefined))
      throw new OsSshError('USAGE', 'name one path or VM, or one of --user, --vm and --project')
    this.log(
      await withSession(options, async session =>
        args.path === undefined
          ? `revoked ${await revokeAll(session, which)} paths`
          : revokeByWord(session, args.path),
      ),
    )
  }
}
