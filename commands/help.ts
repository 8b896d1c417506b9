import {loadHelpClass} from '@oclif/core'

import {BaseCommand} from './base.ts'

export default class Help extends BaseCommand {
  static override summary = 'show what a command or a topic does, with examples'
  static override usage = 'help [COMMAND]'
  static override examples = ['$ os-ssh help connect', '$ os-ssh help paths']
  static override strict = false

  async run(): Promise<void> {
    const {argv} = await this.parse(Help)
    const HelpClass = await loadHelpClass(this.config)
    const id = argv.map(String).join(':')
    if (id !== '' && !this.config.findCommand(id) && !this.config.findTopic(id)) {
      const {unknownCommand} = await import('../src/ui/unknown-command.ts')
      throw unknownCommand(id, this.config.commandIDs)
    }
    await new HelpClass(this.config).showHelp(id === '' ? [] : [id])
  }
}
