import {setTimeout as sleep} from 'node:timers/promises'

import type {HttpAnswer} from './transport.ts'

export interface RetryPolicy {
  /** Tries after the first. */
  readonly retries: number
  /** Delay before the first retry, ms; it doubles each time. */
  readonly base: number
  /** No retry begins later than this after the first try, ms. */
  readonly until: number
}

/** A server that asks for more patience than this (ms) gets none: the user would rather know. */
const longestWait = 30_000

/** Statuses that say "not now": too many requests, and a proxy or service that is down or starting. */
const passing = new Set([429, 500, 502, 503, 504])

/** Connection faults that the next try may not meet. A wrong name, a wrong certificate or a refused protocol stay wrong. */
const passingCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'HPE_INVALID_EOF_STATE',
  'ABORT_ERR',
  'ERR_PROXY_TUNNEL',
])

/** What one try gave: an answer, or the error that came instead. */
export type Outcome = {readonly answer: HttpAnswer} | {readonly error: unknown}

/**
 * Repeats `attempt` while its outcome is one that passes. Only for calls that may be made twice.
 *
 * @param attempt is told which try it is, from 0; never rejects
 */
export async function withRetries(
  policy: RetryPolicy,
  attempt: (n: number) => Promise<Outcome>,
): Promise<Outcome> {
  const start = performance.now()
  for (let n = 0; ; n++) {
    const outcome = await attempt(n)
    if (n >= policy.retries) return outcome
    const wait = waitBefore(n + 1, policy.base, outcome)
    if (wait === undefined || performance.now() - start + wait > policy.until) return outcome
    await sleep(wait)
  }
}

/**
 * Delay before try n, ms; undefined when another try is no use. Exponential, with jitter over its upper half, so that
 * clients that failed together do not come back together.
 */
export function waitBefore(
  n: number,
  base: number,
  outcome: Outcome,
  random = Math.random,
): number | undefined {
  const backOff = base * 2 ** (n - 1) * (0.5 + random() / 2)
  if ('error' in outcome) return passingCodes.has(codeOf(outcome.error)) ? backOff : undefined
  if (!passing.has(outcome.answer.status)) return undefined
  const asked = retryAfter(outcome.answer.headers['retry-after'])
  if (asked === undefined) return backOff
  return asked > longestWait ? undefined : Math.max(asked, backOff)
}

/** Retry-After (RFC 9110, 10.2.3), seconds or a date, as ms from now. */
export function retryAfter(value: string | undefined, now = Date.now()): number | undefined {
  if (!value) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code ?? '')
}
