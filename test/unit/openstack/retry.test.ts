import {expect, test} from '@jest/globals'
import fc from 'fast-check'

import {retryAfter, waitBefore} from '../../../src/openstack/retry.ts'

const answer = (status: number, headers = {}) => ({answer: {status, headers, body: ''}})

test('the delay doubles, with jitter over its upper half', () => {
  fc.assert(
    fc.property(fc.integer({min: 1, max: 8}), fc.double({min: 0, max: 1, noNaN: true}), (n, random) => {
      const wait = waitBefore(n, 100, answer(503), () => random) ?? 0
      expect(wait).toBeGreaterThanOrEqual(50 * 2 ** (n - 1))
      expect(wait).toBeLessThanOrEqual(100 * 2 ** (n - 1))
    }),
  )
})

test('Retry-After in seconds and as a date; never sooner than asked; too long is no retry', () => {
  const now = Date.parse('2026-11-24T00:00:00Z')
  expect(retryAfter('7', now)).toBe(7000)
  expect(retryAfter('Tue, 24 Nov 2026 00:00:09 GMT', now)).toBe(9000)
  expect(retryAfter('Mon, 23 Nov 2026 00:00:00 GMT', now)).toBe(0)
  expect(retryAfter('soon', now)).toBeUndefined()
  expect(waitBefore(1, 100, answer(429, {'retry-after': '2'}))).toBe(2000)
  expect(waitBefore(1, 100, answer(503, {'retry-after': '31'}))).toBeUndefined()
})

test.each([
  [{error: Object.assign(new Error(), {code: 'ECONNRESET'})}, true],
  [{error: Object.assign(new Error(), {code: 'ENOTFOUND'})}, false],
  [{error: Object.assign(new Error(), {code: 'DEPTH_ZERO_SELF_SIGNED_CERT'})}, false],
  [{error: new Error('no code')}, false],
  [answer(502), true],
  [answer(501), false],
  [answer(404), false],
  [answer(200), false],
])('%j: another try is %s', (outcome, again) => {
  expect(waitBefore(1, 1, outcome) !== undefined).toBe(again)
})
