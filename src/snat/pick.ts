import {OsSshError} from '../errors.ts'
import {nameOf, tidy} from './text.ts'

interface Named {
  readonly id: string
  readonly name?: string
}

/**
 * The one thing that a user means by a word: its UUID, else its exact name, else the start of one UUID.
 * @param kind what to call it, e.g. `router`
 * @throws OsSshError NOT_FOUND, AMBIGUOUS (with the candidates), USAGE for an empty word
 */
export function pick<T extends Named>(kind: string, word: string, things: readonly T[]): T {
  if (word.trim() === '') throw new OsSshError('USAGE', `the name of the ${kind} is empty`)
  const exact = things.filter(thing => thing.id === word)
  const named = exact.length > 0 ? exact : things.filter(thing => thing.name === word)
  const found =
    named.length > 0
      ? named
      : things.filter(thing => isStart(word) && thing.id.startsWith(word.toLowerCase()))
  const [only] = found
  if (only === undefined) {
    throw new OsSshError('NOT_FOUND', `there is no ${kind} "${tidy(word, 80)}", or you may not see it`, {
      hint: hintFor(kind),
    })
  }
  if (found.length > 1) {
    const some = found.slice(0, 5).map(thing => `${nameOf(thing, 40)} (${thing.id})`)
    const more = found.length > 5 ? ` and ${found.length - 5} more` : ''
    throw new OsSshError(
      'AMBIGUOUS',
      `${found.length} ${kind}s are "${tidy(word, 80)}": ${some.join(', ')}${more}`,
    )
  }
  return only
}

/** At least four digits, so that a short name is not taken for one. */
function isStart(word: string): boolean {
  return /^[0-9a-f][0-9a-f-]{3,}$/i.test(word)
}

function hintFor(kind: string): string {
  return kind === 'router' ? 'list the routers: os-ssh snat status' : 'list what you may see: os-ssh list'
}
