import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {nameOf, shortId, timeLeft} from '../../../src/names/brief.ts'
import {find, matching, type Naming} from '../../../src/names/find.ts'
import {escapeCharacter, plain, shortened} from '../../../src/names/plain.ts'
import {isRange} from '../../../src/names/ranges.ts'
import {isUuid} from '../../../src/names/uuid.ts'
import {anyText} from '../../support/any-text.ts'

/* What is called what, and how it is shown: names come from whoever may make a VM. */

/** What no terminal shall see. */
const DANGEROUS = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

describe('plain', () => {
  it.each([
    ['a newline', 'a\nb', 'a\\u000ab'],
    ['an escape', '\u001b[31m', '\\u001b[31m'],
    ['one of C1', '\u009b31m', '\\u009b31m'],
    ['what turns a line around', 'web\u202egnp', 'web\\u202egnp'],
    ['what isolates', '\u2066a\u2069', '\\u2066a\\u2069'],
    ['what is not seen', 'a\u200b\u00adb', 'a\\u200b\\u00adb'],
    ['separators of lines', '\u2028\u2029', '\\u2028\\u2029'],
    ['a half of a pair', '\ud83d!', '\\ud83d!'],
    ['a tag that is not seen', '\u{e0041}', '\\u{e0041}'],
    ['letters of any language', 'tür 漢字 😀 a\u0301', 'tür 漢字 😀 a\u0301'],
  ])('%s', (_, text, shown) => {
    expect(plain(text)).toBe(shown)
  })

  it('nothing dangerous is left of any text, and what is harmless is not touched', () => {
    fc.assert(
      fc.property(anyText, text => {
        const shown = plain(text)
        expect(shown).not.toMatch(DANGEROUS)
        expect(plain(shown)).toBe(shown)
      }),
    )
    fc.assert(fc.property(fc.string(), text => expect(plain(text)).toBe(text)))
  })

  it('an escape is read back by JSON', () => {
    for (const one of ['\n', '\u2028', '\ud83d']) expect(JSON.parse(`"${escapeCharacter(one)}"`)).toBe(one)
  })

  it.each([
    ['abcde', 5, 'abcde'],
    ['abcdef', 5, 'abcd…'],
    ['😀😀😀', 3, '😀😀😀'],
    ['😀😀😀😀', 3, '😀😀…'],
    // An escape counts as it is shown.
    ['\n', 6, '\\u000a'],
    ['\n', 5, '\\u00…'],
    ['', 1, ''],
  ])('%j in at most %i letters is %j', (text, max, shown) => {
    expect(shortened(text, max)).toBe(shown)
  })
})

it.each([
  ['10.0.0.0/8', true],
  ['10.0.0.1/32', true],
  ['0.0.0.0/0', true],
  ['::/0', true],
  ['2001:db8::/32', true],
  ['2001:DB8:0::/48', true],
  ['10.0.0.1/24', false],
  ['2001:db8::1/64', false],
  ['10.0.0.0', false],
  ['10.0.0.0/', false],
  ['10.0.0.0/33', false],
  ['::/129', false],
  ['10.0.0.0/-1', false],
  ['10.0.0.0/+8', false],
  ['10.0.0.0/8.0', false],
  ['10.0.0.0/0x8', false],
  ['10.0.0.0/8/8', false],
  ['10.0/16', false],
  ['010.0.0.0/8', false],
  ['fe80::%eth0/64', false],
  ['fe80::%/10', false],
  ['example.org/8', false],
  [' 10.0.0.0/8', false],
  ['10.0.0.0/8\n', false],
  ['', false],
  ['/', false],
])('%j is an address range: %s', (text, is) => {
  expect(isRange(text)).toBe(is)
})

it.each([
  ['3f2a7c1e-0000-4000-8000-000000000001', true],
  ['3f2a7c1e000040008000000000000001', true],
  ['3F2A7C1E-0000-4000-8000-000000000001', false],
  ['3f2a7c1e-0000-4000-8000-00000000001', false],
  ['3f2a7c1e-0000-4000-8000-0000000000011', false],
  ['3f2a7c1e-0000-4000-8000-000000000001\n', false],
  ['../../../../../../../../../../../etc', false],
  ['', false],
])('%j is a UUID: %s', (text, is) => {
  expect(isUuid(text)).toBe(is)
})

