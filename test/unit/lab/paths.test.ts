import {expect, test} from '@jest/globals'
import fc from 'fast-check'

import {isNetnsOf, labDir, netnsName} from '../../../lab/paths.ts'

const name = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,30}$/)
const id = fc.uuid()
const kind = fc.constantFrom('net' as const, 'rtr' as const, 'vm' as const)

test("a lab knows its own namespaces and never another lab's", () => {
  fc.assert(
    fc.property(name, name, kind, id, (one, other, what, uuid) => {
      expect(isNetnsOf(one, netnsName(one, what, uuid))).toBe(true)
      fc.pre(one !== other)
      expect(isNetnsOf(other, netnsName(one, what, uuid))).toBe(false)
    }),
  )
})

test('a name that begins like another lab does not claim its namespaces', () => {
  const uuid = '01234567-89ab-cdef-0123-456789abcdef'
  expect(isNetnsOf('a', netnsName('a-vm', 'vm', uuid))).toBe(false)
  expect(isNetnsOf('a', netnsName('a-vm-01234567', 'vm', uuid))).toBe(false)
})

test.each(['', '..', 'a/b', 'Lab', '-x', 'a\nb', `${'a'.repeat(32)}`, '$(reboot)'])(
  'refuses the name %j',
  bad => {
    expect(() => labDir(bad)).toThrow('use at most 31 lower-case letters, digits and dashes')
  },
)
