import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {
  BY_ADDRESS,
  BY_MARK,
  ipv4,
  legDevice,
  MAX_MEMBERS,
  memberDevice,
  namespaceOf,
  numberOf,
  PRIORITY,
  pairOf,
  ROUTES,
  routerDevice,
  routerNamespace,
} from '../../../src/localgw/names.ts'

const DEVICES = [legDevice, memberDevice, routerDevice]
const number = fc.integer({min: 1, max: MAX_MEMBERS})
/** Neutron's ids have dashes, Keystone's none. */
const uuid = fc.uuid().chain(id => fc.constantFrom(id, id.replaceAll('-', '')))

describe('pairs of addresses', () => {
  it('for any number: both ends lead back to it', () => {
    fc.assert(
      fc.property(number, one => {
        for (const address of pairOf(one)) expect([numberOf(address), ipv4(address)]).toEqual([one, address])
      }),
    )
  })

  it('are all different, from the first to the last, each a /31', () => {
    const last = (address: string) => address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
    const pairs = Array.from({length: MAX_MEMBERS}, (_, n) => pairOf(n + 1))
    expect(new Set(pairs.flat()).size).toBe(2 * MAX_MEMBERS)
    for (const [theirs, ours] of pairs) expect([last(theirs) % 2, last(ours) - last(theirs)]).toEqual([0, 1])
    expect([pairs[0], pairs.at(-1)]).toEqual([
      ['169.254.0.2', '169.254.0.3'],
      ['169.254.30.254', '169.254.30.255'],
    ])
  })

  it.each([0, -1, 1.5, MAX_MEMBERS + 1, Number.NaN])('%d is no number of a member', wrong => {
    expect(() => pairOf(wrong)).toThrow(new Error(`${wrong} is no number of a member`))
  })

  it.each([
    ['Neutron’s own', '169.254.64.1'],
    ['above the last', '169.254.31.0'],
    ['below the first', '169.254.0.1'],
    ['a leg’s', '172.24.0.50'],
    ['the metadata service’s', '169.254.169.254'],
    ['half of it alone the same', '10.254.0.2'],
    ['none', ''],
  ])('an address that is %s is of no member: %s', (_, address) => {
    expect(numberOf(address)).toBeUndefined()
  })
})

describe('names of devices and namespaces', () => {
  it('for any id: a device has at most 15 bytes, and none is another one’s', () => {
    fc.assert(
      fc.property(uuid, id => {
        const devices = DEVICES.map(device => device(id))
        for (const device of devices) expect(device).toMatch(/^l[gsq]-[0-9a-f-]{11}$/)
        expect(new Set(devices).size).toBe(DEVICES.length)
        expect([namespaceOf(id), routerNamespace(id)]).toEqual([`lsnat-${id}`, `qrouter-${id}`])
      }),
    )
  })

  const hostile = [
    '',
    '../../etc',
    'aaaaaaaa-0000-4000-8000-00000000000g',
    'aaaaaaaa-0000-4000-8000-000000000001\n',
    'x"; drop',
  ]
  it.each(hostile)('%j is no id', id => {
    for (const name of [...DEVICES, namespaceOf, routerNamespace])
      expect(() => name(id)).toThrow(new Error(`${JSON.stringify(id)} is no UUID`))
  })

  it.each(['', '10.0.0', '10.0.0.256', '::1', '10.0.0.1/8', '010.0.0.1', '10.0.0.1\n', '10.0.0.1 accept'])(
    '%j is no address',
    address => {
      expect(() => ipv4(address)).toThrow(new Error(`${JSON.stringify(address)} is no IPv4 address`))
    },
  )
})

it('priorities and tables of members do not meet: of the marks, of the addresses, nor the kernel’s own', () => {
  expect(BY_MARK + MAX_MEMBERS).toBeLessThan(BY_ADDRESS + 1)
  expect(BY_ADDRESS + MAX_MEMBERS).toBeLessThan(32_766)
  expect(ROUTES).toBeGreaterThan(32_767)
  // After the rules of floating IPs, before the redirect of a subnet, which is the subnet as a number.
  expect(PRIORITY).toBeGreaterThan(65_535)
  expect(PRIORITY).toBeLessThan(2 ** 24)
})
