import {OsSshError} from '../errors.ts'
import {closest} from './closest.ts'

/** How things of one kind are named. */
export interface Naming<T> {
  /** What to call one: `VM`, `router`. */
  readonly kind: string
  /** UUIDs; a unique start of one, of four characters at least, will do as well unless `whole`. */
  readonly ids: (thing: T) => readonly string[]
  readonly names: (thing: T) => readonly (string | undefined)[]
  /** What else is known of it alone, such as addresses; compared last. */
  readonly others?: (thing: T) => readonly string[]
  readonly whole?: boolean
  /** One candidate, on a line of its own. */
  readonly line: (thing: T) => string
  /** Where to look. */
  readonly hint: string
}

/**
 * All things that a word may mean, by the first of these that fits any: UUID, name, name in another case, start of a UUID, the
 * rest.
 */
export function matching<T>(
  word: string,
  things: readonly T[],
  {ids, names, others, whole}: Naming<T>,
): readonly T[] {
  const low = word.toLowerCase()
  const start = !whole && /^[0-9a-f][0-9a-f-]{3,}$/.test(low)
  const ways: readonly ((thing: T) => boolean)[] = [
    thing => ids(thing).includes(low),
    thing => names(thing).includes(word),
    thing => names(thing).some(name => name?.toLowerCase() === low),
    thing => start && ids(thing).some(id => id.startsWith(low)),
    thing => others?.(thing).includes(low) === true,
  ]
  for (const way of ways) {
    const found = things.filter(way)
    if (found.length > 0) return found
  }
  return []
}

/**
 * The one thing that a user means by a word.
 *
 * @throws OsSshError NOT_FOUND, with what was perhaps meant; AMBIGUOUS, with the candidates
 */
export function find<T>(word: string, things: readonly T[], naming: Naming<T>): T {
  const found = matching(word, things, naming)
  const [first, ...others] = found
  if (first === undefined) throw missing(word, things, naming)
  if (others.length === 0) return first
  throw ambiguous(word, found, naming)
}

export function missing<T>(word: string, things: readonly T[], {kind, names, hint}: Naming<T>): OsSshError {
  const near = closest(
    word,
    things.flatMap(thing => names(thing).flatMap(name => name ?? [])),
  )
  return new OsSshError('NOT_FOUND', `there is no ${kind} ${quoted(word)} that you may see`, {
    hint: near === undefined ? hint : `did you mean ${quoted(near)}? ${hint}`,
  })
}

/** As many candidates as fit on a screen. */
const SHOWN = 10

export function ambiguous<T>(word: string, found: readonly T[], {kind, line}: Naming<T>): OsSshError {
  const lines = found.map(line).sort().slice(0, SHOWN)
  const more = found.length > SHOWN ? [`and ${found.length - SHOWN} more`] : []
  return new OsSshError(
    'AMBIGUOUS',
    [`${found.length} ${kind}s fit ${quoted(word)}:`, ...lines, ...more].join('\n'),
  )
}

const quoted = (word: string) => JSON.stringify(word.length > 80 ? `${word.slice(0, 79)}…` : word)
