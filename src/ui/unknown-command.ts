import {OsSshError} from '../errors.ts'
import {closest} from '../names/closest.ts'
import {plain} from '../names/plain.ts'

/**
 * What to say of a command that does not exist.
 *
 * @param id as oclif joins the words: `paths:lst`, `list:extra`
 * @param known ids of all commands, joined the same way
 */
export function unknownCommand(id: string, known: readonly string[]): OsSshError {
  const words = id.split(':')
  const typed = words.map(plain).join(' ')
  const command = words.findLastIndex((_, n) => known.includes(words.slice(0, n + 1).join(':'))) + 1
  if (command > 0) {
    const name = words.slice(0, command).join(' ')
    const extra = words.slice(command).map(plain).join(' ')
    return new OsSshError('USAGE', `${name} takes no argument "${extra}"`, {
      hint: `see os-ssh ${name} --help`,
    })
  }
  const near = closest(id, known) ?? closest(words[0] ?? '', known)
  const hint = near ? `did you mean: os-ssh ${near.replaceAll(':', ' ')}` : 'see os-ssh help'
  return new OsSshError('USAGE', `there is no command "${typed}"`, {hint})
}
