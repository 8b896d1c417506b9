import {readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'
import {parse, stringify} from 'yaml'

import {withSession} from '../../../src/access/session.ts'
import {versionAt} from '../../../src/embedded/start.ts'
import {loadCloud} from '../../../src/openstack/index.ts'
import {packageVersion} from '../../../src/system/directories.ts'
import {OwnMachine} from '../../support/own-service.ts'
import {World} from '../../support/world.ts'

/* A service on demand, and what happens to its process: it is killed, replaced, robbed of its directory, or leaves while it is asked. */

jest.setTimeout(300_000)

const STARTED = 'the service has started'
/** Leaves as soon as nobody asks for a moment. */
const HASTY = {OS_SSH_SERVICE_IDLE: '0.2'}

let world: World
let mine: OwnMachine
beforeAll(async () => {
  world = await World.open('e2e-embedded', {alone: true})
  mine = new OwnMachine(world, 'tenant1')
  const {status, stderr} = await mine.cli(['init', '--yes'])
  if (status !== 0) throw new Error(stderr)
}, 180_000)
afterAll(() => world?.close())

const works = {status: 0, stdout: expect.stringMatching(/^gate-\w+ ready/m)}
const list = (env: NodeJS.ProcessEnv = {}) =>
  mine.cli(['gate', 'list', '-f', 'value', '-c', 'name', '-c', 'state'], env)
const stopped = async () => {
  await mine.cli(['service', 'stop'])
  expect(await mine.left()).toEqual([])
}

/** Asks so often, one after the other, as one long command would; whatever is not answered fails. */
const asks = (times: number, pause: () => number, env: NodeJS.ProcessEnv = {}) =>
  withSession({cloud: mine.account, keychain: 'agent', env: {...mine.env, ...env}}, async session => {
    const service = await session.service()
    for (let n = 0; n < times; n++) {
      expect(await service.request('GET', '/v1/gates')).toMatchObject({gates: [{}]})
      await sleep(pause())
    }
  })

it('twenty clients at once start one, and all are answered', async () => {
  await stopped()
  const before = mine.said(STARTED)
  const answers = await Promise.all(Array.from({length: 20}, () => list()))
  for (const answer of answers) expect(answer).toMatchObject(works)
  expect([mine.said(STARTED) - before, mine.pids().length]).toEqual([1, 1])
})

it('after a kill the next command starts another one', async () => {
  const pid = mine.pid()
  process.kill(pid, 'SIGKILL')
  expect(await list()).toMatchObject(works)
  expect(mine.pid()).not.toBe(pid)
})

it('an older one is replaced, and no request is lost', async () => {
  await stopped()
  await mine.startAs({version: '0.0.1'})
  expect(await versionAt(mine.place)).toBe('0.0.1')
  const asking = Promise.all([1, 2, 3, 4, 5].map(() => asks(20, () => 50)))
  const [answer] = await Promise.all([list(), asking])
  expect(answer).toMatchObject(works)
  expect(await versionAt(mine.place)).toBe(packageVersion())
  expect(mine.pids()).toHaveLength(1)
})

it('a newer one is used as it is', async () => {
  await stopped()
  await mine.startAs({version: '99.0.0'})
  const pid = mine.pid()
  expect(await list()).toMatchObject(works)
  expect([await versionAt(mine.place), mine.pid()]).toEqual(['99.0.0', pid])
})

it('one that leaves between requests loses none', async () => {
  await stopped()
  const before = mine.said(STARTED)
  await asks(15, () => 100 + Math.random() * 500, HASTY)
  expect(mine.said(STARTED) - before).toBeGreaterThan(2)
  expect(await mine.left()).toEqual([])
})

const ssh = (name: string, env: NodeJS.ProcessEnv = {}) =>
  mine.cli(['connect', name, '--', 'uname', '-n'], env)

it('it stays while there is a path, and while a network is plugged in for those who come back', async () => {
  await stopped()
  expect(await ssh('t1-db', HASTY)).toMatchObject({status: 0, stdout: 't1-db\n'})
  const pid = mine.pid()
  await sleep(3000)
  expect(mine.pids()).toEqual([pid])
  expect(await mine.cli(['paths', 'revoke', '--all'])).toMatchObject({status: 0})
  await sleep(3000)
  expect(mine.pids()).toEqual([pid])
})

it('its runtime directory is taken away: it leaves, and the next command starts another one', async () => {
  expect(await list()).toMatchObject(works)
  const pid = mine.pid()
  renameSync(mine.place.run, `${mine.place.run}.gone`)
  // The keys of the keychain "agent" lie there, too.
  expect(await list()).toMatchObject({
    status: 64,
    stderr: expect.stringContaining('the keys of the gates are not in the keychain (agent)'),
  })
  expect(await mine.left()).toEqual([])
  rmSync(mine.place.run, {recursive: true})
  renameSync(`${mine.place.run}.gone`, mine.place.run)
  expect(await list()).toMatchObject(works)
  expect(mine.pid()).not.toBe(pid)
  expect(mine.log().findLast(line => line.pid === pid && line['reason'])).toMatchObject({
    reason: 'its socket is gone',
  })
})

/** The entry of somebody who types their password: what `login` has kept is all there is. */
async function withoutPassword() {
  const content = parse(readFileSync(mine.env['OS_CLIENT_CONFIG_FILE'] ?? '', 'utf8'))
  delete content.clouds[mine.account].auth.password
  const file = `${mine.home}/no-password.yaml`
  writeFileSync(file, stringify(content), {mode: 0o600})
  const env = {...mine.env, OS_CLIENT_CONFIG_FILE: file}
  return {env, cloud: await loadCloud({cloud: mine.account, env, cwd: mine.home})}
}

/** One whose token ends in a moment, held by a path. */
async function startEnding() {
  await stopped()
  const {identity} = await world.cloud('tenant1')
  const {env, cloud} = await withoutPassword()
  const token = {...(await identity.token()), expires_at: new Date(Date.now() + 8000)}
  await mine.startAs({cloud, token, idle: 0.2})
  return {env, pid: mine.pid(), until: token.expires_at.getTime()}
}

it('without a password it leaves when the token of who has logged in is over', async () => {
  expect(await ssh('t1-db')).toMatchObject({status: 0})
  const {pid, until} = await startEnding()
  expect(await mine.left()).toEqual([])
  const leaves = mine.log().findLast(line => line['reason'])
  expect(leaves).toMatchObject({pid, reason: 'nobody needs it'})
  // And not before: the path holds it.
  expect(leaves?.['time']).toBeGreaterThanOrEqual(until)
})

it('without a password it goes on by a newer token that somebody brings', async () => {
  const {env, pid, until} = await startEnding()
  expect(await list(env)).toMatchObject(works)
  await sleep(until + 3000 - Date.now())
  expect(mine.pids()).toEqual([pid])
  expect(await ssh('t1-web', env)).toMatchObject({status: 0, stdout: 't1-web\n'})
  expect(mine.pid()).toBe(pid)
})
