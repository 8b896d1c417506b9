import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'

import {
  ALIAS_RANGE_4,
  ALIAS_RANGE_6,
  freeAlias,
  freeLogin,
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
      fc.property(slot, family, fc.nat(3999), (s, f, count) => {
        const plan = slotPlan(s)
        const used = new Set<string>()
        for (let n = 0; n < Math.min(count, 30); n++) used.add(freeAlias(s, f, used))
        const alias = freeAlias(s, f, used)
        expect(used.has(alias)).toBe(false)
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

  it('says when a network or a gate is full', () => {
    const all = new Set<string>()
    for (let n = 0; n < 4000; n++) all.add(freeAlias(0, 4, all))
    expect(() => freeAlias(0, 4, all)).toThrow(expect.objectContaining({code: 'GATE_FULL'}))
    expect(() => freeLogin(new Set(['osp0000', 'osp0001']), 2)).toThrow(
      expect.objectContaining({code: 'GATE_FULL'}),
    )
    expect(freeLogin(new Set(['osp0000']), 2)).toBe('osp0001')
  })
})
