import {writeFile} from 'node:fs/promises'

import {Flags} from '@oclif/core'

import {
  COMPARE_DATA,
  COMPARE_TABLE,
  COMPARISON_DATA,
  columnsFor,
  compareSummary,
  compareSvg,
  parseGrowth,
  readComparison,
} from '../../src/snat/index.ts'
import {outputFlags, render, renderOne} from '../../src/ui/output.ts'
import {SnatCommand} from './base.ts'

export default class SnatCompare extends SnatCommand {
  static override summary = 'compare the alternatives to central SNAT by this cloud’s own figures'
  static override description =
    'External addresses at most and lazily, what the pools have left, hops saved, blast radius, and how many ' +
    'connections a VM gets. Exit status 69 when a listing failed and the figures are partial.'
  static override examples = [
    '$ os-ssh snat compare',
    '$ os-ssh snat compare --growth nodes=x2,tenants=+50 --svg growth.svg',
    '$ os-ssh snat compare --router ROUTER --ports-per-vm 2048 -f json',
  ]
  static override flags = {
    router: Flags.string({description: 'only this router: name or UUID'}),
    'ports-per-vm': Flags.integer({
      description: 'ports of a VM when port ranges are shared out',
      default: 1024,
    }),
    growth: Flags.string({
      description: 'factors (x2), increments (+50) or new totals of nodes, tenants and vms',
      helpValue: 'nodes=x2,tenants=+50',
    }),
    svg: Flags.string({description: 'draw addresses against nodes and tenants', helpValue: 'FILE'}),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {flags} = await this.parse(SnatCompare)
    const {router, 'ports-per-vm': portsPerVm} = flags
    // What is wrong on the command line is said before the cloud is asked for everything.
    const growth = flags.growth === undefined ? undefined : parseGrowth(flags.growth)
    const {answer, partial} = await this.answer(flags, cloud =>
      readComparison(cloud, {router, growth, portsPerVm}),
    )
    const {format, column} = flags
    if (!column && format === 'table') for (const line of compareSummary(answer)) this.log(line)
    if (!column && /json|yaml/.test(format)) await renderOne(answer, COMPARISON_DATA, flags)
    else await render(answer.rows, columnsFor(format, column, COMPARE_TABLE, COMPARE_DATA), flags)
    if (flags.svg !== undefined) await writeFile(flags.svg, compareSvg(answer.then, portsPerVm))
    if (partial) this.logToStderr('note: a listing failed: the figures are partial')
    if (partial) this.exit(69)
  }
}
