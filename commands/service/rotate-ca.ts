import {Flags} from '@oclif/core'

import {type CaStatus, PHASES, rotateCa} from '../../src/service/ca/rotate.ts'
import {type Column, outputFlags, render} from '../../src/ui/output.ts'
import {BaseCommand, stateFlag} from '../base.ts'

const columns: Column<CaStatus>[] = [
  {name: 'type', title: 'Type'},
  {name: 'phase', title: 'Phase'},
  {name: 'signs', title: 'Signs'},
  {name: 'trusts', title: 'Trusted Too'},
  {name: 'since', title: 'Since'},
  {name: 'until', title: 'Next After', drop: 1},
]

export default class ServiceRotateCa extends BaseCommand {
  static override summary = 'show or change the CAs of the SSH service, phase by phase'
  static override description =
    'Without --phase it changes nothing. begin: the next CAs are made, and trusted beside those that sign. switch: they sign, the old ' +
    'ones are trusted beside them. finish: the old ones are forgotten. rollback: the old ones sign again. A phase is refused until ' +
    'everybody must have heard of the one before. The service follows without a restart; with several replicas, copy the directory ' +
    'to each after every phase: docs/operations.md.'
  static override examples = [
    '$ os-ssh service rotate-ca',
    '$ os-ssh service rotate-ca --phase begin',
    '$ os-ssh service rotate-ca --type user --phase switch',
  ]

  static override flags = {
    state: stateFlag,
    type: Flags.string({
      description: 'user: what gates trust; host: what clients trust; both: all',
      options: ['user', 'host', 'all'] as const,
      default: 'all',
    }),
    phase: Flags.option({description: 'what to do', options: PHASES})(),
    force: Flags.boolean({
      description:
        'do not wait for those who may not have heard of the last phase, as after a theft of the keys',
      dependsOn: ['phase'],
    }),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(ServiceRotateCa)
    const {state, phase, force} = flags
    const type = flags.type === 'user' || flags.type === 'host' ? flags.type : undefined
    const {rows, next} = await rotateCa({state, type, phase, force})
    await render(rows, columns, flags)
    for (const line of next) this.logToStderr(line)
  }
}
