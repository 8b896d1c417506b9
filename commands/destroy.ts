import {Flags} from '@oclif/core'

import {beginDestroy, destroy} from '../src/access/destroy.ts'
import {plain} from '../src/names/plain.ts'
import {confirmed, onInterrupt} from '../src/ui/confirm.ts'
import {CloudCommand} from './base.ts'

export default class Destroy extends CloudCommand {
  static override summary = 'take away the gates that init has made, and every trace of them'
  static override description =
    'In the cloud: servers, their floating IPs, ports and groups; here: the service, its keys and what it kept. Your VMs stay as they ' +
    'are, and so does what you have added to a gate, such as a floating IP of your own.'
  static override examples = ['$ os-ssh destroy', '$ os-ssh destroy --yes']
  static override flags = {
    yes: Flags.boolean({char: 'y', description: 'do not ask'}),
    service: Flags.string({
      description: 'gates of yours that another machine, which is lost, has made; os-ssh init says their id',
      helpValue: 'ID',
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(Destroy)
    await this.inSession(flags, async session => {
      const ending = await beginDestroy(session, flags.service)
      const lines = ending.traces.map(({kind, name, id}) => `${kind} ${plain(name)} (${id})`)
      if (!flags.yes) for (const line of lines) this.logToStderr(line)
      if (!(await confirmed(session.ask, 'Delete all of this?', flags.yes))) return
      const stop = onInterrupt('os-ssh destroy goes on with it')
      const moved = await destroy(session, ending).finally(stop)
      if (moved !== undefined) return this.logToStderr(`${plain(moved)}: they stay; here nothing is left`)
      for (const line of lines) this.log(`deleted ${line}`)
      if (lines.length === 0) this.logToStderr('there was nothing in the cloud')
    })
  }
}
