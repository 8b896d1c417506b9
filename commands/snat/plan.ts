import {Args, Flags} from '@oclif/core'

import {PROPOSAL_DATA, proposalCommands, proposalParts, proposalSummary} from '../../src/localgw/columns.ts'
import {readProposal} from '../../src/localgw/read.ts'
import {plain} from '../../src/names/plain.ts'
import {outputFlags, render, renderOne} from '../../src/ui/output.ts'
import {SnatCommand} from './base.ts'

export default class SnatPlan extends SnatCommand {
  static override summary = 'show what local gateways would change for one router'
  static override description =
    'Which of its nodes its VMs could leave from and which not, with the reason; the external addresses that this takes; ' +
    'and what to type on each node (docs/local-gateway.md). Nothing is changed. Exit status 69 when a listing failed and ' +
    'the answer is partial.'
  static override examples = [
    '$ os-ssh snat plan ROUTER',
    '$ os-ssh snat plan ROUTER --mode per-node -f json',
  ]
  static override args = {router: Args.string({description: 'name or UUID', required: true})}
  static override flags = {
    mode: Flags.option({
      options: ['per-router', 'per-node'] as const,
      description: 'only this way to share addresses; default: both',
    })(),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SnatPlan)
    const {answer, partial} = await this.answer(flags, cloud => readProposal(cloud, args.router, flags.mode))
    if (flags.format !== 'table' || flags.column) {
      await renderOne(answer, PROPOSAL_DATA, flags)
    } else {
      this.log(proposalSummary(answer))
      for (const {title, rows, columns} of proposalParts(answer)) {
        this.log(`\n${title}`)
        await render(rows, columns, flags)
      }
      const commands = proposalCommands(answer)
      if (commands.length > 0) this.log(`\n${commands.join('\n')}`)
    }
    for (const note of answer.notes) this.logToStderr(`note: ${plain(note)}`)
    if (partial) this.exit(69)
  }
}
