import {catalogue, OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import {type Screen, wantsColour} from './terminal.ts'

/** A fault as a user reads it, and the exit status that goes with it. */
export interface Report {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly exit: number
}

/** Exit status when the user pressed Ctrl-C, as shells have it. */
export const INTERRUPTED = 130

/** What to say about anything that was thrown; what is not an OsSshError or a wrong command line is a bug of ours. */
export function report(error: unknown): Report {
  if (error instanceof OsSshError) {
    const [hint] = error.suggestions
    return {code: error.code, message: error.message, ...(hint && {hint}), exit: error.exit}
  }
  const {name = '', message = String(error), oclif, stack} = error as Error & {oclif?: {exit?: number}}
  if (name === 'ExitPromptError') return {code: 'INTERRUPTED', message: 'interrupted', exit: INTERRUPTED}
  if (oclif) return {code: 'USAGE', message: firstLine(message), ...catalogue.USAGE}
  const text = process.env['DEBUG'] && stack ? stack : message
  return {code: 'BUG', message: `${name ? `${name}: ` : ''}${text}`, ...catalogue.BUG}
}

/** Prints `error:` and `hint:` lines, or one JSON object for programs. */
export async function printFault(
  fault: Report,
  json: boolean,
  screen: Screen = process.stderr,
): Promise<void> {
  if (json) {
    screen.write(`${JSON.stringify({error: fault})}\n`)
    return
  }
  let [red, dim] = [(text: string) => text, (text: string) => text]
  if (wantsColour(screen)) {
    const {Chalk} = await import('chalk')
    const chalk = new Chalk({level: 1})
    ;[red, dim] = [chalk.red, chalk.dim]
  }
  const lines = fault.message.split('\n').map(plain)
  screen.write(`${red('error:')} ${lines.join('\n       ')}\n`)
  if (fault.hint) screen.write(`${dim('hint:')}  ${plain(fault.hint)}\n`)
}

/** oclif adds "See more help with --help" and lists to its messages; the hint says it already. */
function firstLine(message: string): string {
  const lines = message.split('\n').filter(line => line.trim() !== '' && !line.startsWith('See more help'))
  return lines.join('\n')
}
