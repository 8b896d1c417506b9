import {Flags} from '@oclif/core'

import {serviceConfig, settingsOf} from '../../src/service/config/chosen.ts'
import {NUMBERS, type NumberKey, USUAL_LISTEN} from '../../src/service/config/settings.ts'
import {smallHeap} from '../../src/system/heap.ts'
import {CloudCommand, stateWords} from '../base.ts'

/* No flag has a default of its own: what is not said here the file may say, and what neither says is in settings.ts. */

const number = (key: NumberKey) => {
  const {description, min, usual, ...range} = NUMBERS[key]
  return Flags.integer({description, min, ...range, defaultHelp: async () => String(usual)})
}

export default class ServiceStart extends CloudCommand {
  static override summary = 'run the SSH service until it is told to stop (SIGINT or SIGTERM)'
  static override description =
    'The cloud that --os-cloud names is the account of the service: a member of the gates’ project for project ' +
    'gates, one role more for gates that are shared by all projects: docs/service-account.md. Log lines are JSON on standard output.'
  static override examples = [
    '$ os-ssh service start --os-cloud service --management-key ~/.ssh/gates --listen 127.0.0.1:5101',
    '$ os-ssh service start --config /etc/os-ssh/service.yaml',
  ]

  static override flags = {
    config: Flags.string({
      description: 'configuration file (YAML); flags and variables overrule it: docs/service-config.md',
      helpValue: 'FILE',
    }),
    state: Flags.string(stateWords),
    database: Flags.string({description: 'SQLite file or postgres:// URL', env: 'OS_SSH_DATABASE'}),
    'management-key': Flags.string({
      description: 'private key that the gates accept; must be said here or in the file',
      env: 'OS_SSH_MANAGEMENT_KEY',
    }),
    listen: Flags.string({
      description: 'HOST:PORT or unix:PATH',
      defaultHelp: async () => USUAL_LISTEN,
    }),
    'max-life': number('max_life'),
    'default-life': number('default_life'),
    'cert-life': number('cert_life'),
    'admin-project': Flags.string({
      description: 'id of a project whose admins are operators; may be repeated',
      helpValue: 'ID',
      multiple: true,
    }),
    'paths-per-vm': number('paths_per_vm'),
    'paths-per-user': number('paths_per_user'),
    'project-share': number('project_share'),
    'plain-http': Flags.boolean({
      description: 'listen without TLS off loopback: tokens pass there as they are',
      allowNo: true,
    }),
    grace: number('grace'),
    resync: number('resync'),
    survey: number('survey'),
    retention: number('retention'),
    'max-paths': number('max_paths'),
    'max-networks': number('max_networks'),
  }

  async run(): Promise<void> {
    const {config: path, keychain: _, ...flags} = (await this.parse(ServiceStart)).flags
    // Each round is garbage by its end.
    smallHeap()
    const {openService} = await import('../../src/service/open.ts')
    const {readServiceFile} = await import('../../src/service/config/file.ts')
    const file = path === undefined ? {} : await readServiceFile(path)
    const service = await openService({
      ...serviceConfig(settingsOf(flags), file),
      version: this.config.version,
    })
    this.logToStderr(`the SSH service listens on ${service.url}`)
    await new Promise<void>(resolve => {
      process.once('SIGINT', resolve)
      process.once('SIGTERM', resolve)
    })
    await service.close()
    // Whatever a library still holds open.
    this.exit(0)
  }
}
