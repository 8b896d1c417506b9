import {Flags} from '@oclif/core'

import {smallHeap} from '../../src/system/heap.ts'
import {CloudCommand, stateFlag} from '../base.ts'

const number = (description: string, usual: number, min = 0, max?: number) =>
  Flags.integer({description, default: usual, min, ...(max === undefined ? {} : {max})})

export default class ServiceStart extends CloudCommand {
  static override summary = 'run the SSH service until it is told to stop (SIGINT or SIGTERM)'
  static override description =
    'The cloud that --os-cloud names is the account of the service: a member of the gates’ project for project ' +
    'gates, one role more for gates that are shared by all projects: docs/service-account.md. Log lines are JSON on standard output.'
  static override examples = [
    '$ os-ssh service start --os-cloud service --management-key ~/.ssh/gates --listen 127.0.0.1:5101',
  ]

  static override flags = {
    state: stateFlag,
    database: Flags.string({description: 'SQLite file or postgres:// URL', env: 'OS_SSH_DATABASE'}),
    'management-key': Flags.string({
      description: 'private key that the gates accept',
      env: 'OS_SSH_MANAGEMENT_KEY',
      required: true,
    }),
    listen: Flags.string({description: 'HOST:PORT or unix:PATH', default: '127.0.0.1:5101'}),
    'max-life': number('longest life of a path, s', 24 * 3600, 60),
    'default-life': number('life of a path when none is asked for, s', 8 * 3600, 60),
    'cert-life': number(
      'life of a certificate, s: a right that was withdrawn logs nobody in after it',
      3600,
      10,
    ),
    'admin-project': Flags.string({
      description: 'id of a project whose admins are operators; may be repeated',
      helpValue: 'ID',
      multiple: true,
    }),
    'paths-per-vm': number('live paths of one user to one VM; 0: any number', 5),
    'paths-per-user': number('paths of one user; 0: any number', 500),
    'project-share': number(
      'per cent of a gate that one project may hold while others wait; 0: all',
      50,
      0,
      100,
    ),
    'plain-http': Flags.boolean({
      description: 'listen without TLS off loopback: tokens pass there as they are',
    }),
    grace: number('how long a network that nobody uses stays plugged in, s', 600),
    resync: number('how often a gate is looked at whole, s', 60, 1),
    survey: number('how often the cloud is asked what it has taken away, s', 20, 1),
    retention: number('how long ended paths and the audit are kept, days', 90, 1),
    'max-paths': number('paths that one gate takes', 2000, 1, 9999),
    'max-networks': number('networks that one gate takes', 24, 1, 1023),
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(ServiceStart)
    // Each round is garbage by its end.
    smallHeap()
    const {openService} = await import('../../src/service/open.ts')
    const service = await openService({
      ...(flags['os-cloud'] === undefined ? {} : {osCloud: flags['os-cloud']}),
      ...(flags.database === undefined ? {} : {database: flags.database}),
      state: flags.state,
      managementKey: flags['management-key'],
      listen: flags.listen,
      maxLife: flags['max-life'],
      defaultLife: flags['default-life'],
      certLife: flags['cert-life'],
      adminProjects: flags['admin-project'] ?? [],
      fairness: {
        perVm: flags['paths-per-vm'],
        perUser: flags['paths-per-user'],
        share: flags['project-share'] / 100,
      },
      plainHttp: flags['plain-http'],
      grace: flags.grace,
      resync: flags.resync,
      survey: flags.survey,
      retention: flags.retention,
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
    // Whatever a library still holds open.
    this.exit(0)
  }
}
