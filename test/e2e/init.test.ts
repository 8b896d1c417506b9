import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {inventory} from '../support/inventory.ts'
import {run} from '../support/run.ts'
import {testCloud} from '../support/site.ts'
import {World} from '../support/world.ts'

/* A member with an entry in clouds.yaml and nothing else: from init to ssh, and back to nothing. */

jest.setTimeout(300_000)

const PATIENCE_MS = 240_000

let world: World
let before: readonly string[]
beforeAll(async () => {
  world = await World.open('e2e-init', {alone: true})
  before = await inventory(await world.cloud('tenant1'))
}, 180_000)
afterAll(() => world?.close())

const cli = (...words: string[]) => world.cli('tenant1', words, {timeout: PATIENCE_MS})

it('without init nobody serves them, and they are told what would', async () => {
  expect(await cli('paths', 'list')).toMatchObject({
    status: 69,
    stderr: expect.stringContaining('os-ssh init makes gates of your own'),
  })
})

// All of it is tried in the lab; of ten instances nine are there on the real one.
it.each<readonly [readonly string[], number, RegExp]>(
  testCloud === 'openstack'
    ? [[['--gates', '3'], 75, /^error: 2 servers too few: 9 of 10 are used$/m]]
    : [
        [['--image', 'nonsense'], 64, /^error: there is no image "nonsense"; there are: /m],
        [['--flavor', 'nonsense'], 64, /^error: there is no flavor "nonsense"; there are: /m],
        [['--network', 'nonsense'], 64, /^error: there is no network "nonsense"; there are: /m],
        [
          ['--allow-from', '192.0.2.1/24'],
          64,
          /^error: --allow-from 192\.0\.2\.1\/24 is not an address range such as/m,
        ],
      ],
)('what cannot be made is said before anything is: %j', async (words, status, stderr) => {
  expect(await cli('init', '--yes', ...words)).toMatchObject({status, stderr: expect.stringMatching(stderr)})
  expect(await inventory(await world.cloud('tenant1'))).toEqual(before)
})

it('init makes nothing without a yes', async () => {
  expect(await cli('init')).toMatchObject({
    status: 64,
    stderr: expect.stringContaining(
      'error: nobody can be asked here whether this is meant\nhint:  if it is: the same with --yes\n',
    ),
  })
  expect(await inventory(await world.cloud('tenant1'))).toEqual(before)
})

it('init says what it will make, and makes it', async () => {
  const {stderr, status} = await cli('init', '--yes')
  expect(stderr).toMatch(/^Quota: +1 instances \(/m)
  expect(stderr).toContain('Port 22 will be open to everywhere, for keys only.\n')
  expect(stderr).toMatch(/^gate-[0-9a-f]{6} \([\d.]+\) is ready\nNext: os-ssh list/m)
  expect(status).toBe(0)
})

it('again, all is there already', async () => {
  const {stderr, status} = await cli('init', '--yes')
  expect([status, stderr]).toEqual([0, expect.stringMatching(/^gate-\w+ \([\d.]+\) is there already\n/)])
})

it('ssh reaches a VM behind a router, and one that no router reaches', async () => {
  const {stdout} = await cli('config', '--all')
  const config = `${world.home}/config`
  writeFileSync(config, stdout, {mode: 0o600})
  for (const name of ['t1-web', 't1-db'])
    expect(
      await run('ssh', ['-F', config, name, 'uname', '-n'], {env: world.env, timeout: 60_000}),
    ).toMatchObject({stdout: `${name}\n`, status: 0})
})

it('admits this machine alone, by the address that the gate sees', async () => {
  const {stdout, status} = await cli('gate', 'allow', 'auto')
  expect(status).toBe(0)
  expect(stdout).toMatch(/^(\d+\.){3}\d+\/32\n$/)
  expect(await cli('gate', 'allow')).toMatchObject({stdout, status: 0})
  expect(await cli('connect', 't1-web', '--', 'uname', '-n')).toMatchObject({stdout: 't1-web\n', status: 0})
})

it('status says where the service is, and how its gate is', async () => {
  const {stdout, stderr, status} = await cli('status')
  expect(status).toBe(0)
  expect(stderr).toMatch(/^own service \S+ at unix:\S+\/service.sock, since \S+, in project tenant1$/m)
  expect(stdout).toMatch(/^\| gate-\w+ +\| ready \|/m)
})

it('destroy says what it took away, and leaves nothing', async () => {
  const {stdout, status} = await cli('destroy', '--yes')
  expect(status).toBe(0)
  const kinds = stdout.split('\n').map(line => /^deleted ([a-zA-Z ]+?) (os-ssh-|[\d.]+ )/.exec(line)?.[1])
  expect(kinds.filter(Boolean).sort()).toEqual([
    'floating IP',
    'port',
    'port',
    'port',
    'security group',
    'server',
  ])
  expect(await inventory(await world.cloud('tenant1'))).toEqual(before)
  expect(await cli('destroy', '--yes')).toMatchObject({
    status: 66,
    stderr: expect.stringContaining('there are no gates of your own in cloud tenant1'),
  })
})
