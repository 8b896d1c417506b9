import {spawnSync} from 'node:child_process'
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync} from 'node:fs'
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

test('what Node has compiled of it lies below home, and never where another user could put code', () => {
  const shared = join(home, 'shared')
  mkdirSync(shared)
  const words = [`${root}bin/run.js`, '--version']
  const run = (more: NodeJS.ProcessEnv) =>
    spawnSync(process.execPath, words, {encoding: 'utf8', env: {...env, TMPDIR: shared, ...more}})
  run({})
  expect(existsSync(join(home, '.cache/os-ssh/compile'))).toBe(true)
  run({XDG_CACHE_HOME: join(home, 'cache')})
  expect(existsSync(join(home, 'cache/os-ssh/compile'))).toBe(true)
  expect(readdirSync(shared)).toEqual([])
})

test('a proxy that is called wrongly says so in two lines and ends with 64', () => {
  const {status, stderr, stdout} = start(['proxy', 'lab', '$(id)'])
  expect({status, stdout}).toEqual({status: 64, stdout: ''})
  expect(stderr).toBe(
    'error: proxy CLOUD VM_UUID [KEYCHAIN] is for ssh: see os-ssh config\nhint:  see `os-ssh help`\n',
  )
})

test.each([
  ['connect', '3f2a7c1e-0000-4000-8000-000000000001'],
  ['list', '--os-cloud', 'none'],
])('a cloud that is not there ends %s with 64, the same by both ways in', (...words) => {
  const cloud = words[0] === 'connect' ? ['--os-cloud', 'none'] : []
  const {status, stdout, stderr} = start([...words.slice(0, 1), ...cloud, ...words.slice(1)])
  expect({status, stdout}).toEqual({status: 64, stdout: ''})
  expect(stderr).toMatch(
    /^error: there is no cloud "none": found no clouds\.yaml in .*\nhint: {2}name a cloud .*\n$/,
  )
})

/** What an older Node reads of bin/run.js: nothing, when it fails at the first line. */
const refused = (version: string, exec: string) => ({
  ...{status: 64, stdout: ''},
  // No hint of ours may run whatever somebody registers under a name, so none names npx.
  stderr:
    `error: os-ssh needs Node.js 24.15 or newer; this is ${version} (${exec})\n` +
    'hint:  install it from https://nodejs.org, or start os-ssh by one that is there already\n',
})

/** This Node, as if it were another version. */
const startAs = (node: string) => {
  const says = `Object.defineProperty(process, 'versions', {value: {...process.versions, node: '${node}'}})
    Object.defineProperty(process, 'version', {value: 'v${node}'})`
  const words = [
    '--import',
    `data:text/javascript,${encodeURIComponent(says)}`,
    `${root}bin/run.js`,
    '--version',
  ]
  return spawnSync(process.execPath, words, {encoding: 'utf8', env, cwd: home, timeout: 60_000})
}

test.each(['18.20.8', '20.20.2', '22.99.0', '23.11.1', '24.0.0', '24.14.99'])(
  'Node %s is too old, and is told which one is needed',
  version => {
    expect(startAs(version)).toMatchObject(refused(`v${version}`, process.execPath))
  },
)

test.each(['24.15.0', '24.100.0', '25.0.0', '100.1.0'])('Node %s is new enough', version => {
  expect(startAs(version)).toMatchObject({
    ...{status: 0, stdout: expect.stringMatching(`node-v${version}\n$`), stderr: ''},
  })
})

// What it can read of the file only an old one tells. Not all machines have one, and none is downloaded for a test.
const old = ['/usr/bin/node', '/usr/local/bin/node', process.env['OS_SSH_TEST_OLD_NODE'] ?? ''].find(
  node =>
    existsSync(node) && /^v(1\d|2[0-3])\./.test(spawnSync(node, ['--version'], {encoding: 'utf8'}).stdout),
)
if (old === undefined)
  process.stderr.write(
    'NOT TESTED: whether an old Node reads bin/run.js; OS_SSH_TEST_OLD_NODE may name one\n',
  )
const withOldNode = old ? test : test.skip
withOldNode('an old Node reads bin/run.js far enough to say that', () => {
  const version = spawnSync(old ?? '', ['--version'], {encoding: 'utf8'}).stdout.trim()
  expect(start(['list'], old)).toMatchObject(refused(version, realpathSync(old ?? '')))
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
