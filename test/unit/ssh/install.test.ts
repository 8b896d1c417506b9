import {execFileSync} from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
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

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {commit, plan, writtenHosts} from '../../../src/ssh/install.ts'

const home = mkdtempSync(join(tmpdir(), 'os-ssh-install-'))
const before = process.env['HOME']
const [ssh, user, own] = [join(home, '.ssh'), join(home, '.ssh/config'), join(home, '.ssh/os-ssh/config')]
const include = `Include "${own}"`
afterAll(() => {
  process.env['HOME'] = before
  rmSync(home, {recursive: true})
})
beforeEach(() => {
  process.env['HOME'] = home
  rmSync(ssh, {recursive: true, force: true})
  mkdirSync(ssh, {mode: 0o700})
})
const install = async (cloud: string, text: string | undefined) => commit(await plan(cloud, text))
const host = (name: string) => `Host ${name}\n  User ${name}\n`

test('ssh finds the host through the one Include at the very top', async () => {
  writeFileSync(user, 'Host *\n  User nobody\n', {mode: 0o640})
  await install('lab', host('web'))
  expect(readFileSync(user, 'utf8')).toBe(`${include}\nHost *\n  User nobody\n`)
  expect(execFileSync('ssh', ['-G', '-F', user, 'web'], {encoding: 'utf8', stdio: 'pipe'})).toMatch(
    /^user web$/m,
  )
  expect(statSync(own).mode & 0o777).toBe(0o600)
  expect(readFileSync(`${user}.bak`, 'utf8')).toBe('Host *\n  User nobody\n')
})

test('what is left of the user’s file is their own, and no trial of it is left', async () => {
  for (const mode of [0o644, 0o600]) {
    writeFileSync(user, host('x'))
    chmodSync(user, mode)
    await install('lab', host('web'))
    expect(statSync(user).mode & 0o777).toBe(mode)
    expect(statSync(`${user}.bak`).mode & 0o777).toBe(0o600)
    await install('lab', undefined)
  }
  writeFileSync(user, 'Nonsense yes\n')
  await expect(install('lab', host('web'))).rejects.toMatchObject({
    ...{code: 'CONFIG', suggestions: ['nothing was changed; mend the file and try again']},
  })
  const files = readdirSync(ssh, {recursive: true, encoding: 'utf8'})
  expect(files.sort()).toEqual(['config', 'config.bak', 'os-ssh'])
})

test('ssh tries a file that only its user can read', async () => {
  const seen: string[] = []
  const watcher = watch(ssh, (_, name) => {
    const found = name?.endsWith('.os-ssh-trial') && lstatSync(join(ssh, name), {throwIfNoEntry: false})
    if (found) seen.push((found.mode & 0o777).toString(8))
  })
  writeFileSync(user, host('x'), {mode: 0o644})
  await install('lab', host('web'))
  watcher.close()
  expect(seen.length).toBeGreaterThan(0)
  expect(new Set(seen)).toEqual(new Set(['600']))
})

test('a second time there is nothing to change; another cloud joins; removal leaves what was there', async () => {
  const text = '# mine\r\nHost *\r\n  Compression no\r\n'
  writeFileSync(user, text)
  await install('lab', host('web'))
  expect(await plan('lab', host('web'))).toEqual([])
  expect(readFileSync(user, 'utf8')).toBe(`${include}\r\n${text}`)
  await install('cloud two', host('db'))
  expect(readFileSync(own, 'utf8')).toMatch(/Host db[\s\S]*Host web/)
  await install('lab', undefined)
  expect(readFileSync(own, 'utf8')).not.toMatch(/web/)
  await install('cloud two', undefined)
  expect(readFileSync(user, 'utf8')).toBe(text)
  expect(existsSync(own)).toBe(false)
})

test('a symlinked config stays one', async () => {
  writeFileSync(join(home, 'dotfile'), host('x'))
  symlinkSync('../dotfile', user)
  await install('lab', host('web'))
  expect(lstatSync(user).isSymbolicLink()).toBe(true)
  expect(readFileSync(join(home, 'dotfile'), 'utf8')).toBe(`${include}\n${host('x')}`)
})

test('a dangling symlink is followed: what it points to is made', async () => {
  mkdirSync(join(home, 'dotfiles'), {recursive: true})
  rmSync(join(home, 'dotfiles/ssh'), {force: true})
  symlinkSync('../dotfiles/ssh', user)
  await install('lab', host('web'))
  expect(lstatSync(user).isSymbolicLink()).toBe(true)
  expect(readFileSync(join(home, 'dotfiles/ssh'), 'utf8')).toBe(`${include}\n`)
})

test('a bad line of the user’s is named by the number that it has there', async () => {
  writeFileSync(user, 'Host a\n  User a\n  Nonsense yes\n')
  await expect(install('lab', host('web'))).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringMatching(
      /^ssh does not accept .*\/config:\n.*line 3: Bad configuration option: nonsense/,
    ),
  })
  expect(readFileSync(user, 'utf8')).toBe('Host a\n  User a\n  Nonsense yes\n')
})

test('a home with a per cent sign is included, whatever Include expands', async () => {
  const odd = join(home, '100%h %d')
  mkdirSync(join(odd, '.ssh'), {recursive: true, mode: 0o700})
  process.env['HOME'] = odd
  await install('lab', host('web'))
  const found = execFileSync('ssh', ['-G', '-F', join(odd, '.ssh/config'), 'web'], {encoding: 'utf8'})
  expect(found).toMatch(/^user web$/m)
})

test('the VMs that are written for a cloud are known by their UUIDs', async () => {
  const [one, two] = ['3f2a7c1e-0000-4000-8000-000000000001', '3f2a7c1e-0000-4000-8000-000000000002']
  await install('lab', `Host gate-${one}\n  User x\nHost ${one} web\n  User x\nHost ${two}\n  User y\n`)
  await install('other', host('db'))
  expect([...(await writtenHosts('lab'))]).toEqual([one, two])
  expect([...(await writtenHosts('other')), ...(await writtenHosts('none'))]).toEqual([])
})

test.each([
  ['no end', t => t.replace(/^# <<<.*$/m, '')],
  ['two beginnings', t => t.replace(/^(# >>>.*)$/m, '$1\n$1')],
  ['reversed', t => t.replace('>>>', '@').replace('<<<', '>>>').replace('@', '<<<')],
  ['foreign text', t => `${t}Host mine\n`],
] satisfies [string, (text: string) => string][])('our file with %s is left alone', async (_, damage) => {
  await install('lab', host('web'))
  writeFileSync(own, damage(readFileSync(own, 'utf8')))
  await expect(plan('lab', host('db'))).rejects.toMatchObject({code: 'CONFIG'})
})

test('what ssh does not accept is not written', async () => {
  writeFileSync(user, host('x'))
  await expect(install('lab', 'Host web\n  Nonsense yes\n')).rejects.toMatchObject({code: 'CONFIG'})
  expect(existsSync(own)).toBe(false)
  expect(readFileSync(user, 'utf8')).toBe(host('x'))
})

test('a file that changed since the plan is not overwritten', async () => {
  const changes = await plan('lab', host('web'))
  writeFileSync(user, host('new'))
  await expect(commit(changes)).rejects.toMatchObject({code: 'BUSY'})
  expect(readFileSync(user, 'utf8')).toBe(host('new'))
})
