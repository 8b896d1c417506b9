/**
 * Text from a cloud made harmless for a terminal, a label or a picture: control characters (a VM may be named after an escape
 * sequence), those that reorder or hide a part of a line, and lone surrogates are shown as escapes. Newlines too: a row is a line.
 */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escapeCharacter)
}

/** The same, of at most `max` letters: what is longer ends in `…`. */
export function shortened(text: string, max: number): string {
  const letters = Array.from(plain(text))
  return letters.length <= max ? letters.join('') : `${letters.slice(0, max - 1).join('')}…`
}

/** `\u….`, as JSON and YAML read it too. */
export function escapeCharacter(character: string): string {
  const point = character.codePointAt(0) ?? 0
  if (point > 0xffff) return [...character].map(unit => `\\u{${unit.codePointAt(0)?.toString(16)}}`).join('')
  return `\\u${point.toString(16).padStart(4, '0')}`
}
