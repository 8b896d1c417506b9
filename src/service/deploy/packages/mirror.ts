import {isIP, isIPv6} from 'node:net'

/** A package mirror that gates may reach although its address is private. */
export interface Mirror {
  /** Name in small letters, or address without brackets. */
  readonly host: string
  /** Undefined: those of HTTP and HTTPS. */
  readonly port: number | undefined
}

const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*$/

/** `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`; undefined for anything else. */
export function parseMirror(text: string): Mirror | undefined {
  const match = /^(?:\[(?<six>[^\]]*)\]|(?<name>[^:]*))(?::(?<port>\d{1,5}))?$/.exec(text.toLowerCase())
  if (!match?.groups) return undefined
  const {six, name = '', port} = match.groups
  const host = six ?? name
  const number = port === undefined ? undefined : Number(port)
  if (number !== undefined && (number < 1 || number > 65_535)) return undefined
  if (six !== undefined) return isIPv6(six) && !six.includes('%') ? {host, port: number} : undefined
  // 10.0.0 and 10.0.0.256 are names that nobody has.
  const fits = /^[\d.]+$/.test(host) ? isIP(host) === 4 : NAME.test(host)
  return fits ? {host, port: number} : undefined
}
