/*
 * What the agent of a node's local gateways says of them, for whoever reads the API: one line, in the description of one of its ports there.
 * Not in a tag: tags have 60 characters at most in Zed, and are a resource of their own, with a policy of its own. A write is a row of
 * Neutron's database: at most one a minute and node.
 */

/** What a router on a node is in that could leave there and does not. */
export const EXCEPTIONS = ['probing', 'fallback', 'draining', 'waiting', 'no-address'] as const

export type ExceptionState = (typeof EXCEPTIONS)[number]

export interface Heartbeat {
  /** ms since 1970; the text has whole seconds. */
  readonly at: number
  readonly sharing: 'per-router' | 'per-node'
  /** Routers that leave locally on this node. */
  readonly local: number
  /** Routers that could and do not at the moment, by the first eight digits of their UUIDs. */
  readonly exceptions: readonly {readonly router: string; readonly state: ExceptionState}[]
  /** How many more of these there are than are named. */
  readonly more: number
}

/** So old, in ms, a heartbeat still counts: two may get lost. */
export const HEARTBEAT_LIFE = 180_000

/** As many characters a description in Neutron has: neutron_lib DESCRIPTION_FIELD_SIZE. */
const MAX_LENGTH = 255

/**
 * The heartbeat as a description; of exceptions that do not fit only the number.
 * @param h of UUIDs the first eight digits are taken @throws Error when the time, a number or a UUID is none
 */
export function heartbeatText({at, sharing, local, exceptions, more}: Heartbeat): string {
  const time = new Date(Math.floor(at / 1000) * 1000).toISOString().replace('.000Z', 'Z')
  const head = `os-ssh-lsnat/1 ${time} ${sharing} local=${local} other=${exceptions.length + more}`
  const words = exceptions.map(({router, state}) => `${router.slice(0, 8)}:${state}`)
  let fitting = words.length
  let text = lineOf(head, words, fitting, more)
  while (text.length > MAX_LENGTH && fitting > 0) text = lineOf(head, words, --fitting, more)
  if (readHeartbeat(text) === undefined) throw new Error(`this is no heartbeat: ${text.slice(0, MAX_LENGTH)}`)
  return text
}

function lineOf(head: string, words: readonly string[], fitting: number, more: number): string {
  const left = words.length - fitting + more
  return [head, ...words.slice(0, fitting), ...(left > 0 ? [`+${left}`] : [])].join(' ')
}

const NUMBER = '(0|[1-9]\\d{0,5})'
const LINE = new RegExp(
  `^os-ssh-lsnat/1 (\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ) (per-router|per-node) local=${NUMBER} other=${NUMBER}` +
    `((?: [0-9a-f]{8}:(?:${EXCEPTIONS.join('|')}))*)(?: \\+([1-9]\\d{0,5}))?$`,
)

/** Reads a description, which anybody may have written. Undefined when it is not exactly such a line. */
export function readHeartbeat(text: unknown): Heartbeat | undefined {
  if (typeof text !== 'string' || text.length > MAX_LENGTH) return undefined
  const [, time = '', sharing, local, other, named = '', left = '0'] = LINE.exec(text) ?? []
  const at = Date.parse(time)
  // 31 February is no day, and Date.parse() takes it for one in March.
  if (Number.isNaN(at) || new Date(at).toISOString().replace('.000Z', 'Z') !== time) return undefined
  const exceptions = named
    .split(' ')
    .filter(word => word !== '')
    .map(word => ({router: word.slice(0, 8), state: word.slice(9) as ExceptionState}))
  const more = Number(left)
  if (exceptions.length + more !== Number(other)) return undefined
  return {at, sharing: sharing as Heartbeat['sharing'], local: Number(local), exceptions, more}
}
