import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {sshServiceClient} from '../../../src/access/ssh-service.ts'
import {serve} from '../../../src/embedded/daemon.ts'
import {type Handover, parseHandover} from '../../../src/embedded/handover.ts'
import {newKeys} from '../../../src/embedded/keys.ts'
import {takeLock} from '../../../src/embedded/lock.ts'
import {databaseOf, lockOf, logOf, type Place, settingsOf, socketOf} from '../../../src/embedded/place.ts'
import {leaveAt, versionAt} from '../../../src/embedded/start.ts'
import {openStack} from '../../../src/openstack/index.ts'
import {writeAtomic} from '../../../src/system/files.ts'
import {eventually} from '../../support/run.ts'
import {type Fake, issue, startFake} from '../openstack/fake.ts'

/* One life of one's own service: when it begins, whom it lets have its place, and why it leaves. */

let dir: string
let place: Place
let cloud: Fake
let running: Promise<void>[]
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'os-ssh-s-'))
  mkdirSync(`${dir}/run`, {mode: 0o700})
  place = {state: `${dir}/state`, run: `${dir}/run`}
  cloud = await startFake()
  running = []
})
afterEach(async () => {
  await leaveAt(place)
  await Promise.all(running)
  await cloud.close()
  rmSync(dir, {recursive: true})
})

async function handover(idle: number): Promise<Handover> {
  const config = {
    name: 'mine',
    auth: {auth_url: cloud.url, username: 'alice', password: 'secret', project_name: 'p'},
  }
  const account = openStack(config)
  const token = await account.identity.token()
  await account.close()
  return parseHandover(JSON.stringify({cloud: config, token, keys: newKeys(), version: '7.8.9', idle}))
}

/** Has one begin, until all of it is there: it answers a moment before that. */
async function begun(idle = 60, given?: Handover): Promise<void> {
  running.push(serve(place, given ?? (await handover(idle))))
  await eventually(
    async () => existsSync(logOf(place)) && log().some(({msg}) => msg === 'the service has started'),
    there => there,
  )
}

const log = () =>
  readFileSync(logOf(place), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
const leftBecause = () => log().find(({msg}) => msg === 'the service leaves')?.reason

it('lives where only its user gets in, and no secret of it lies in any file', async () => {
  const given = await handover(60)
  await begun(60, given)
  expect(await versionAt(place)).toBe('7.8.9')
  const modes = [place.state, socketOf(place), logOf(place)].map(file =>
    (lstatSync(file).mode & 0o777).toString(8),
  )
  expect(modes).toEqual(['700', '600', '600'])
  const files = [logOf(place), databaseOf(place), `${databaseOf(place)}-wal`].filter(existsSync)
  const written = files.map(file => readFileSync(file, 'latin1')).join('')
  for (const secret of [given.token.id, 'secret', 'PRIVATE KEY']) expect(written).not.toContain(secret)
})

it('runs once at a time: another one that is begun leaves without a word', async () => {
  await begun()
  const {ino} = lstatSync(socketOf(place))
  await serve(place, await handover(60))
  expect([lstatSync(socketOf(place)).ino, await versionAt(place)]).toEqual([ino, '7.8.9'])
  expect(log().filter(({msg}) => msg === 'the service has started')).toHaveLength(1)
  expect(takeLock(lockOf(place))).toBeUndefined()
})

it('leaves when it is told to: its socket is gone first, and its place is free', async () => {
  await begun()
  expect(await leaveAt(place)).toBe(true)
  expect(existsSync(socketOf(place))).toBe(false)
  await Promise.all(running)
  expect(leftBecause()).toBe('it was told to')
  const unlock = takeLock(lockOf(place))
  expect(unlock).toBeInstanceOf(Function)
  unlock?.()
})

it('leaves when nobody has needed it for so long, and not before', async () => {
  const since = Date.now()
  await begun(1)
  await Promise.all(running)
  expect(Date.now() - since).toBeGreaterThan(1000)
  expect([leftBecause(), existsSync(socketOf(place))]).toEqual(['nobody needs it', false])
})

it('leaves when somebody has taken its socket away: nobody could ask it for anything', async () => {
  await begun()
  unlinkSync(socketOf(place))
  await Promise.all(running)
  expect(leftBecause()).toBe('its socket is gone')
})

const [OWN, THEIRS] = ['own', 'theirs'].map(name => name.padEnd(40, '-')) as [string, string]

it.each<[string, object, boolean]>([
  ['a member of its project', {}, true],
  ['somebody of another project', {project: {id: 'p2', name: 'bank', domain: {id: 'd', name: 'd'}}}, false],
  ['somebody without a project', {project: undefined}, false],
  ['a reader of its project', {roles: [{id: 'r', name: 'reader'}]}, false],
])('works on with a token of %s that lives longer: %j, %s', async (_, change, is) => {
  await begun()
  const lives = (id: string, seconds: number, more: object) => {
    const {headers, body} = issue(cloud.url, id, seconds)
    return {status: 200, headers, body: {token: {...(body as {token: object}).token, ...more}}}
  }
  cloud.on('GET', '/v3/auth/tokens', ({headers}) =>
    headers['x-subject-token'] === THEIRS ? lives(THEIRS, 9000, change) : lives(OWN, 3600, {}),
  )
  const ask = (token: string) =>
    sshServiceClient({endpoint: `unix:${socketOf(place)}`, token: async () => token})
  await ask(THEIRS)
    .request('GET', '/v1/paths')
    .catch(() => undefined)
  const before = cloud.asked.length
  const wanted = {scope: 'project', count: 1, dry_run: true}
  await expect(ask(OWN).request('POST', '/v1/gates/deploy', wanted)).rejects.toThrow()
  const used = cloud.asked.slice(before).filter(({path}) => /^\/v2/.test(path))
  expect(used.length).toBeGreaterThan(0)
  expect(used.some(({headers}) => headers['x-auth-token'] === THEIRS)).toBe(is)
})

it('settings that are wrong are a fault before anything is there, and its place is free', async () => {
  mkdirSync(place.state, {mode: 0o700})
  await writeAtomic(settingsOf(place), 'gates:\n  max: many\n')
  await expect(serve(place, await handover(60))).rejects.toMatchObject({
    ...{code: 'CONFIG', message: expect.stringContaining(settingsOf(place))},
  })
  expect(existsSync(socketOf(place))).toBe(false)
  takeLock(lockOf(place))?.()
  expect(statSync(place.state).mode & 0o777).toBe(0o700)
})
