import {distance} from 'fastest-levenshtein'

/**
 * What somebody who typed `word` most likely meant, without regard to case; undefined when nothing is near. A short word has
 * fewer letters to be wrong in.
 */
export function closest(word: string, known: readonly string[]): string | undefined {
  const limit = word.length < 4 ? 1 : word.length < 8 ? 2 : 3
  const [best] = known
    .map(name => ({name, far: distance(word.toLowerCase(), name.toLowerCase())}))
    .filter(({far}) => far <= limit)
    .sort((a, b) => a.far - b.far)
  return best?.name
}
