import {Args} from '@oclif/core'

import {exportService} from '../../src/access/transfer.ts'
import {passphraseOf} from '../../src/ui/confirm.ts'
import {CloudCommand} from '../base.ts'

export default class ServiceExport extends CloudCommand {
  static override summary = 'write your own service into a file, for another machine to go on with it'
  static override description =
    'The file has the keys of the gates and the rows of all paths, sealed with a passphrase (OS_SSH_PASSPHRASE where nobody can be asked). ' +
    'Whoever imports it takes the gates over; until then the service goes on here.'
  static override examples = ['$ os-ssh service export gates.os-ssh']
  static override args = {file: Args.string({description: 'file to be written', required: true})}

  async run(): Promise<void> {
    const {args, flags} = await this.parse(ServiceExport)
    await this.inSession(flags, session =>
      exportService(session, args.file, passphraseOf(session.ask, session.env)),
    )
    this.logToStderr(`${args.file} is written. On the other machine: os-ssh service import ${args.file}`)
  }
}
