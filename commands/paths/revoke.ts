import {Args, Flags} from '@oclif/core'

import {revokeAll, revokeByWord, revokeMine} from '../../src/access/paths.ts'
import {OsSshError} from '../../src/errors.ts'
import {CloudCommand} from '../base.ts'

export default class PathsRevoke extends CloudCommand {
  static override summary = 'end paths now, with every connection through them'
  static override description =
    'Operators end the paths of a user, to a VM or of a project; nothing new is granted to these for a minute.'
  static override examples = [
    '$ os-ssh paths revoke web1',
    '$ os-ssh paths revoke --all',
    '$ os-ssh paths revoke --user USER_ID',
  ]
  static override args = {path: Args.string({description: 'id of a path, or a VM: all your paths to it'})}
  static override flags = {
    all: Flags.boolean({description: 'all your paths', exclusive: ['user', 'vm', 'project']}),
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
    const which = {user_id: flags.user, server_id: flags.vm, project_id: flags.project}
    const many = Object.values(which).some(value => value !== undefined)
    if ([many, flags.all, args.path !== undefined].filter(Boolean).length !== 1)
      throw new OsSshError('USAGE', 'name one path or VM, or one of --all, --user, --vm and --project')
    this.log(
      await this.inSession(flags, async session => {
        if (many) return `revoked ${await revokeAll(session, which)} paths`
        return args.path === undefined ? revokeMine(session) : revokeByWord(session, args.path)
      }),
    )
  }
}
