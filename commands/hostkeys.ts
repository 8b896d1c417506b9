import {Flags} from '@oclif/core'

import {forgetPins, listPins} from '../src/access/host-keys.ts'
import {outputFlags, render} from '../src/ui/output.ts'
import {CloudCommand, vmArgument} from './base.ts'

export default class HostKeys extends CloudCommand {
  static override summary =
    'show the host keys that are pinned for a VM, here and at the service, or forget them'
  static override examples = ['$ os-ssh hostkeys web1', '$ os-ssh hostkeys web1 --forget']
  static override args = {
    vm: vmArgument,
  }
  static override flags = {
    ...outputFlags,
    forget: Flags.boolean({description: 'forget them, after a change that you know the reason of'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HostKeys)
    if (flags.forget) {
      this.log(await this.inSession(flags, session => forgetPins(session, args.vm)))
      return
    }
    const pins = await this.inSession(flags, session => listPins(session, args.vm))
    await render(
      pins,
      [
        {name: 'where', title: 'Where'},
        {name: 'type', title: 'Type'},
        {name: 'fingerprint', title: 'Fingerprint'},
        {name: 'rebuild', title: 'After rebuild'},
      ],
      flags,
      {empty: 'No host key is pinned yet.'},
    )
  }
}
