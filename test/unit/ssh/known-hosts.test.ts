import {chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {fingerprint, generateKeyPair} from '../../../src/ssh/keys.ts'
import {forgetKeys, pinKeys, pinnedKeys, pinnedRebuild, replaceKeys} from '../../../src/ssh/known-hosts.ts'
import {string} from '../../../src/ssh/wire.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-known-'))
const file = join(dir, 'sub', 'known_hosts')
afterAll(() => rmSync(dir, {recursive: true}))
beforeEach(() => rmSync(join(dir, 'sub'), {recursive: true, force: true}))
const key = () => generateKeyPair('').publicKey
/** A key of another type, as far as a key can be told from bytes. */
function ecdsa(n: number): string {
  const fields = ['ecdsa-sha2-nistp256', 'nistp256', Buffer.alloc(65, n).fill(4, 0, 1)]
  return `ecdsa-sha2-nistp256 ${Buffer.concat(fields.map(string)).toString('base64')}`
}

test('the first keys are pinned, later ones of another type join them', async () => {
  const first = key()
  await pinKeys('vm', [first], {file})
  await pinKeys('vm', [first, ecdsa(1)], {file})
  await pinKeys('vm', [first], {file})
  expect(readFileSync(file, 'utf8')).toBe(`vm ${first}\nvm ${ecdsa(1)}\n`)
})

test('a changed key is HOST_KEY, and what was pinned stays', async () => {
  const first = key()
  await pinKeys('vm', [first], {file})
  await expect(pinKeys('vm', [key()], {file})).rejects.toMatchObject({code: 'HOST_KEY', exit: 76})
  expect(await pinnedKeys('vm', file)).toEqual([first])
})

test('a key of another type alone is not believed: it could be anybody’s', async () => {
  const first = key()
  await pinKeys('vm', [first], {file})
  await expect(pinKeys('vm', [ecdsa(1)], {file})).rejects.toMatchObject({code: 'HOST_KEY'})
  expect(await pinnedKeys('vm', file)).toEqual([first])
})

test.each([
  ['first', 0],
  ['second', 1],
])('of two pinned types the %s one may not change, though the other agrees', async (_, changed) => {
  const pinned = [key(), ecdsa(1)]
  const now = pinned.with(changed, [key(), ecdsa(2)][changed] ?? '')
  await pinKeys('vm', pinned, {file})
  const show = (keys: readonly string[]) =>
    keys.map(one => `${one.split(' ')[0]} ${fingerprint(one)}`).join(', ')
  await expect(pinKeys('vm', now, {file})).rejects.toMatchObject({
    code: 'HOST_KEY',
    message: `the host key of VM vm is not the one that was pinned\npinned: ${show(pinned)}\nnow:    ${show(now)}`,
    suggestions: ['if the machine was rebuilt on purpose, forget the old key: os-ssh hostkeys vm --forget'],
  })
  expect(await pinnedKeys('vm', file)).toEqual(pinned)
})

test('a grant without keys says nothing of those that are pinned', async () => {
  const first = key()
  await pinKeys('vm', [], {file})
  expect(existsSync(file)).toBe(false)
  await pinKeys('vm', [first], {file})
  await pinKeys('vm', [], {file})
  expect(await pinnedKeys('vm', file)).toEqual([first])
})

test('it is its user’s alone, whatever it was before, and so is its directory', async () => {
  await pinKeys('vm', [key()], {file})
  expect(statSync(dirname(file)).mode & 0o777).toBe(0o700)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  chmodSync(file, 0o666)
  await pinKeys('vm2', [key()], {file})
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('a line that somebody has left without an end is not run into', async () => {
  const [one, two] = [key(), key()]
  await pinKeys('vm', [one], {file})
  writeFileSync(file, readFileSync(file, 'utf8').trimEnd())
  await pinKeys('vm2', [two], {file})
  expect([await pinnedKeys('vm', file), await pinnedKeys('vm2', file)]).toEqual([[one], [two]])
})

test('forgetting takes one VM only', async () => {
  const [one, two] = [key(), key()]
  await pinKeys('vm', [one], {file})
  writeFileSync(file, `# mine\n${readFileSync(file, 'utf8')}vm2 ${two}\n`)
  await forgetKeys('vm', file)
  expect(readFileSync(file, 'utf8')).toBe(`# mine\nvm2 ${two}\n`)
})

test('replacing remembers the rebuild, and is one VM’s only', async () => {
  const [one, two, three] = [key(), key(), key()]
  await pinKeys('vm', [one], {file})
  await pinKeys('vm2', [two], {rebuild: 'req-0', file})
  await replaceKeys('vm', [three], 'req-1', file)
  expect(readFileSync(file, 'utf8')).toBe(`vm2 ${two} req-0\nvm ${three} req-1\n`)
  expect([await pinnedRebuild('vm', file), await pinnedRebuild('vm2', file)]).toEqual(['req-1', 'req-0'])
  expect(await pinnedKeys('vm', file)).toEqual([three])
})
