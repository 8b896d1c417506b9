import {Args, Flags} from '@oclif/core'

import {addGate} from '../../src/access/gates.ts'
import {outputFlags, renderOne} from '../../src/ui/output.ts'
import {CloudCommand} from '../base.ts'

export default class GateAdd extends CloudCommand {
  static override summary = 'register a VM as a gate and configure it'
  static override description =
    'The VM must admit the management key of the service. Its host key is read from its console log and pinned.'
  static override examples = ['$ os-ssh gate add gate1 --server 7f3c… --host 203.0.113.7']

  static override args = {name: Args.string({description: 'name of the gate', required: true})}
  static override flags = {
    ...outputFlags,
    server: Flags.string({description: 'UUID of the VM', required: true}),
    host: Flags.string({description: 'address where users and the service reach its sshd', required: true}),
    port: Flags.integer({description: 'port of its sshd', default: 22, min: 1, max: 65_535}),
    login: Flags.string({description: 'management account: root, or one with sudo', default: 'root'}),
    shared: Flags.boolean({description: 'serve every project, not only the gate’s own'}),
    'keep-nic': Flags.string({
      description:
        'interface, beside the one that the service comes in by, that stays as it is; may be repeated',
      helpValue: 'NAME',
      multiple: true,
    }),
    'host-key': Flags.string({description: 'ssh-ed25519 AAAA…, instead of the console log'}),
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(GateAdd)
    const gate = await this.inSession(flags, session =>
      addGate(session, {
        name: args.name,
        server_id: flags.server,
        host: flags.host,
        port: flags.port,
        login: flags.login,
        scope: flags.shared ? 'shared' : 'project',
        ...(flags['keep-nic'] === undefined ? {} : {keep_nics: flags['keep-nic']}),
        ...(flags['host-key'] === undefined ? {} : {host_key: flags['host-key']}),
      }),
    )
    await renderOne(
      gate,
      ['id', 'name', 'state', 'scope', 'host', 'port', 'reason'].map(name => ({name, title: name})),
      flags,
    )
  }
}
