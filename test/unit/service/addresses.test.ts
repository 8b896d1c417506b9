import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'

import {
  ALIAS_RANGE_4,
  ALIAS_RANGE_6,
  ALIASES,
  aliasAt,
  slotPlan,
} from '../../../src/service/gates/addresses.ts'

const within = (address: string, range: string) => {
  const [ip, length] = ipaddr.parseCIDR(range)
  return ipaddr.parse(address).match(ip, length)
}
const slot = fc.integer({min: 0, max: 1023})
const family = fc.constantFrom(4 as const, 6 as const)

describe('address plan of a gate', () => {
  it('keeps every alias in its slot, in the range the guard admits, off the link, and canonical', () => {
    fc.assert(
      fc.property(slot, family, fc.nat(ALIASES - 1), (s, f, count) => {
        const plan = slotPlan(s)
        const alias = aliasAt(s, f, count)
        expect(within(alias, f === 4 ? plan.block4 : plan.block6)).toBe(true)
        expect(within(alias, f === 4 ? ALIAS_RANGE_4 : ALIAS_RANGE_6)).toBe(true)
        expect([plan.gate4, plan.inner4, plan.gate6, plan.inner6]).not.toContain(alias)
        // sshd's permitopen compares text: there must be one spelling
        expect(ipaddr.parse(alias).toString()).toBe(alias)
      }),
    )
  })

  it('gives no two slots the same block', () => {
    const blocks = Array.from({length: 1024}, (_, n) => slotPlan(n))
    expect(new Set(blocks.map(b => b.block4)).size).toBe(1024)
    expect(new Set(blocks.map(b => b.block6)).size).toBe(1024)
    expect(blocks.at(-1)?.block4).toBe('100.127.240.0/20')
  })

  it('gives no two numbers the same alias', () => {
    for (const f of [4, 6] as const)
      expect(new Set(Array.from({length: ALIASES}, (_, n) => aliasAt(7, f, n))).size).toBe(ALIASES)
  })
})
