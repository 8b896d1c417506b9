import {distance} from 'fastest-levenshtein'

/**
 * What somebody who typed `word` most likely meant, without regard to case; undefined when nothing is near. A short word has
 * fewer letters to be wrong in.
 */
export function closest(word: string, known: readonly string[]): string | undefined {
  const limit = word.length < 4 ? 1 : word.length < 8 ? 2 : 3
  const own = lettersOf(word)
  const [best] = known
    .map(name => ({name, far: distance(word.toLowerCase(), name.toLowerCase())}))
    .filter(({far}) => far <= limit)
    // Of two that are as near, the one with the same letters: what is swapped counts as two.
    .sort((a, b) => a.far - b.far || Number(lettersOf(b.name) === own) - Number(lettersOf(a.name) === own))
  return best?.name
}

const lettersOf = (word: string) => [...word.toLowerCase()].sort().join('')
