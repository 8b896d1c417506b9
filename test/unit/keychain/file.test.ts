import {mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {fileKeychain} from '../../../src/keychain/file.ts'
import {openKeychain} from '../../../src/keychain/index.ts'

const top = mkdtempSync(join(tmpdir(), 'os-ssh-file-'))
const dir = join(top, 'state')
const file = join(dir, 'keychain.json')
afterAll(() => rmSync(top, {recursive: true}))
beforeEach(() => rmSync(dir, {recursive: true, force: true}))
const open = (passphrase = 'correct horse') => fileKeychain(dir, async () => passphrase)

test('keeps secrets sealed, in a file of its owner alone', async () => {
  await open().set('key', 'very secret')
  await open().set('token', 'other')
  expect(await open().get('key')).toBe('very secret')
  expect(readFileSync(file, 'utf8')).not.toMatch(/very|secret"/)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  await open().delete('key')
  expect(await open().get('key')).toBeUndefined()
  expect(await open().get('token')).toBe('other')
})

test('a wrong passphrase neither opens nor adds', async () => {
  await open().set('key', 'secret')
  await expect(open('wrong').get('key')).rejects.toMatchObject({code: 'NO_KEYCHAIN'})
  await expect(open('wrong').set('other', 'x')).rejects.toMatchObject({code: 'NO_KEYCHAIN'})
  expect(await open().get('other')).toBeUndefined()
})

test('a changed or exchanged secret is found out', async () => {
  await open().set('a', 'one')
  await open().set('b', 'two')
  const contents = JSON.parse(readFileSync(file, 'utf8'))
  ;[contents.secrets.a, contents.secrets.b] = [contents.secrets.b, contents.secrets.a]
  writeFileSync(file, JSON.stringify(contents))
  await expect(open().get('a')).rejects.toMatchObject({code: 'NO_KEYCHAIN'})
  writeFileSync(file, '{"version": 1')
  await expect(open().get('a')).rejects.toThrow(/damaged/)
})

test('nobody is asked for a passphrase when there is nothing to open', async () => {
  const never = fileKeychain(dir, () => Promise.reject(new Error('asked')))
  expect(await never.get('key')).toBeUndefined()
  await never.delete('key')
})

test('writers at the same moment lose nothing', async () => {
  const keychain = open()
  await keychain.set('n', '0')
  await Promise.all(['a', 'b', 'c', 'd'].map(name => keychain.set(name, name)))
  for (const name of ['n', 'a', 'd']) expect(await keychain.get(name)).toBeDefined()
}, 20_000)

test('an unknown kind is refused, never replaced', () => {
  expect(() => openKeychain('keyutils', {directory: dir, passphrase: async () => ''})).toThrow(
    expect.objectContaining({code: 'USAGE'}),
  )
})
