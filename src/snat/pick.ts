import {OsSshError} from '../errors.ts'
import {nameOf} from '../names/brief.ts'
import {find} from '../names/find.ts'

interface Named {
  readonly id: string
  readonly name?: string
}

/**
 * The one router or VM that a user means by a word.
 * @param kind what to call it, e.g. `router`
 * @throws OsSshError NOT_FOUND, AMBIGUOUS (with the candidates), USAGE for an empty word
 */
export function pick<T extends Named>(kind: 'router' | 'VM', word: string, things: readonly T[]): T {
  if (word.trim() === '') throw new OsSshError('USAGE', `the name of the ${kind} is empty`)
  return find(word, things, {
    kind,
    ids: ({id}) => [id],
    names: ({name}) => [name],
    line: thing => `${thing.id}  ${nameOf(thing, 40)}`,
    hint: kind === 'router' ? 'list the routers: os-ssh snat status' : 'list the VMs: os-ssh list',
  })
}
