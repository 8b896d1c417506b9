import {mkdirSync, readFileSync, statSync, writeFileSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {inventory} from '../../support/inventory.ts'
import {run} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* One service runs a gate: from a laptop to another, and on to a server that a whole project uses. */

jest.setTimeout(300_000)

const PATIENCE_MS = 240_000
const SECRET = 'correct horse'

let world: World
let before: readonly string[]
let file: string
beforeAll(async () => {
  world = await World.open('e2e-transfer', {alone: true})
  before = await inventory(await world.cloud('tenant1'))
  file = `${world.home}/gates.os-ssh`
}, 180_000)
afterAll(() => world?.close())

/** Another machine: only the cloud and its networks are the same. */
function machine(name: string) {
  const home = name === '' ? world.home : `${world.home}/${name}`
  for (const directory of [`${home}/run`, `${home}/.ssh`])
    mkdirSync(directory, {recursive: true, mode: 0o700})
  const env = {...world.env, HOME: home, XDG_RUNTIME_DIR: `${home}/run`, OS_SSH_PASSPHRASE: SECRET}
  return {
    env,
    cli: (...words: string[]) => world.cli('tenant1', words, {env, timeout: PATIENCE_MS}),
    async ssh(vm: string, more: NodeJS.ProcessEnv = {}) {
      const {stdout} = await world.cli('tenant1', ['config', '--all'], {env: {...env, ...more}})
      writeFileSync(`${home}/config`, stdout, {mode: 0o600})
      const key = ['-i', `${world.home}/.ssh/id_alice`]
      return run('ssh', ['-F', `${home}/config`, ...key, vm, 'uname', '-n'], {
        env: {...env, ...more},
        timeout: 60_000,
      })
    },
  }
}

it('is exported into a file that only its passphrase opens', async () => {
  const first = machine('')
  expect(await first.cli('init', '--yes')).toMatchObject({status: 0})
  expect(await first.ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
  expect(await first.cli('service', 'export', file)).toMatchObject({status: 0})
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(file, 'utf8')).not.toMatch(/PRIVATE|gate-/)
  expect(await first.cli('service', 'export', file)).toMatchObject({
    status: 64,
    stderr: expect.stringContaining(`error: ${file} is there already\n`),
  })
  // It goes on until somebody has it.
  expect(await first.ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
})

it('is imported by another machine with that passphrase alone', async () => {
  const second = machine('second')
  const wrong = {env: {...second.env, OS_SSH_PASSPHRASE: 'wrong'}}
  expect(await world.cli('tenant1', ['service', 'import', file], wrong)).toMatchObject({
    status: 64,
    stderr: expect.stringContaining('error: the passphrase does not open this file, or it is damaged\n'),
  })
  expect(await world.cli('tenant2', ['service', 'import', file], {env: second.env})).toMatchObject({
    status: 64,
    stderr: expect.stringMatching(
      /^error: the gates of gates\.os-ssh are in project tenant1, and you are in tenant2\n/m,
    ),
  })
  expect(await second.cli('service', 'import', file)).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/^gate-\w+ \(ready\): run from here now\n$/m),
  })
  expect(await second.ssh('t1-db')).toMatchObject({stdout: 't1-db\n', status: 0})
})

it('has moved for the machine that it came from, which says to whom, and destroys nothing', async () => {
  const first = machine('')
  const moved = expect.stringMatching(/^error: the gates of this service are run by \S+ on \S+ now\n/m)
  expect(await first.cli('status')).toMatchObject({status: 69, stderr: moved})
  expect(await first.cli('paths', 'list')).toMatchObject({status: 69, stderr: moved})
  expect(await first.cli('destroy', '--yes')).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/are run by \S+ on \S+ now: they stay; here nothing is left\n$/m),
  })
  expect(await machine('second').ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
})

it('goes on to a server, for whoever is in the project; the laptop hears of it', async () => {
  const second = machine('second')
  const onward = `${file}.2`
  expect(await second.cli('service', 'export', onward)).toMatchObject({status: 0})
  const state = `${world.home}/server`
  expect(await second.cli('service', 'import', onward, '--state', state)).toMatchObject({
    status: 0,
    stderr: expect.stringContaining(`os-ssh service start --config ${state}/service.yaml --os-cloud NAME\n`),
  })
  await world.startConfigured('tenant1', `${state}/service.yaml`)
  const third = machine('third')
  expect(await third.ssh('t1-web', {OS_SSH_ENDPOINT: world.service.url})).toMatchObject({
    stdout: 't1-web\n',
    status: 0,
  })
  expect(await second.cli('status')).toMatchObject({status: 69})
})

it('leaves nothing behind in the end', async () => {
  const third = machine('third')
  await world.service.stop()
  const [, id = ''] = /os-ssh destroy --service (\S+)/.exec((await third.cli('init', '--yes')).stderr) ?? []
  expect(await third.cli('destroy', '--yes', '--service', id)).toMatchObject({status: 0})
  expect(await inventory(await world.cloud('tenant1'))).toEqual(before)
})
