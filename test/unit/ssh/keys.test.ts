import {execFileSync} from 'node:child_process'
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'
import fc from 'fast-check'

import {
  fingerprint,
  generateKeyPair,
  md5Fingerprint,
  parsePrivateKey,
  parsePublicKey,
} from '../../../src/ssh/keys.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-keys-'))
afterAll(() => rmSync(dir, {recursive: true}))
const keygen = (...args: string[]) => execFileSync('ssh-keygen', args, {encoding: 'utf8'})

test('OpenSSH reads our private key and derives the same public key', () => {
  const pair = generateKeyPair('os-ssh tést')
  const file = join(dir, 'ours')
  writeFileSync(file, pair.privateKey, {mode: 0o600})
  expect(keygen('-y', '-f', file).trim()).toBe(pair.publicKey)
  expect(keygen('-l', '-f', file)).toContain(fingerprint(pair.publicKey))
  expect(keygen('-l', '-E', 'md5', '-f', file)).toContain(`MD5:${md5Fingerprint(pair.publicKey)}`)
})

test.each([
  ['ed25519', '256'],
  ['ecdsa', '256'],
  ['ecdsa', '384'],
  ['ecdsa', '521'],
  ['rsa', '2048'],
])('a real %s key of %s bits parses', (type, bits) => {
  const file = join(dir, `${type}${bits}`)
  keygen('-q', '-t', type, '-b', bits, '-N', '', '-C', 'a comment', '-f', file)
  const line = readFileSync(`${file}.pub`, 'utf8')
  expect(parsePublicKey(line)).toMatchObject({comment: 'a comment'})
  expect(keygen('-l', '-f', file)).toContain(fingerprint(line))
})

test('an OpenSSH private key is read back; an encrypted or foreign one is refused without being quoted', () => {
  const file = join(dir, 'theirs')
  keygen('-q', '-t', 'ed25519', '-N', '', '-C', 'ca', '-f', file)
  expect(parsePrivateKey(readFileSync(file, 'utf8')).publicKey).toBe(
    readFileSync(`${file}.pub`, 'utf8').trim(),
  )
  keygen('-q', '-p', '-N', 'secret', '-f', file)
  expect(() => parsePrivateKey(readFileSync(file, 'utf8'))).toThrow(/encrypted/)
  expect(() => parsePrivateKey('-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----')).toThrow(
    /not an OpenSSH/,
  )
})

test('anything but one whole key line is refused', () => {
  const {publicKey} = generateKeyPair('x')
  const [type, base64 = ''] = publicKey.split(' ')
  for (const line of [
    '',
    `ssh-dss ${base64}`,
    `ssh-rsa ${base64}`,
    `${type} ${base64.slice(0, -4)}`,
    `${type} ${base64}AAAA`,
    `command="id" ${publicKey}`,
    `${publicKey}\n${publicKey}`,
    `${type}\t${base64}`,
    `__proto__ ${base64}`,
    `constructor ${base64}`,
  ]) {
    expect(() => parsePublicKey(line)).toThrow(expect.objectContaining({code: 'USAGE'}))
  }
})

test('hostile bytes never do anything but throw USAGE', () => {
  fc.assert(
    fc.property(fc.uint8Array({maxLength: 200}), bytes => {
      const blob = Buffer.concat([Buffer.from('0000000b', 'hex'), Buffer.from('ssh-ed25519'), bytes])
      let code = 'parsed'
      try {
        parsePublicKey(`ssh-ed25519 ${blob.toString('base64')}`)
      } catch (error) {
        code = (error as {code?: string}).code ?? 'crash'
      }
      expect(code).toBe(
        bytes.length === 36 && bytes[3] === 32 && !bytes[0] && !bytes[1] && !bytes[2] ? 'parsed' : 'USAGE',
      )
    }),
  )
})
