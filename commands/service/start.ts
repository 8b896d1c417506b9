import {homedir} from 'node:os'
import {join} from 'node:path'

import {Flags} from '@oclif/core'

import {CloudCommand} from '../base.ts'

export default class ServiceStart extends CloudCommand {
  static override summary = 'Run the SSH service until it is told to stop (SIGINT or SIGTERM).'
  static override description =
    'The cloud that --os-cloud names is the account of the service: a member of the gates’ project for project ' +
    'gates, one role more for gates that are shared by all projects: docs/service-account.md. Log lines are JSON on standard output.'
  static override examples = [
    '$ os-ssh service start --os-cloud service --management-key ~/.ssh/gates --listen 127.0.0.1:5101',
  ]

  static override flags = {
    state: Flags.string({
      description: 'directory of the CA keys and the database',
      env: 'OS_SSH_SERVICE_STATE',
      // Not in the manifest: it is another directory for everybody.
      default: async () => join(homedir(), '.local', 'state', 'os-ssh', 'service'),
      noCacheDefault: true,
    }),
    database: Flags.string({description: 'SQLite file or postgres:// URL', env: 'OS_SSH_DATABASE'}),
    'management-key': Flags.string({
      description: 'private key that the gates accept',
      env: 'OS_SSH_MANAGEMENT_KEY',
      required: true,
    }),
    listen: Flags.string({description: 'HOST:PORT or unix:PATH', default: '127.0.0.1:5101'}),
    'max-life': Flags.integer({description: 'longest life of a path, s', default: 24 * 3600, min: 60}),
    'default-life': Flags.integer({
      description: 'life of a path when none is asked for, s',
      default: 8 * 3600,
      min: 60,
    }),
    grace: Flags.integer({
      description: 'how long a network that nobody uses stays plugged in, s',
      default: 600,
      min: 0,
    }),
    'max-paths': Flags.integer({description: 'paths that one gate takes', default: 2000, min: 1, max: 9999}),
    'max-networks': Flags.integer({
      description: 'networks that one gate takes',
      default: 24,
      min: 1,
      max: 1024,
    }),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(ServiceStart)
    const {openService} = await import('../../src/service/open.ts')
    const service = await openService({
      ...(flags['os-cloud'] === undefined ? {} : {osCloud: flags['os-cloud']}),
      ...(flags.database === undefined ? {} : {database: flags.database}),
      state: flags.state,
      managementKey: flags['management-key'],
      listen: flags.listen,
      maxLife: flags['max-life'],
      defaultLife: flags['default-life'],
      grace: flags.grace,
      maxPathsPerGate: flags['max-paths'],
      maxNetworksPerGate: flags['max-networks'],
      version: this.config.version,
    })
    this.logToStderr(`the SSH service listens on ${service.url}`)
    await new Promise<void>(resolve => {
      process.once('SIGINT', resolve)
      process.once('SIGTERM', resolve)
    })
    await service.close()
  }
}
