import {spawnSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {CleanRoot} from '../../support/clean-root.ts'
import {needOwnNetns} from '../../support/netns.ts'
import {Registry} from '../../support/npm-registry.ts'
import {run} from '../../support/run.ts'
import {root, World} from '../../support/world.ts'

/* What `npm run package` makes, installed: on a machine without any Node, and by npm with a Node that fits or is too old. */

jest.setTimeout(600_000)

const {version} = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {version: string}
/** Without Node, bytes. */
const SIZE = 60e6
let folder: string
let clean: CleanRoot

beforeAll(async () => {
  needOwnNetns()
  folder = mkdtempSync('/var/tmp/os-ssh-install-')
  const made = await run(`${root}scripts/package`, [`${folder}/out`], {timeout: 400_000})
  if (made.status !== 0) throw new Error(made.stderr)
  clean = await CleanRoot.make(`${folder}/root`, root)
})
afterAll(async () => {
  await clean?.end()
  rmSync(folder, {recursive: true, force: true})
})

interface Copy {
  /** What runs it, and the folder that it is in. */
  readonly program: () => [string, ...string[]]
  readonly home: () => string
  /** Runs a program where the copy is. */
  readonly there: (...words: string[]) => [string, ...string[]]
}

/** The main job of a copy that is installed: a service, a gate, and a user's ssh. */
function doesTheMainJob(name: string, {program, home, there}: Copy): void {
  let world: World
  beforeAll(async () => {
    world = await World.open(`e2e-install-${name}`, {program: program()})
  })
  afterAll(() => world?.close())

  it('runs the service, and os-ssh connect', async () => {
    const connected = await world.cli('tenant1', ['connect', 't1-web', '--', 'uname', '-n'])
    expect(connected).toMatchObject({status: 0, stdout: 't1-web\n'})
  })

  it('writes a configuration with which ssh goes through it', async () => {
    const file = `${world.home}/config`
    const {stdout} = await world.cli('tenant1', ['config', '--all'])
    writeFileSync(file, stdout, {mode: 0o600})
    expect(stdout).toContain(`ProxyCommand "${home()}/bin/proxy"`)
    // The first asks the service, the second finds a path that is fresh.
    for (const _ of ['new', 'fresh']) {
      const [ssh, ...words] = there('ssh', '-F', file, 't1-db', 'uname', '-n')
      expect(await run(ssh, words, {env: world.env})).toMatchObject({status: 0, stdout: 't1-db\n'})
    }
  })

  it('has its samples and its help', async () => {
    const facts = ['snat', 'status', '--facts', `${home()}/samples/snat.json`, '-f', 'value', '-c', 'Router']
    expect(await world.cli('tenant1', facts)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/custom/),
    })
    const help = await world.cli('tenant1', ['help', 'connect'])
    expect(help).toMatchObject({status: 0, stderr: '', stdout: expect.stringContaining('$ os-ssh connect')})
  })

  it('reaches its keychain by the helper', async () => {
    // There is no D-Bus: what answers is the library.
    const script = `echo '{"method":"get","account":"nobody"}' | "$0" "$1/dist/src/keychain/helper.js"`
    const node = existsSync(`${home()}/bin/run.js`) ? process.execPath : `${home()}/runtime/node`
    const [sh, ...words] = there('sh', '-c', script, node, home())
    const {stdout} = await run(sh, words, {env: world.env})
    expect(JSON.parse(stdout)).toEqual({error: expect.stringMatching(/dbus|d-bus|secret|bus/i)})
  })
}

/** Path and size of every file, links and folders left out. */
async function files(
  of: string,
  at: (...words: string[]) => [string, ...string[]],
): Promise<[string, number][]> {
  const [find, ...words] = at('find', of, '-type', 'f', '-printf', '%P %s\\n')
  const {stdout} = await run(find, words)
  return stdout
    .trim()
    .split('\n')
    .map(line => line.split(' '))
    .map(([path = '', size]) => [path, Number(size)])
}

