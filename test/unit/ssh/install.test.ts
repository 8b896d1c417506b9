import {execFileSync} from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, test} from '@jest/globals'

import {commit, plan} from '../../../src/ssh/install.ts'

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
