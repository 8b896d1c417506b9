import {spawnSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, test} from '@jest/globals'

const root = new URL('../../..', import.meta.url).pathname
const home = mkdtempSync(join(tmpdir(), 'os-ssh-run-'))
afterAll(() => rmSync(home, {recursive: true}))
const env = {PATH: process.env['PATH'], HOME: home, XDG_RUNTIME_DIR: home, OS_SSH_SOURCE: '1'}
const start = (words: string[], node = process.execPath) =>
  spawnSync(node, [`${root}bin/run.js`, ...words], {encoding: 'utf8', env, cwd: home, timeout: 60_000})

test('--version is that of package.json', () => {
  const {version} = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  expect(start(['--version']).stdout).toBe(
    `os-ssh/${version} ${process.platform}-${process.arch} node-${process.version}\n`,
  )
})

test('a proxy that is called wrongly says so in two lines and ends with 64', () => {
  const {status, stderr, stdout} = start(['proxy', 'lab', '$(id)'])
  expect({status, stdout}).toEqual({status: 64, stdout: ''})
  expect(stderr).toMatch(/^error: .*\nhint: {2}.*\n$/)
})

const old = ['/usr/bin/node', '/usr/local/bin/node'].find(
  node =>
    existsSync(node) && /^v(1\d|2[0-3])\./.test(spawnSync(node, ['--version'], {encoding: 'utf8'}).stdout),
)
const withOldNode = old ? test : test.skip
withOldNode('an older Node says which one is needed', () => {
  const {status, stderr} = start(['list'], old)
  expect(status).toBe(64)
  expect(stderr).toMatch(/needs Node.js 24/)
})

test('a command that does not exist, and an option that does not, end with 64 and no stack', () => {
  for (const words of [
    ['list', '--nope'],
    ['list', '-f', 'xml'],
  ]) {
    const {status, stderr} = start(words)
    expect(status).toBe(64)
    expect(stderr).toMatch(/^error: /)
    expect(stderr).not.toMatch(/ at /)
  }
}, 30_000)