function expectFiles(list: readonly (readonly [string, number])[]): void {
  const ours = list.map(([path]) => path).filter(path => !path.startsWith('node_modules/'))
  for (const wanted of ['bin/proxy', 'templates/gate/apply.sh.eta', 'LICENSES.txt', '.oclif.manifest.json'])
    expect(ours).toContain(wanted)
  expect(ours.filter(path => /\.(ts|map|tsbuildinfo)$|^(test|lab|src|commands)\//.test(path))).toEqual([])
  const size = list.filter(([path]) => path !== 'runtime/node').reduce((sum, [, bytes]) => sum + bytes, 0)
  expect(size).toBeLessThan(SIZE)
}

const inside = (...words: string[]) => clean.command(...words)
const ours = (...words: string[]) => words as [string, ...string[]]

it('the clean root has no Node and no checkout', async () => {
  expect((await clean.run('sh', '-c', 'command -v node npm; ls -A "$0"', root)).stdout).toBe('')
})

describe('the Debian package', () => {
  beforeAll(async () => {
    const {status, stderr} = await clean.run('dpkg', '-i', `${folder}/out/os-ssh_${version}_amd64.deb`)
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
  })

  const home = () => '/usr/lib/os-ssh'
  doesTheMainJob('deb', {program: () => inside('os-ssh'), home, there: inside})

  it('says its version, and has its own Node', async () => {
    const said = `os-ssh/${version} linux-x64 node-${process.version}\n`
    expect(await clean.run('os-ssh', '--version')).toEqual({status: 0, stdout: said, stderr: ''})
  })

  it('has what belongs there, and its documents where Debian has them', async () => {
    expectFiles(await files(home(), inside))
    const docs = (await files('/usr/share/doc/os-ssh', inside)).map(([path]) => path)
    expect(docs).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'copyright', 'docs/operations.md']),
    )
  })

  it('names the packages of the libraries that it loads', async () => {
    const loads = `find /usr/lib/os-ssh -name '*.node' -o -path '*/runtime/node' | xargs ldd | grep -o '/[^ ]*' | xargs -n 1 basename |
      sed 's|^|*/|' | xargs dpkg -S | grep -v '^libc6-\\|cross' | sed 's/:.*//' | sort -u`
    const {stdout} = await clean.run('sh', '-c', loads)
    const depends = (await clean.run('dpkg-query', '-W', '-f', '${Depends}', 'os-ssh')).stdout
    for (const needed of ['libc6', 'libstdc++6', 'libgcc-s1']) {
      expect(stdout.split('\n')).toContain(needed)
      expect(depends).toContain(needed)
    }
  })

  it('leaves nothing when it is removed', async () => {
    expect((await clean.run('dpkg', '-r', 'os-ssh')).status).toBe(0)
    const left = await clean.run(
      'sh',
      '-c',
      'ls -d /usr/lib/os-ssh /usr/bin/os-ssh /usr/share/doc/os-ssh 2>/dev/null',
    )
    expect(left.stdout).toBe('')
  })
})

describe('the archive', () => {
  const home = () => '/opt/os-ssh'
  beforeAll(async () => {
    const archive = `${folder}/out/os-ssh-${version}-linux-x64.tar.gz`
    expect(await clean.run('tar', '-C', '/opt', '-xzf', archive)).toMatchObject({status: 0, stderr: ''})
  })

  doesTheMainJob('archive', {program: () => inside(`${home()}/bin/os-ssh`), home, there: inside})

  it('has what belongs there', async () => {
    const list = await files(home(), inside)
    expectFiles(list)
    expect(list.map(([path]) => path)).toEqual(expect.arrayContaining(['README.md', 'docs/operations.md']))
  })

  it('starts through a link', async () => {
    await clean.run('ln', '-s', `${home()}/bin/os-ssh`, '/usr/local/bin/os-ssh')
    expect((await clean.run('os-ssh', '--version')).stdout).toContain(`os-ssh/${version}`)
  })
})

/** What npm gets from a registry for it. */
const NEEDED = ['better-sqlite3', 'node-addon-api', '@napi-rs/keyring', '@napi-rs/keyring-linux-x64-gnu']
let registry: Registry

/** npm i -g of what npm pack made; the tests' network has no registry but one of what is installed here. */
function npmInstall(prefix: string, path: string) {
  const places = ['--prefix', prefix, '--registry', registry.url, '--cache', `${folder}/cache`]
  const words = ['install', '-g', ...places, '--no-audit', '--no-fund', `${folder}/out/os-ssh-${version}.tgz`]
  const env = {PATH: `${path}:${process.env['PATH']}`, HOME: folder, npm_config_update_notifier: 'false'}
  return run('npm', words, {env, timeout: 200_000})
}

describe('the package of npm', () => {
  const home = () => `${folder}/new/lib/node_modules/os-ssh`
  beforeAll(async () => {
    registry = await Registry.open(`${folder}/registry`, NEEDED)
    const {status, stderr} = await npmInstall(`${folder}/new`, dirname(process.execPath))
    // No word of scripts that were not run, nor of anything else.
    expect({status, stderr}).toEqual({status: 0, stderr: ''})
  })

  afterAll(() => registry?.close())

  doesTheMainJob('npm', {program: () => [`${folder}/new/bin/os-ssh`], home, there: ours})

  it('has what belongs there', async () => {
    const list = await files(home(), ours)
    expectFiles(list)
    expect(list.map(([path]) => path)).toEqual(expect.arrayContaining(['README.md', 'docs/operations.md']))
  })

  const old = ['/usr/bin/node', '/usr/local/bin/node'].find(
    node =>
      existsSync(node) && /^v(1\d|2[0-3])\./.test(spawnSync(node, ['--version'], {encoding: 'utf8'}).stdout),
  )
  const withOldNode = old ? it : it.skip
  withOldNode('is installed by an older Node, too, and says then which one it needs', async () => {
    const path = dirname(old ?? '')
    expect((await npmInstall(`${folder}/old`, path)).status).toBe(0)
    const started = await run(`${folder}/old/bin/os-ssh`, ['list'], {env: {PATH: path, HOME: folder}})
    expect(started).toMatchObject({status: 64, stdout: ''})
    expect(started.stderr).toMatch(/^error: os-ssh needs Node\.js 24\.15 or newer; this is v.*\nhint: .*\n$/)
  })
})
