import {spawnSync} from 'node:child_process'
import {chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {createServer, type Server} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeAll, beforeEach, expect, test} from '@jest/globals'

const root = new URL('../../..', import.meta.url).pathname
const dir = mkdtempSync(join(tmpdir(), 'os-ssh-proxy-'))
const [run, cloud, bin] = [join(dir, 'run/os-ssh'), join(dir, 'run/os-ssh/lab'), join(dir, 'b in')]
const id = '3f2a7c1e-0000-4000-8000-000000000001'
let agent: Server

const program = (name: string) => {
  const file = join(bin, name)
  writeFileSync(file, `#!/bin/sh\necho ${name} "$@"\n`)
  chmodSync(file, 0o755)
  return file
}
const start = (script: string, words: string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(script, words, {
    encoding: 'utf8',
    env: {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: dir,
      XDG_RUNTIME_DIR: join(dir, 'run'),
      OS_SSH_NODE: join(bin, 'node'),
      ...env,
    },
  }).stdout
const path = (until: number) =>
  writeFileSync(join(cloud, `${id}.path`), `${until} fd00::7 22 gate-1 9 path-1\n`)
const later = Math.floor(Date.now() / 1000) + 3600
const straight = `ssh -F ${cloud}/${id}.conf -W [fd00::7]:22 gate-1\n`
const asking = `node ${root}bin/run.js proxy lab ${id} agent\n`

beforeAll(() => {
  for (const made of [join(dir, 'run'), run, cloud, bin]) mkdirSync(made, {mode: 0o700})
  program('ssh')
  program('node')
  agent = createServer().listen(join(cloud, 'agent'))
})
afterAll(() => {
  agent.close()
  rmSync(dir, {recursive: true})
})
beforeEach(() => path(later))

test('a fresh path becomes ssh, without Node', () => {
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(straight)
})

test('a stale path, none, and no agent ask Node', () => {
  path(1)
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  rmSync(join(cloud, `${id}.path`))
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
  expect(start(`${root}bin/proxy`, ['other', id])).toBe(asking.replace('lab', 'other').replace(' agent', ''))
})

test('a damaged path file asks Node', () => {
  writeFileSync(join(cloud, `${id}.path`), 'soon $(id)\n')
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'])).toBe(asking)
})

test('a runtime directory that is a symlink is not believed', () => {
  symlinkSync(run, join(dir, 'os-ssh'))
  expect(start(`${root}bin/proxy`, ['lab', id, 'agent'], {XDG_RUNTIME_DIR: dir})).toBe(asking)
})

test('it works through symlinks, and finds the Node that was remembered', () => {
  path(1)
  symlinkSync(`${root}bin/proxy`, join(bin, 'one'))
  symlinkSync('one', join(bin, 'two'))
  mkdirSync(join(dir, '.local/state/os-ssh'), {recursive: true})
  writeFileSync(join(dir, '.local/state/os-ssh/node'), `${join(bin, 'node')}\n`)
  // The package's own Node comes first where there is one; a copy of the package has none.
  mkdirSync(join(dir, 'copy/bin'), {recursive: true})
  spawnSync('cp', [`${root}bin/proxy`, join(dir, 'copy/bin/proxy')])
  expect(start(join(bin, 'two'), ['lab', id, 'agent'])).toBe(asking)
  expect(start(join(dir, 'copy/bin/proxy'), ['lab', id], {OS_SSH_NODE: '', PATH: '/usr/bin:/bin'})).toBe(
    `node ${dir}/copy/bin/run.js proxy lab ${id}\n`,
  )
})

test('an odd cloud name goes to Node as it is', () => {
  expect(start(`${root}bin/proxy`, ['my cloud; $(id)', id])).toBe(
    `node ${root}bin/run.js proxy my cloud; $(id) ${id}\n`,
  )
})
