import {createCipheriv, scryptSync} from 'node:crypto'

import {expect, it} from '@jest/globals'
import fc from 'fast-check'

import {keyOf, newSalt, seal, unseal} from '../../../src/system/seal.ts'

/* What the file keychain and an export are sealed with. */

const key = Buffer.alloc(32, 7)
const bytes = (sealed: string) => Buffer.from(sealed, 'base64')

it('what is sealed is opened by the same key and name, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 300}), fc.string(), (secret, name) => {
      expect(unseal(seal(Buffer.from(secret), name, key), name, key)).toEqual(Buffer.from(secret))
    }),
  )
})

it('and by no other, nor when a single bit of it has changed', () => {
  const sealed = seal('secret', 'token', key)
  expect(() => unseal(sealed, 'token', Buffer.alloc(32, 8))).toThrow(/unable to authenticate/)
  expect(() => unseal(sealed, 'key', key)).toThrow(/unable to authenticate/)
  for (let bit = 0; bit < bytes(sealed).length * 8; bit++) {
    const changed = bytes(sealed)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(() => unseal(changed.toString('base64'), 'token', key)).toThrow(/unable to authenticate/)
  }
})

it('a tag that was cut short is none: four bytes of it could be guessed', () => {
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.alloc(12), {authTagLength: 4})
  const short = Buffer.concat([Buffer.alloc(12), cipher.update('x'), cipher.final(), cipher.getAuthTag()])
  for (const text of ['', 'AAAA', short.toString('base64'), seal('', 'n', key).slice(0, -8)])
    expect(() => unseal(text, 'n', key)).toThrow()
  for (const length of [4, 8, 12, 15])
    expect(() => unseal(Buffer.alloc(length).toString('base64'), 'n', key)).toThrow(
      `Invalid authentication tag length: ${length}`,
    )
})

it('the same secret is never sealed alike', () => {
  const sealed = Array.from({length: 50}, () => bytes(seal('secret', 'token', key)))
  expect(new Set(sealed.map(one => one.subarray(0, 12).toString('hex'))).size).toBe(50)
  expect(new Set(Array.from({length: 50}, newSalt)).size).toBe(50)
  expect(bytes(newSalt())).toHaveLength(16)
})

it('a passphrase becomes a key as OWASP advises, the same on every keyboard', async () => {
  const salt = Buffer.alloc(16, 1)
  const cost = {N: 32_768, r: 8, p: 3, maxmem: 128 * 1024 * 1024}
  const wanted = scryptSync('pass\u00f6rd'.normalize('NFC'), salt, 32, cost)
  expect(await keyOf('passo\u0308rd', salt.toString('base64'))).toEqual(wanted)
})
