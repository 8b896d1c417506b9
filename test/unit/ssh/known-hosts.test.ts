import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {forgetKeys, pinKeys, pinnedKeys, pinnedRebuild, replaceKeys} from '../../../src/ssh/known-hosts.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-known-'))
const file = join(dir, 'sub', 'known_hosts')
afterAll(() => rmSync(dir, {recursive: true}))
beforeEach(() => rmSync(join(dir, 'sub'), {recursive: true, force: true}))
const key = () => generateKeyPair('').publicKey
// Any bytes do: known_hosts is text to us.
const other = 'ecdsa-sha2-nistp256 AAAA'

test('the first keys are pinned, later ones of another type join them', async () => {
  const first = key()
  await pinKeys('vm', [first], {file})
  await pinKeys('vm', [first, other], {file})
  await pinKeys('vm', [first], {file})
  expect(readFileSync(file, 'utf8')).toBe(`vm ${first}\nvm ${other}\n`)
})

test('a changed key is HOST_KEY, and what was pinned stays', async () => {
  const first = key()
  await pinKeys('vm', [first], {file})
  await expect(pinKeys('vm', [key()], {file})).rejects.toMatchObject({code: 'HOST_KEY', exit: 76})
  expect(await pinnedKeys('vm', file)).toEqual([first])
})

test('a key of another type alone is not believed: it could be anybody’s', async () => {
  const [first, rsa] = [key(), `ssh-rsa ${Buffer.from('x').toString('base64')}`]
  await pinKeys('vm', [first], {file})
  await expect(pinKeys('vm', [rsa], {file})).rejects.toThrow()
  expect(await pinnedKeys('vm', file)).toEqual([first])
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
