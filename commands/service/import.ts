import {Args, Flags} from '@oclif/core'

import {importForStart, importService} from '../../src/access/transfer.ts'
import {plain} from '../../src/names/plain.ts'
import {passphraseOf} from '../../src/ui/confirm.ts'
import {conversation} from '../../src/ui/prompts.ts'
import {CloudCommand} from '../base.ts'

export default class ServiceImport extends CloudCommand {
  static override summary = 'go on with a service of another machine, and take its gates over'
  static override description =
    'Without --state it becomes your own service on this machine. With it, a server runs it for the whole project by service start: ' +
    'members then set OS_SSH_ENDPOINT. The copy that it was made of stops, and says who has the gates.'
  static override examples = [
    '$ os-ssh service import gates.os-ssh',
    '$ os-ssh service import gates.os-ssh --state /var/lib/os-ssh',
  ]
  static override args = {file: Args.string({description: 'what service export has written', required: true})}
  static override flags = {
    state: Flags.string({description: 'directory for service start', helpValue: 'DIRECTORY'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ServiceImport)
    if (flags.state !== undefined) {
      const {ask = {}} = conversation()
      const passphrase = passphraseOf(ask, process.env)
      const {config, project} = await importForStart(flags.state, args.file, passphrase)
      this.logToStderr(`${config} is written. An account of project ${plain(project)} runs it:`)
      this.logToStderr(`os-ssh service start --config ${config} --os-cloud NAME`)
      return
    }
    const gates = await this.inSession(flags, session =>
      importService(session, args.file, passphraseOf(session.ask, session.env)),
    )
    const names = gates.map(({name, state}) => `${plain(name)} (${state})`).join(', ')
    this.logToStderr(`${names || 'no gate'}: run from here now`)
  }
}
