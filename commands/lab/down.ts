import {Flags} from '@oclif/core'

import {labDown} from '../../src/lab/index.ts'
import {BaseCommand} from '../base.ts'

export default class LabDown extends BaseCommand {
  static override summary = 'end a lab: every process, namespace and file of it, also after a crash'
  static override examples = ['$ os-ssh lab down --name demo']
  static override flags = {name: Flags.string({description: 'of the lab', default: 'lab'})}

  async run(): Promise<void> {
    const {flags} = await this.parse(LabDown)
    const {removed} = await labDown({name: flags.name})
    this.logToStderr(removed ? `lab ${flags.name} is gone` : `there was no lab ${flags.name}`)
  }
}
