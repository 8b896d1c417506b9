import {plain, shortened} from './plain.ts'

/** The start of a UUID, as people quote it: enough for every command that takes one. */
export const shortId = (id: string): string => plain(id.slice(0, 8))

/** What to call a thing: its name, or, as the unnamed are common, the start of its UUID. */
export function nameOf(thing: {readonly id: string; readonly name?: string}, max = 255): string {
  return shortened(thing.name ?? '', max) || shortId(thing.id)
}

/** `7 h 40 min left`, for people; of a time that is over, `over`. @param until RFC 3339 @param now epoch ms */
export function timeLeft(until: string, now = Date.now()): string {
  const minutes = Math.floor((Date.parse(until) - now) / 60_000)
  if (!(minutes >= 0)) return 'over'
  if (minutes === 0) return 'under a minute left'
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60)]
  if (days > 0) return `${days} d ${hours % 24} h left`
  return hours > 0 ? `${hours} h ${minutes % 60} min left` : `${minutes} min left`
}
