import {
  chmodSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

import {makeDirectory, privateDirectory, readIfThere, writeAtomic} from '../../../src/system/files.ts'

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

test('a mode that is said is taken, whatever the file had, and one that is not said stays', async () => {
  const file = join(dir, 'moded')
  for (const [given, was, is] of [
    [0o600, 0o666, 0o600],
    [0o644, 0o600, 0o644],
    [undefined, 0o640, 0o640],
  ] as const) {
    writeFileSync(file, 'old')
    chmodSync(file, was)
    await writeAtomic(file, 'new', given)
    expect(statSync(file).mode & 0o777).toBe(is)
  }
})

test('a secret is at no moment readable by others, nor in the file that is replaced', async () => {
  const [file, seen] = [join(dir, 'watched'), new Set<number>()]
  writeFileSync(file, 'public', {mode: 0o644})
  const before = openSync(file, 'r')
  const umask = process.umask(0)
  try {
    const watcher = watch(dir, (_, name) => {
      const found = name?.startsWith('.os-ssh') && lstatSync(join(dir, name), {throwIfNoEntry: false})
      if (found) seen.add(found.mode & 0o777)
    })
    const written = Array.from({length: 20}, (_, n) => writeAtomic(`${file}${n}`, 'x'.repeat(100_000), 0o600))
    await Promise.all([...written, writeAtomic(file, 'secret', 0o600)])
    watcher.close()
  } finally {
    process.umask(umask)
  }
  expect([...seen].filter(mode => (mode & 0o077) !== 0)).toEqual([])
  // Another file now: who has the old one open has what was in it, whole.
  expect(readFileSync(before, 'utf8')).toBe('public')
  expect(fstatSync(before).ino).not.toBe(statSync(file).ino)
  closeSync(before)
})

test('what cannot be written leaves what was there, and nothing beside it', async () => {
  const file = join(dir, 'folder')
  mkdirSync(join(file, 'inside'), {recursive: true})
  await expect(writeAtomic(file, 'x')).rejects.toMatchObject({code: 'EISDIR', path: file})
  await expect(writeAtomic(join(dir, 'none/file'), 'x')).rejects.toMatchObject({code: 'ENOENT'})
  expect(readdirSync(file)).toEqual(['inside'])
  expect(readdirSync(dir).filter(name => name.startsWith('.os-ssh'))).toEqual([])
})

test('only a file that is not there is none: one that cannot be read is a fault', async () => {
  expect(await readIfThere(join(dir, 'not-there'))).toBeUndefined()
  await expect(readIfThere(dir)).rejects.toMatchObject({code: 'EISDIR'})
  writeFileSync(join(dir, 'plain-file'), '')
  expect(await readIfThere(join(dir, 'plain-file'))).toBe('')
  await expect(readIfThere(join(dir, 'plain-file/x'))).rejects.toMatchObject({code: 'ENOTDIR'})
})

test('directories that are made are their user’s alone, and those that are there stay as they are', async () => {
  const top = join(dir, 'made')
  mkdirSync(top)
  chmodSync(top, 0o755)
  const umask = process.umask(0)
  await makeDirectory(join(top, 'a/b'))
  process.umask(umask)
  expect([top, join(top, 'a'), join(top, 'a/b')].map(one => statSync(one).mode & 0o777)).toEqual([
    ...[0o755, 0o700, 0o700],
  ])
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
