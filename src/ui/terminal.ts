import type {Writable} from 'node:stream'

/** Something to print to: a stream that may be a terminal. */
export type Screen = Writable & {isTTY?: boolean; columns?: number}

/** Whether to colour: on a terminal only, and never against NO_COLOR (no-color.org) or a dumb terminal. */
export function wantsColour(screen: Screen, env: NodeJS.ProcessEnv = process.env): boolean {
  return screen.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
}

/**
 * Text from a cloud made harmless for a terminal: control characters (a VM may be named after an escape sequence)
 * and those that reorder a line are shown as escapes. Newlines too: a row is a line.
 */
export function plain(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeCharacter)
}

/** `\u….`, as JSON and YAML read it too. */
export function escapeCharacter(character: string): string {
  const point = character.codePointAt(0) ?? 0
  if (point > 0xffff) return [...character].map(unit => `\\u{${unit.codePointAt(0)?.toString(16)}}`).join('')
  return `\\u${point.toString(16).padStart(4, '0')}`
}
