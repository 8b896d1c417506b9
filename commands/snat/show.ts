import {Args, Flags} from '@oclif/core'

import {plain} from '../../src/names/plain.ts'
import {DETAIL_DATA, detailParts, readDetail} from '../../src/snat/index.ts'
import {outputFlags, render, renderOne} from '../../src/ui/output.ts'
import {SnatCommand} from './base.ts'

export default class SnatShow extends SnatCommand {
  static override summary = 'show everything about the SNAT of one router'
  static override description =
    'Mode and place, states of its HA replicas, external addresses and what they cost, subnets, and the way out of ' +
    'each VM with the reason for it. Exit status 69 when a listing failed and the answer is partial.'
  static override examples = ['$ os-ssh snat show ROUTER', '$ os-ssh snat show ROUTER --explain']
  static override args = {router: Args.string({description: 'name or UUID', required: true})}
  static override flags = {
    explain: Flags.boolean({description: 'how the mode was decided: attributes seen, rules read'}),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SnatShow)
    const {answer, partial} = await this.answer(flags, cloud => readDetail(cloud, args.router))
    if (flags.format !== 'table' || flags.column) {
      await renderOne(answer, DETAIL_DATA, flags)
    } else {
      for (const {title, rows, columns} of detailParts(answer, flags.explain)) {
        this.log(`\n${title}`)
        await render(rows, columns, flags)
      }
    }
    for (const note of answer.notes) this.logToStderr(`note: ${plain(note)}`)
    if (partial) this.exit(69)
  }
}
