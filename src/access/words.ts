import {createHash} from 'node:crypto'

const UUID = /^[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}$/

/** Whether a text is a UUID, with dashes or (Keystone's way) without. */
export const isUuid = (text: string) => UUID.test(text)

/** A cloud's name as a file name: itself when that is harmless, else a hash of it. */
export function slug(cloud: string): string {
  if (/^[A-Za-z0-9_][\w.-]{0,31}$/.test(cloud)) return cloud
  return `x-${createHash('sha256').update(cloud).digest('hex').slice(0, 16)}`
}
