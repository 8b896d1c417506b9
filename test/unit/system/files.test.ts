import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {privateDirectory, writeAtomic} from '../../../src/system/files.ts'

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-files-'))
afterAll(() => rmSync(dir, {recursive: true}))

test('a file is replaced through its symlink, keeps its mode, and leaves no temporary file', async () => {
  const [real, link] = [join(dir, 'real'), join(dir, 'link')]
  writeFileSync(real, 'old', {mode: 0o644})
  chmodSync(real, 0o644)
  symlinkSync(real, link)
  await writeAtomic(link, 'new')
  expect(readFileSync(real, 'utf8')).toBe('new')
  expect(lstatSync(link).isSymbolicLink()).toBe(true)
  expect(statSync(real).mode & 0o777).toBe(0o644)
  expect(readdirSync(dir).filter(name => name.startsWith('.os-ssh'))).toEqual([])
})

test('a new file is 0600', async () => {
  await writeAtomic(join(dir, 'fresh'), 'x')
  expect(statSync(join(dir, 'fresh')).mode & 0o777).toBe(0o600)
})

test('a private directory is made 0700; a symlink or an open one is refused', async () => {
  await privateDirectory(join(dir, 'mine'))
  expect(statSync(join(dir, 'mine')).mode & 0o777).toBe(0o700)
  await expect(privateDirectory(join(dir, 'mine'))).resolves.toBe(join(dir, 'mine'))
  symlinkSync(join(dir, 'mine'), join(dir, 'trap'))
  await expect(privateDirectory(join(dir, 'trap'))).rejects.toMatchObject({code: 'DENIED'})
  mkdirSync(join(dir, 'open'), {mode: 0o777})
  chmodSync(join(dir, 'open'), 0o755)
  await expect(privateDirectory(join(dir, 'open'))).rejects.toMatchObject({code: 'DENIED'})
})
