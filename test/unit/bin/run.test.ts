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
  // Whatever somebody registers under a name must not be run by a hint of ours.
  expect(stderr).not.toMatch(/npx/)
})

test('help is help: of all, of a topic, of a command, and to a reader that goes away', () => {
  expect(start(['help']).stdout).toBe(start(['--help']).stdout)
  expect(start(['help', 'paths', 'list']).stdout).toBe(start(['paths', 'list', '-h']).stdout)
  expect(start(['help', 'paths']).stdout).toMatch(/os-ssh paths COMMAND/)
  const gone = spawnSync('sh', ['-c', '"$0" "$1" --help | head -1', process.execPath, `${root}bin/run.js`], {
    encoding: 'utf8',
    env,
  })
  expect(gone).toMatchObject({stdout: expect.stringMatching(/^SSH to any OpenStack VM.*\n$/), stderr: ''})
}, 60_000)

test('a command that does not exist, and an option that does not, end with 64 and no stack', () => {
  for (const words of [
    ['list', '--nope'],
    ['list', '-f', 'xml'],
    ['list', 'extra'],
    ['conect'],
    ['help', 'nothing'],
  ]) {
    const {status, stderr} = start(words)
    expect(status).toBe(64)
    expect(stderr).toMatch(/^error: /)
    expect(stderr).not.toMatch(/ at /)
  }
}, 30_000)
