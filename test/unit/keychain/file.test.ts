import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
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

test('a passphrase is typed twice when it is the first one, and asked for once; the file stays private', async () => {
  const asked: boolean[] = []
  const keychain = () =>
    fileKeychain(dir, async first => {
      asked.push(first)
      return 'correct horse'
    })
  const one = keychain()
  await one.set('a', '1')
  await one.set('b', '2')
  expect(await one.get('a')).toBe('1')
  chmodSync(file, 0o644)
  await keychain().set('c', '3')
  expect([file, dir].map(one => statSync(one).mode & 0o777)).toEqual([0o600, 0o700])
  expect(asked).toEqual([true, false])
})

/** As if it had been kept. */
function lies(text: string): void {
  mkdirSync(dir, {recursive: true, mode: 0o700})
  writeFileSync(file, text)
}

test('what nobody has kept is not there, whatever it is called', async () => {
  lies('{"version": 1, "salt": "AAAA", "secrets": {"key": "AAAA"}}')
  const never = fileKeychain(dir, () => Promise.reject(new Error('asked')))
  for (const account of ['constructor', '__proto__', 'toString', 'other', ''])
    expect(await never.get(account)).toBeUndefined()
})

test('a file of a newer os-ssh is not read, and not written over', async () => {
  for (const text of [
    '{"version": 2, "salt": "AAAA", "secrets": {}}',
    '{}',
    '[]',
    'null',
    '{"version":1,"salt":7,"secrets":{}}',
  ]) {
    lies(text)
    await expect(open().set('key', 'x')).rejects.toMatchObject({
      ...{code: 'NO_KEYCHAIN', message: `${file} is damaged`, suggestions: ['remove it: a new key is made']},
    })
    expect(readFileSync(file, 'utf8')).toBe(text)
  }
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

test('writers that begin at the same moment are under one salt, whoever is first', async () => {
  await Promise.all(['a', 'b', 'c'].map(name => open().set(name, name)))
  expect(await Promise.all(['a', 'b', 'c'].map(name => open().get(name)))).toEqual(['a', 'b', 'c'])
}, 20_000)

test('the passphrase is asked for once, and whether it is a first one is said', async () => {
  const asked: boolean[] = []
  const asking = () =>
    fileKeychain(dir, async first => {
      asked.push(first)
      return 'correct horse'
    })
  const first = asking()
  await first.set('a', 'one')
  await first.set('b', 'two')
  expect(await first.get('a')).toBe('one')
  expect(asked).toEqual([true])
  const later = asking()
  await later.set('c', 'three')
  expect(await later.get('a')).toBe('one')
  expect(asked).toEqual([true, false])
  // Another file has come in its place.
  rmSync(dir, {recursive: true})
  await open().set('a', 'new')
  expect(await later.get('a')).toBe('new')
  expect(asked).toEqual([true, false, false])
})

test('what is no secret of it is none, and deleting it writes nothing', async () => {
  const keychain = open()
  await keychain.set('a', 'one')
  expect(await keychain.get('constructor')).toBeUndefined()
  const before = statSync(file, {bigint: true}).mtimeNs
  await keychain.delete('constructor')
  await keychain.delete('b')
  expect(statSync(file, {bigint: true}).mtimeNs).toBe(before)
})

test.each([
  ['not JSON', '{"version": 1'],
  ['null', 'null'],
  ['another version', '{"version": 2, "salt": "s", "secrets": {}}'],
  ['no salt', '{"version": 1, "secrets": {}}'],
  ['no secrets', '{"version": 1, "salt": "s"}'],
])('a damaged file is said to be, and stays as it is: %s', async (_, text) => {
  await open().set('a', 'one')
  writeFileSync(file, text)
  const damaged = {code: 'NO_KEYCHAIN', message: `${file} is damaged`}
  await expect(open().get('a')).rejects.toMatchObject(damaged)
  await expect(open().set('a', 'two')).rejects.toMatchObject(damaged)
  await expect(open().delete('a')).rejects.toMatchObject(damaged)
  expect(readFileSync(file, 'utf8')).toBe(text)
})

test.each([
  [undefined, 'system'],
  ['', 'system'],
  ['system', 'system'],
  ['file', 'file'],
  ['agent', 'agent'],
])('asked for %j it is %s', (kind, is) => {
  expect(openKeychain(kind, {directory: dir, passphrase: async () => ''}).kind).toBe(is)
})

test('file keeps where it is told; agent keeps nothing, nowhere', async () => {
  const options = {directory: dir, passphrase: async () => 'correct horse'}
  const agent = openKeychain('agent', options)
  await agent.set('a', 'one')
  expect(await agent.get('a')).toBeUndefined()
  await agent.delete('a')
  expect(existsSync(dir)).toBe(false)
  await openKeychain('file', options).set('a', 'one')
  expect(await open().get('a')).toBe('one')
})

test('an unknown kind is refused, never replaced', () => {
  expect(() => openKeychain('keyutils', {directory: dir, passphrase: async () => ''})).toThrow(
    expect.objectContaining({code: 'USAGE'}),
  )
})
