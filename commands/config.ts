import {Args, Flags} from '@oclif/core'

import {applyChanges, configText, planRemove, planWrite, showChanges} from '../src/access/configure.ts'
import {CloudCommand} from './base.ts'

export default class Config extends CloudCommand {
  static override summary =
    'print or install the ssh_config with which ssh, scp, rsync and editors reach your VMs'
  static override description =
    'It grants nothing: a path is made when ssh first needs it. Printed, it may be appended to ~/.ssh/config, also twice; --write keeps it in a file of its own.'
  static override usage = 'config [VM…] [--all] [--write | --remove] [--dry-run] [--static]'
  static override examples = [
    '$ os-ssh config >> ~/.ssh/config',
    '$ os-ssh config --write',
    '$ os-ssh config --remove --dry-run',
  ]
  static override strict = false
  static override args = {
    vm: Args.string({description: 'VMs, named as for connect; all when absent'}),
  }
  static override flags = {
    all: Flags.boolean({description: 'all VMs that you may see', default: false}),
    write: Flags.boolean({
      description: 'into ~/.ssh/os-ssh/config, included from ~/.ssh/config',
      exclusive: ['remove'],
    }),
    remove: Flags.boolean({description: 'take away what --write made'}),
    'dry-run': Flags.boolean({description: 'print what would change, as a diff'}),
    static: Flags.boolean({description: 'both hops in plain text: makes the paths now, ends with them'}),
  }

  async run(): Promise<void> {
    const {flags, argv} = await this.parse(Config)
    const options = {vms: flags.all ? [] : argv.map(String), static: flags.static}
    if (!flags.write && !flags.remove && !flags['dry-run']) {
      process.stdout.write(await this.inSession(flags, session => configText(session, options)))
      return
    }
    const changes = flags.remove
      ? await this.inSession(flags, planRemove)
      : await this.inSession(flags, session => planWrite(session, options), {needsKey: true})
    if (flags['dry-run']) process.stdout.write(await showChanges(changes))
    else await applyChanges(changes)
    const done = flags['dry-run'] ? 'would change' : 'changed'
    for (const {file} of changes) this.logToStderr(`${done} ${file}`)
    if (changes.length === 0) this.logToStderr('nothing to change')
  }
}
