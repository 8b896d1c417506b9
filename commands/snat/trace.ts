import {writeFile} from 'node:fs/promises'

import {Args, Flags} from '@oclif/core'

import {plain} from '../../src/names/plain.ts'
import {HOP_TABLE, readTrace, TRACE_DATA, traceSummary, traceSvg} from '../../src/snat/index.ts'
import {outputFlags, render, renderOne} from '../../src/ui/output.ts'
import {SnatCommand} from './base.ts'

export default class SnatTrace extends SnatCommand {
  static override summary = 'show the hops that a VM’s packets take to the outside'
  static override description =
    'Host by host and namespace by namespace, with devices and addresses. Exit status 69 when a listing failed and ' +
    'the answer is partial.'
  static override examples = ['$ os-ssh snat trace VM', '$ os-ssh snat trace VM --to 192.0.2.1 --svg vm.svg']
  static override args = {
    vm: Args.string({description: 'UUID, name, fixed or floating address', required: true}),
  }
  static override flags = {
    to: Flags.string({description: 'destination; default: the outside', helpValue: 'ADDRESS'}),
    svg: Flags.string({description: 'also draw it', helpValue: 'FILE'}),
    ...outputFlags,
  }

  async run(): Promise<void> {
    const {args, flags} = await this.parse(SnatTrace)
    const {answer, partial} = await this.answer(flags, cloud => readTrace(cloud, args.vm, flags.to))
    if (flags.format !== 'table' || flags.column) {
      await renderOne(answer, TRACE_DATA, flags)
    } else {
      for (const line of traceSummary(answer)) this.log(plain(line))
      await render(answer.hops, HOP_TABLE, flags)
    }
    if (flags.svg !== undefined) await writeFile(flags.svg, traceSvg(answer))
    for (const note of answer.notes) this.logToStderr(`note: ${plain(note)}`)
    if (partial) this.exit(69)
  }
}
