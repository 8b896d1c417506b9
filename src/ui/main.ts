import {Config, flush, type Interfaces, run} from '@oclif/core'

import {printFault, report} from './faults.ts'
import {unknownCommand} from './unknown-command.ts'

/**
 * Runs the command that these words name, and ends the process with its status.
 *
 * @param options where the package is: oclif is loaded here, so that a bundle has it only once
 */
export async function main(words: readonly string[], options: Interfaces.Options): Promise<void> {
  const config = await Config.load(options)
  // A reader such as `head` went away: nothing is left to do, and nothing to complain of.
  process.stdout.on('error', error =>
    process.exit((error as NodeJS.ErrnoException).code === 'EPIPE' ? 0 : 74),
  )
  try {
    await run([...words], config)
    await flush()
  } catch (error) {
    const {code, message = '', oclif} = error as NodeJS.ErrnoException & {oclif?: {exit?: number}}
    // The command has said it already.
    if (code === 'EEXIT') process.exit(oclif?.exit ?? 0)
    const [, id] = /^command (.*) not found$/s.exec(message) ?? []
    const fault = report(id === undefined ? error : unknownCommand(id, config.commandIDs))
    await printFault(fault, false)
    process.exit(fault.exit)
  }
}
