import {spawnSync} from 'node:child_process'
import {chownSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {socketOf} from '../../../../src/embedded/place.ts'
import {metadataOf} from '../../../../src/service/deploy/names.ts'
import {LabFaults} from '../../../support/lab-faults.ts'
import {OwnMachine} from '../../../support/own-service.ts'
import {eventually} from '../../../support/run.ts'
import {World} from '../../../support/world.ts'

/* A service on demand whose keychain, disk, directory, token, clock or gate fails it: what its user reads, and that it goes on afterwards. */

jest.setTimeout(300_000)

const NOBODY = 65534

let world: World
let lab: LabFaults
let mine: OwnMachine
let disk: string
beforeAll(async () => {
  world = await World.open('e2e-embedded-faults', {alone: true})
  lab = new LabFaults(world)
  mine = new OwnMachine(world, 'tenant1')
  disk = `${mine.home}/.local/state/os-ssh`
  mkdirSync(disk, {recursive: true})
  mount('-t', 'tmpfs', '-o', 'size=4m,mode=700', 'tmpfs', disk)
  const {status, stderr} = await mine.cli(['init', '--yes'])
  if (status !== 0) throw new Error(stderr)
}, 180_000)
afterAll(async () => {
  if (mine) {
    await mine.cli(['service', 'stop'])
    spawnSync('umount', ['-l', disk])
  }
  await world?.close()
})

function mount(...words: string[]): void {
  // What has just ended may hold a file for a moment more.
  for (let tries = 0; ; tries++) {
    const {status, stderr} = spawnSync('mount', words, {encoding: 'utf8'})
    if (status === 0) return
    if (tries === 20) throw new Error(stderr)
    spawnSync('sleep', ['0.1'])
  }
}

const works = {status: 0, stdout: expect.stringMatching(/^gate-\w+ ready/m)}
const list = (env: NodeJS.ProcessEnv = {}) =>
  mine.cli(['gate', 'list', '-f', 'value', '-c', 'name', '-c', 'state'], env)
const stopped = async () => {
  await mine.cli(['service', 'stop'])
  expect(await mine.left()).toEqual([])
}
const said = (status: number, stderr: string) => ({status, stderr})

it.each([
  [
    'no keychain of the system',
    {OS_SSH_KEYCHAIN: 'system'},
    69,
    /^error: this machine has no keychain that could keep your key\nhint: {2}choose: --keychain file .*\n$/,
  ],
  [
    'a keychain without the keys',
    {OS_SSH_KEYCHAIN: 'file'},
    64,
    'error: the keys of the gates are not in the keychain (file)\nhint:  where they were kept says --keychain; are they lost: os-ssh destroy, then os-ssh init\n',
  ],
])('%s: it is said, none is started, and with the right one all is well', async (_, env, status, stderr) => {
  await stopped()
  expect(await list(env)).toMatchObject({
    status,
    stderr: stderr instanceof RegExp ? expect.stringMatching(stderr) : stderr,
  })
  expect(mine.pids()).toEqual([])
  expect(await list()).toMatchObject(works)
  // One that runs needs no keychain.
  expect(await list(env)).toMatchObject(works)
})

it('a keychain that is locked', async () => {
  await stopped()
  const locked = {OS_SSH_KEYCHAIN: 'file', OS_SSH_PASSPHRASE: 'right'}
  const keys = readFileSync(`${mine.place.run}/service.keys`, 'utf8')
  const helper = `import {openKeychain} from '${new URL('../../../../src/keychain/index.ts', import.meta.url)}'
    const keychain = openKeychain('file', {directory: ${JSON.stringify(disk)}, passphrase: async () => 'right', env: {}})
    await keychain.set('service:tenant1', ${JSON.stringify(keys)})`
  expect(spawnSync(process.execPath, ['--input-type=module', '-e', helper], {encoding: 'utf8'}).stderr).toBe(
    '',
  )
  expect(await list({...locked, OS_SSH_PASSPHRASE: ''})).toMatchObject(
    said(
      78,
      'error: the file keychain is locked and nobody can be asked here\nhint:  run os-ssh login, or set OS_SSH_PASSPHRASE\n',
    ),
  )
  expect(mine.pids()).toEqual([])
  expect(await list(locked)).toMatchObject(works)
})

it('the disk is read-only when it shall start', async () => {
  await stopped()
  mount('-o', 'remount,ro', disk)
  const refused = await list()
  const stop = await mine.cli(['service', 'stop'])
  mount('-o', 'remount,rw', disk)
  expect(refused).toMatchObject(
    said(
      73,
      `error: the service cannot keep its state in ${mine.place.state}: unable to open database file\nhint:  it must be writable and not full\n`,
    ),
  )
  expect(stop.status).toBe(0)
  expect(mine.pids()).toEqual([])
  expect(await list()).toMatchObject(works)
})

it('the disk is full: when it shall start, and while it runs', async () => {
  await stopped()
  const fill = () => spawnSync('dd', ['if=/dev/zero', `of=${disk}/full`, 'bs=4k'])
  fill()
  const refused = await list()
  rmSync(`${disk}/full`)
  expect(refused).toMatchObject(
    said(
      73,
      `error: ${mine.place.state}/service.lock cannot be locked: database or disk is full\nhint:  it must be writable and not full\n`,
    ),
  )
  expect(mine.pids()).toEqual([])
  expect(await list()).toMatchObject(works)
  fill()
  const allow = await mine.cli(['gate', 'allow', '0.0.0.0/0'])
  const connect = await mine.cli(['connect', 't1-web', '--', 'true'])
  rmSync(`${disk}/full`)
  expect(allow).toMatchObject({
    status: 73,
    stderr: expect.stringMatching(
      /^error: the service cannot keep its state: database or disk is full \(request \S+\)\nhint: {2}it must be writable and not full\n$/,
    ),
  })
  // The client keeps something there, too.
  expect(connect).toMatchObject({
    status: 73,
    stderr: expect.stringContaining('no space is left on the device'),
  })
  expect(await mine.cli(['connect', 't1-web', '--', 'uname', '-n'])).toMatchObject({
    status: 0,
    stdout: 't1-web\n',
  })
})

it('a socket that somebody else has put there is not used', async () => {
  await stopped()
  const socket = socketOf(mine.place)
  writeFileSync(socket, '')
  chownSync(socket, NOBODY, NOBODY)
  expect(await list()).toMatchObject(
    said(
      77,
      `error: ${socket} is not a socket of yours\nhint:  somebody has put it there: look who, and remove it\n`,
    ),
  )
  rmSync(socket)
  const run = `${mine.home}/run/os-ssh`
  chownSync(run, NOBODY, NOBODY)
  const denied = await list()
  chownSync(run, 0, 0)
  expect(denied).toMatchObject(
    said(
      77,
      `error: ${run} is not a directory of yours alone; os-ssh keeps nothing there\nhint:  look who made it, remove it, or set XDG_RUNTIME_DIR\n`,
    ),
  )
  expect(mine.pids()).toEqual([])
})

it('all tokens end overnight: who has a password notices nothing', async () => {
  expect(await list()).toMatchObject(works)
  const pid = mine.pid()
  await lab.expire()
  expect(await list()).toMatchObject(works)
  expect(await mine.cli(['connect', 't1-db', '--', 'uname', '-n'])).toMatchObject({
    status: 0,
    stdout: 't1-db\n',
  })
  expect(mine.pid()).toBe(pid)
})

it('it was asleep: the next command works, and all is looked at anew', async () => {
  expect(await list()).toMatchObject(works)
  const pid = mine.pid()
  process.kill(pid, 'SIGSTOP')
  const silent = await list()
  await sleep(27_000)
  process.kill(pid, 'SIGCONT')
  expect(silent).toMatchObject(
    said(
      69,
      `error: the service at ${socketOf(mine.place)} does not answer: nothing within 5 s\nhint:  os-ssh service logs; kill the process that is called "os-ssh service" if it hangs\n`,
    ),
  )
  expect(await mine.cli(['connect', 't1-web', '--', 'uname', '-n'])).toMatchObject({
    status: 0,
    stdout: 't1-web\n',
  })
  expect(mine.pid()).toBe(pid)
  const woken = mine.log().find(line => line.msg === 'time has passed unseen: all is looked at anew')
  expect(woken).toMatchObject({pid, seconds: expect.any(Number)})
})

// libfaketime is nothing that a developer has to have.
const withFaketime = spawnSync('faketime', ['--version']).error === undefined ? it : it.skip
withFaketime.each(['+1h', '-1h'])('the clock of this machine is off by %s: ssh reaches VMs', async offset => {
  expect(await mine.cli(['paths', 'revoke', '--all'])).toMatchObject({status: 0})
  await stopped()
  await mine.startAhead(offset)
  for (const name of ['t1-web', 't1-db'])
    expect(await mine.cliAhead(offset, ['connect', name, '--', 'uname', '-n'])).toMatchObject({
      status: 0,
      stdout: `${name}\n`,
    })
  const [started] = mine.log().slice(-1)
  const off = Number(started?.['time']) - Date.now()
  expect(Math.round(off / 3_600_000)).toBe(Number.parseInt(offset, 10))
  await stopped()
})

it('its gate is deleted behind its back: init waits for another one, and ssh goes through it', async () => {
  const {compute} = await world.cloud('tenant1')
  const gates = async () => (await compute.servers()).filter(server => metadataOf(server))
  const [old] = await gates()
  const name = /gate-\w+/.exec(old?.name ?? '')?.[0] ?? 'none'
  await compute.deleteServer(old?.id ?? '')
  await eventually(list, ({stdout}) => !stdout.startsWith(`${name} ready`))
  const init = await mine.cli(['init', '--yes'])
  expect(init).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/^gate-\w+ \([\d.]+\) is there already\n/),
  })
  expect(init.stderr).not.toContain(name)
  const [fresh, ...more] = await gates()
  expect(more).toEqual([])
  expect(fresh?.id).not.toBe(old?.id)
  expect(await mine.cli(['connect', 't1-web', '--', 'uname', '-n'])).toMatchObject({
    status: 0,
    stdout: 't1-web\n',
  })
})
