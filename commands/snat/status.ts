import {Args, Flags} from '@oclif/core'

import {plain} from '../../src/names/plain.ts'
import {
  columnsFor,
  HOST_TABLE,
  hasProblem,
  prometheus,
  readStatus,
  STATUS_TABLE,
  statusData,
} from '../../src/snat/index.ts'
import {MODES} from '../../src/snat/modes.ts'
import {outputFlags, render} from '../../src/ui/output.ts'
import {SnatCommand} from './base.ts'

export default class SnatStatus extends SnatCommand {
  static override summary =
    'show where each router’s SNAT is done, and whether that is a single point of failure'
  static override description =
    'Nine list calls at most, whatever the number of routers. VMS counts those that cross the gateway host / leave ' +
    'from their own host. Exit status: 1 with --check when a router has a problem, 69 when a listing failed.'
  static override examples = [
    '$ os-ssh snat status',
    '$ os-ssh snat status --problems --check',
    '$ os-ssh snat status --mode central-legacy -f value -c id',
    '$ os-ssh snat status -f prometheus > snat.prom.tmp && mv snat.prom.tmp snat.prom',
  ]
  static override strict = false
  static override args = {router: Args.string({description: 'name or UUID; may be repeated; default: all'})}
  static override flags = {
    project: Flags.string({description: 'only routers of this project', helpValue: 'UUID'}),
    host: Flags.string({description: 'only routers whose gateway is on this host'}),
    mode: Flags.string({description: 'only routers of this mode', options: [...MODES]}),
    problems: Flags.boolean({description: 'only routers with a problem (stale, unbound, single-replica, …)'}),
    check: Flags.boolean({description: 'exit with 1 when a router has a problem, for monitoring'}),
    ...outputFlags,
    format: Flags.string({
      char: 'f',
      description: 'how to print; prometheus: for a textfile collector',
      options: ['table', 'json', 'yaml', 'csv', 'value', 'prometheus'],
      default: 'table',
    }),
  }

  async run(): Promise<void> {
    const {argv, flags} = await this.parse(SnatStatus)
    const {project, host, mode, problems, format} = flags
    const filter = {...(project && {project}), ...(host && {host}), ...(mode && {mode}), problems}
    const {answer, partial} = await this.answer(flags, cloud => readStatus(cloud, argv.map(String), filter))
    if (format === 'prometheus') this.log(prometheus(answer).trimEnd())
    else
      await render(
        answer.rows,
        columnsFor(format, flags.column, STATUS_TABLE, statusData(answer.rows, flags.column)),
        flags,
        {empty: 'No router.'},
      )
    if (format === 'table' && !flags.column && answer.hosts.length > 0)
      await render(answer.hosts, HOST_TABLE, {format})
    for (const note of answer.notes) this.logToStderr(`note: ${plain(note)}`)
    if (partial) this.exit(69)
    if (flags.check && answer.rows.some(hasProblem)) this.exit(1)
  }
}