it('what has no name is called by the start of its UUID, harmlessly', () => {
  const id = '3f2a7c1e-0000-4000-8000-000000000001'
  expect([
    nameOf({id}),
    nameOf({id, name: ''}),
    nameOf({id, name: 'web\n'}),
    nameOf({id, name: 'web'}, 2),
  ]).toEqual([...['3f2a7c1e', '3f2a7c1e', 'web\\u000a', 'w…']])
  expect(shortId('\u001b[31m2345')).toBe('\\u001b[31m234')
})

it.each([
  ['no time', 'over'],
  ['1970-01-01T00:00:00Z', 'under a minute left'],
  ['1970-01-01T00:00:59.999Z', 'under a minute left'],
  ['1970-01-01T00:01:00Z', '1 min left'],
  ['1970-01-01T01:00:00Z', '1 h 0 min left'],
  ['1970-01-01T23:59:00Z', '23 h 59 min left'],
  ['1970-01-02T00:00:00Z', '1 d 0 h left'],
  ['1969-12-31T23:59:59Z', 'over'],
])('%s is, at the beginning of the epoch: %s', (until, words) => {
  expect(timeLeft(until, 0)).toBe(words)
})

describe('find', () => {
  interface Thing {
    readonly id: string
    readonly name: string
    readonly address: string
  }
  const naming: Naming<Thing> = {
    ...{kind: 'VM', ids: ({id}) => [id], names: ({name}) => [name], others: ({address}) => [address]},
    ...{line: ({id, name}) => `${id}  ${name}`, hint: 'look there'},
  }
  const things = [
    {id: 'aaaa0001', name: 'web', address: '10.0.0.1'},
    {id: 'aaaa0002', name: 'WEB', address: '10.0.0.2'},
    {id: 'bbbb0003', name: 'aaaa0001', address: '10.0.0.2'},
    {id: 'cccc0004', name: 'bbbb', address: '10.0.0.3'},
  ]
  const ids = (word: string, whole = false) =>
    matching(word, things, {...naming, whole})
      .map(({id}) => id.slice(-1))
      .join('')

  it.each([
    ['a UUID, before a name', 'aaaa0001', '1'],
    ['a UUID in another case', 'AAAA0001', '1'],
    ['a name, before another case of it', 'web', '1'],
    ['another case, when nothing fits better', 'Web', '12'],
    ['a name, before the start of a UUID', 'bbbb', '4'],
    ['the start of a UUID', 'bbbb0', '3'],
    ['the start of two', 'AAAA', '12'],
    ['too short a start', 'aaa', ''],
    ['the end of a UUID', '0004', ''],
    ['an address, last', '10.0.0.2', '23'],
    ['nothing', '', ''],
  ])('%s', (_, word, found) => {
    expect(ids(word)).toBe(found)
  })

  it('what is to be named as a whole is not known by a start', () => {
    expect([ids('bbbb0', true), ids('bbbb0003', true), ids('aaaa', true)]).toEqual(['', '3', ''])
  })

  it('several are named, in order, ten of them at most; a long word is cut short', () => {
    const many = Array.from({length: 12}, (_, n) => ({id: `${99 - n}`, name: 'x', address: ''}))
    expect(() => find('x', many, naming)).toThrow(
      expect.objectContaining({
        code: 'AMBIGUOUS',
        message: [
          '12 VMs fit "x":',
          ...Array.from({length: 10}, (_, n) => `${88 + n}  x`),
          'and 2 more',
        ].join('\n'),
      }),
    )
    expect(() => find('y'.repeat(81), many, naming)).toThrow(
      expect.objectContaining({
        ...{code: 'NOT_FOUND', message: `there is no VM "${'y'.repeat(79)}…" that you may see`},
        suggestions: ['look there'],
      }),
    )
    expect(() => find('xy', many, naming)).toThrow(
      expect.objectContaining({suggestions: ['did you mean "x"? look there']}),
    )
  })
})
