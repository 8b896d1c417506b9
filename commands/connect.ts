import {Flags} from '@oclif/core'

import {connectMain} from '../src/access/connect.ts'
import {conversation} from '../src/ui/prompts.ts'
import {CloudCommand, vmArgument} from './base.ts'

/** For help and bin/dev.js: bin/run.js answers `connect` before oclif is loaded. */
export default class Connect extends CloudCommand {
  static override summary = 'open an SSH session to a VM, or run a command there'
  static override description =
    'Everything that is not listed here is given to ssh as it is. The exit status is that of the remote command.'
  static override usage = 'connect [user@]VM [-l user] [-i key] [ssh options…] [-- command]'
  static override examples = [
    '$ os-ssh connect web1',
    '$ os-ssh connect 3f2a -l debian -L 8080:localhost:80',
    '$ os-ssh connect web1 -- uname -n',
  ]
  static override strict = false
  static override args = {
    vm: vmArgument,
  }
  static override flags = {
    login: Flags.string({char: 'l', description: "user in the VM; the image's when absent"}),
    identity: Flags.string({char: 'i', description: 'private key for the VM'}),
  }

  async run(): Promise<void> {
    // Not oclif's parser: it refuses what is meant for ssh.
    await connectMain(this.argv, conversation())
  }
}
