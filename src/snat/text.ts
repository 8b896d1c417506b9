/**
 * A name of the cloud's, made fit for a terminal line, a label or a picture: no control characters, no bidirectional
 * overrides, no lone surrogates (a tenant may have put any of them there), and cut at `max` characters.
 */
export function tidy(name: unknown, max = 255): string {
  const text = typeof name === 'string' ? name.toWellFormed() : ''
  const safe = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu, '\ufffd')
  const letters = Array.from(safe)
  return letters.length <= max ? safe : `${letters.slice(0, max - 1).join('')}…`
}

/** What to call a thing: its name, or, as the unnamed are common, the start of its UUID. */
export function nameOf(thing: {readonly id: string; readonly name?: string}, max = 255): string {
  return tidy(thing.name, max) || shortId(thing.id)
}

/** The first eight characters of a UUID, as people quote them. */
export function shortId(id: string): string {
  return tidy(id).slice(0, 8)
}
