import {chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {
  compileCache,
  fileName,
  home,
  runtimeDirectory,
  runtimeRoot,
  socketPath,
  sshDirectory,
  stateDirectory,
} from '../../../src/system/directories.ts'

/* Where things lie, and whose these places must be. */

const dir = mkdtempSync(join(tmpdir(), 'os-ssh-directories-'))
const env = {HOME: '/home/alice', XDG_RUNTIME_DIR: dir}
const root = join(dir, 'os-ssh')
afterAll(() => rmSync(dir, {recursive: true}))
beforeEach(() => rmSync(root, {recursive: true, force: true}))

const modes = (...paths: string[]) => paths.map(path => (lstatSync(path).mode & 0o777).toString(8))
const denied = (path: string) => ({
  code: 'DENIED',
  message: `${path} is not a directory of yours alone; os-ssh keeps nothing there`,
  suggestions: ['look who made it, remove it, or set XDG_RUNTIME_DIR'],
})

it('the runtime directory of a cloud is its user’s alone, and all that is above it', async () => {
  const umask = process.umask(0)
  try {
    expect(await runtimeDirectory('lab', env)).toBe(`${root}/lab`)
  } finally {
    process.umask(umask)
  }
  expect(modes(root, `${root}/.c`, `${root}/lab`)).toEqual(['700', '700', '700'])
})

it.each(['', '/.c', '/lab'])('one that others may enter or write is not used: os-ssh%s', async part => {
  await runtimeDirectory('lab', env)
  for (const mode of [0o770, 0o720, 0o702, 0o750, 0o705, 0o701]) {
    chmodSync(root + part, mode)
    await expect(runtimeDirectory('lab', env)).rejects.toMatchObject(denied(root + part))
  }
})

// Only root can give a directory to somebody.
const asRoot = process.getuid?.() === 0 ? it : it.skip
asRoot.each(['', '/.c', '/lab'])('nor one of somebody else, private as it may be: os-ssh%s', async part => {
  await runtimeDirectory('lab', env)
  chownSync(root + part, 65534, 65534)
  await expect(runtimeDirectory('lab', env)).rejects.toMatchObject(denied(root + part))
})

it('nor a symlink or a file, which anybody may have put there', async () => {
  mkdirSync(join(dir, 'own'), {mode: 0o700})
  symlinkSync(join(dir, 'own'), root)
  await expect(runtimeDirectory('lab', env)).rejects.toMatchObject(denied(root))
})

it('without XDG_RUNTIME_DIR it is one in /tmp with its user’s number', () => {
  expect(runtimeRoot({})).toBe(`/tmp/os-ssh-${process.getuid?.()}`)
  expect(runtimeRoot({XDG_RUNTIME_DIR: ''})).toBe(`/tmp/os-ssh-${process.getuid?.()}`)
})

it('no name of a cloud is a way out of a directory, and no two are the same file', () => {
  const names = fc.oneof(
    fc.string(),
    fc.constantFrom('..', '.', 'a/b', '../../x', '-rf', 'x'.repeat(33), 'ä', ''),
  )
  fc.assert(
    fc.property(names, names, (one, other) => {
      expect(fileName(one)).toMatch(/^[A-Za-z0-9_][\w.-]{0,31}$/)
      if (one !== other) expect(fileName(one)).not.toBe(fileName(other))
    }),
  )
  expect(['lab', 'my-cloud_2.north', 'x'.repeat(32)].map(fileName)).toEqual([
    ...['lab', 'my-cloud_2.north', 'x'.repeat(32)],
  ])
})

it('home, state and cache are where the variables say, and below home otherwise', () => {
  const alice = {HOME: '/home/alice'}
  expect([home(alice), sshDirectory(alice), stateDirectory(alice), compileCache(alice)]).toEqual([
    '/home/alice',
    '/home/alice/.ssh',
    '/home/alice/.local/state/os-ssh',
    '/home/alice/.cache/os-ssh/compile',
  ])
  const moved = {...alice, XDG_STATE_HOME: '/s', XDG_CACHE_HOME: '/c'}
  expect([stateDirectory(moved), compileCache(moved)]).toEqual(['/s/os-ssh', '/c/os-ssh/compile'])
  expect(home({HOME: ''})).not.toBe('')
})

it('the length of a socket’s path is counted in bytes', () => {
  const path = `/${'ä'.repeat(51)}`
  expect(socketPath(path, 'agent')).toBe(path)
  expect(() => socketPath(`${path}b`, 'agent')).toThrow(
    expect.objectContaining({
      ...{code: 'CONFIG', message: `the path of the agent's socket is too long: ${path}b`},
      suggestions: ['set XDG_RUNTIME_DIR to a shorter directory'],
    }),
  )
})
