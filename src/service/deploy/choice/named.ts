import {OsSshError} from '../../../errors.ts'
import {nameOf} from '../../../names/brief.ts'
import {closest} from '../../../names/closest.ts'
import {shortened} from '../../../names/plain.ts'
import type {Named} from './plan.ts'

/** As many candidates as one sentence takes. */
const SHOWN = 8

/** Names as people read them in a sentence: `a, b and 3 more`; `none`. */
export function listed(things: readonly {readonly id: string; readonly name?: string}[]): string {
  const names = [...new Set(things.map(thing => nameOf(thing, 60)))].sort()
  if (names.length === 0) return 'none'
  const shown = names.slice(0, SHOWN).join(', ')
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown
}

export const quoted = (word: string) => JSON.stringify(shortened(word, 80))

/** The same of ids and names alike, for people. */
export const called = (thing: {readonly id: string; readonly name?: string}) => quoted(nameOf(thing, 80))

/**
 * The one thing that a word means: by its id, or by its exact name, since a configuration is read when nobody is there to ask.
 *
 * @param kind in the sentence: `image`
 * @throws OsSshError USAGE with the candidates; AMBIGUOUS with the ids
 */
export function named<T extends Named>(kind: string, word: string, things: readonly T[]): T {
  const found = things.find(thing => thing.id === word)
  if (found) return found
  const [first, ...others] = things.filter(thing => thing.name === word)
  if (first !== undefined && others.length === 0) return first
  if (first !== undefined) {
    const ids = [first, ...others].map(({id}) => ({id, name: id}))
    throw new OsSshError(
      'AMBIGUOUS',
      `${ids.length} of the ${kind}s are named ${quoted(word)}: ${listed(ids)}`,
      {hint: 'name it by its id'},
    )
  }
  const near = closest(word, things.map(thing => thing.name ?? '').sort())
  throw new OsSshError('USAGE', `there is no ${kind} ${quoted(word)}; there are: ${listed(things)}`, {
    hint: near ? `did you mean ${quoted(near)}?` : `name the ${kind} by its id or its whole name`,
  })
}

/** Parts of an order, the weightiest first. */
export type Key = readonly (number | string)[]

/** The first by its key. Keys that end in an id are different, and the order of the things does not matter. */
export function first<T>(things: readonly T[], key: (thing: T) => Key): T | undefined {
  const [best] = things.map(thing => ({thing, at: key(thing)})).sort((a, b) => compare(a.at, b.at))
  return best?.thing
}

function compare(a: Key, b: Key): number {
  for (const [n, x] of a.entries()) {
    const y = b[n]
    if (y === undefined || x === y) continue
    return x < y ? -1 : 1
  }
  return 0
}
