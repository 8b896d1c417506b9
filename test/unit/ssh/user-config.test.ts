import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {overridden, ownerOf, ownHosts} from '../../../src/ssh/user-config.ts'

const home = mkdtempSync(join(tmpdir(), 'os-ssh-user-config-'))
const before = process.env['HOME']
const user = join(home, '.ssh/config')
afterAll(() => {
  process.env['HOME'] = before
  rmSync(home, {recursive: true})
})
beforeEach(() => {
  process.env['HOME'] = home
  rmSync(join(home, '.ssh'), {recursive: true, force: true})
  mkdirSync(join(home, '.ssh/os-ssh'), {recursive: true})
  mkdirSync(join(home, '.ssh/conf.d'))
})
const owner = async (name: string) => {
  const found = ownerOf(name, await ownHosts())
  return found && `${found.file.replace(`${home}/.ssh/`, '')}:${found.line}`
}
const uuid = '3f2a7c1e-0000-4000-8000-000000000001'

test('names of the user’s own Host lines are theirs, by pattern, in any file that is included', async () => {
  writeFileSync(
    user,
    [
      `Include "${home}/.ssh/os-ssh/config"`,
      'Include conf.d/*',
      '# Host commented',
      'Host bastion "db one" prod-?',
      '  HostName 192.0.2.1',
      'host=web* !web-free',
      'Host *',
      '  User me',
      `Host ${uuid} appended`,
    ].join('\n'),
  )
  writeFileSync(join(home, '.ssh/os-ssh/config'), 'Host written\n')
  writeFileSync(join(home, '.ssh/conf.d/work'), '\nHost work\n')
  expect(await owner('bastion')).toBe('config:4')
  expect(await owner('BASTION')).toBe('config:4')
  expect(await owner('db one')).toBe('config:4')
  expect(await owner('prod-1')).toBe('config:4')
  expect(await owner('prod-10')).toBeUndefined()
  expect(await owner('web1')).toBe('config:6')
  expect(await owner('web-free')).toBeUndefined()
  expect(await owner('work')).toBe('conf.d/work:2')
  // Not theirs: what is commented out, what speaks of all, and what os-ssh wrote itself.
  for (const name of ['commented', 'anything', 'appended', 'written'])
    expect(await owner(name)).toBeUndefined()
})

test('a pattern of many stars is no work, whatever a VM is called', async () => {
  writeFileSync(user, `Host ${'*a'.repeat(30)}*b x*y*z ??\n`)
  expect(await owner('a'.repeat(250))).toBeUndefined()
  expect(await owner(`${'a'.repeat(250)}b`)).toBe('config:1')
  expect(await owner('xyyzz')).toBe('config:1')
  expect(await owner('xzy')).toBeUndefined()
  expect(await owner('ab')).toBe('config:1')
  expect(await owner('a')).toBeUndefined()
})

test('an Include of itself, a directory, and nothing at all end', async () => {
  writeFileSync(user, 'Include ~/.ssh/config conf.d ~/.ssh/none\nHost bastion\n')
  expect(await owner('bastion')).toBe('config:2')
  rmSync(user)
  expect(await ownHosts()).toEqual([])
})

test('what earlier lines override is known from ssh itself', async () => {
  const text = `Host ${uuid} web\n  HostName ${uuid}\n  User debian\n  ProxyCommand os-ssh proxy lab ${uuid}\n`
  const lost = () => overridden(text, uuid, home)
  expect(await lost()).toEqual([])
  writeFileSync(user, 'Host *\n  User me\n  ProxyCommand none\n  Compression yes\n')
  expect(await lost()).toEqual(['User', 'ProxyCommand'])
  writeFileSync(user, `Host bastion\n  User me\n${text}`)
  expect(await lost()).toEqual([])
  // Of a file that ssh cannot read it says so itself, better than we could.
  writeFileSync(user, 'Host *\n  Nonsense yes\n')
  expect(await lost()).toEqual([])
})
