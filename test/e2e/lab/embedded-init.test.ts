import {mkdtempSync, rmSync} from 'node:fs'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, afterEach, beforeAll, expect, it, jest} from '@jest/globals'

import type {Server} from '../../../src/openstack/index.ts'
import {metadataOf} from '../../../src/service/deploy/names.ts'
import {inventory} from '../../support/inventory.ts'
import {LabFaults} from '../../support/lab-faults.ts'
import {OwnMachine} from '../../support/own-service.ts'
import {eventually} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* init and destroy that are cut off, or done twice at once: one gate, and at last nothing. */

jest.setTimeout(300_000)

const INTERRUPTED = 130

let world: World
let lab: LabFaults
let mine: OwnMachine
let before: readonly string[]
beforeAll(async () => {
  world = await World.open('e2e-embedded-init', {alone: true})
  lab = new LabFaults(world)
  mine = new OwnMachine(world, 'tenant1')
  before = await inventory(await world.cloud('tenant1'))
}, 180_000)
afterAll(() => world?.close())
afterEach(() => lab.clear())

const gates = async (): Promise<Server[]> =>
  (await (await world.cloud('tenant1')).compute.servers()).filter(server => metadataOf(server) !== undefined)
const untilGates = (count: number) => eventually(gates, all => all.length === count, 60_000)
const nothingLeft = async () => expect(await inventory(await world.cloud('tenant1'))).toEqual(before)
const done = {status: 0, stderr: expect.stringMatching(/^gate-\w+ \([\d.]+\) is (ready|there already)\n/m)}

it('where a service is named already there is nothing to make', async () => {
  expect(await mine.cli(['init', '--yes'], {OS_SSH_ENDPOINT: 'http://127.0.0.1:9'})).toMatchObject({
    status: 64,
    stderr:
      'error: cloud tenant1 has an SSH service already: http://127.0.0.1:9\n' +
      'hint:  there is nothing to prepare: os-ssh list, os-ssh connect VM\n',
  })
})

it('Ctrl-C while it looks what to make: nothing is made', async () => {
  await lab.put({match: 'GET /compute/v2.1/flavors', delay_ms: 3000})
  const init = mine.start(['init', '--yes'])
  await eventually(
    async () => mine.said('the service has started'),
    count => count > 0,
  )
  await sleep(1000)
  init.interrupt()
  expect(await init.ended).toMatchObject({status: INTERRUPTED})
  await sleep(3000)
  await nothingLeft()
})

it('Ctrl-C while the gate boots: it is said what goes on, and the next init waits for the same gate', async () => {
  const init = mine.start(['init', '--yes'])
  const [server] = await untilGates(1)
  init.interrupt()
  expect(await init.ended).toMatchObject({
    status: INTERRUPTED,
    stderr: expect.stringContaining(
      '\nos-ssh: the service goes on with what has begun: os-ssh init waits for it, os-ssh destroy takes it away\n',
    ),
  })
  expect(await mine.cli(['init', '--yes'])).toMatchObject(done)
  expect((await gates()).map(({id}) => id)).toEqual([server?.id])
})

it('Ctrl-C in the middle of destroy: the gates are going, and the next destroy ends it', async () => {
  await lab.put({match: 'DELETE /network/v2.0/ports/*', delay_ms: 3000})
  const destroy = mine.start(['destroy', '--yes'])
  await untilGates(0)
  destroy.interrupt()
  expect(await destroy.ended).toMatchObject({
    status: INTERRUPTED,
    stderr: expect.stringContaining('\nos-ssh: os-ssh destroy goes on with it\n'),
  })
  for (const words of [
    ['gate', 'list'],
    ['init', '--yes'],
  ])
    expect(await mine.cli(words)).toMatchObject({
      status: 64,
      stderr:
        'error: the gates of this project are being taken away\nhint:  os-ssh destroy goes on with that\n',
    })
  await lab.clear()
  expect(await mine.cli(['destroy', '--yes'])).toMatchObject({status: 0})
  await nothingLeft()
})

it('two at once on one machine make one gate, though the service is killed while it boots', async () => {
  const both = [mine.start(['init', '--yes']), mine.start(['init', '--yes'])]
  const [server] = await untilGates(1)
  process.kill(mine.pid(), 'SIGKILL')
  for (const one of both) expect(await one.ended).toMatchObject(done)
  expect((await gates()).map(({id}) => id)).toEqual([server?.id])
  expect(await mine.cli(['destroy', '--yes'])).toMatchObject({status: 0})
  await nothingLeft()
})

it('killed with its client while the gate boots, the next init ends it', async () => {
  const init = mine.start(['init', '--yes'])
  const [server] = await untilGates(1)
  init.kill()
  process.kill(mine.pid(), 'SIGKILL')
  await init.ended
  expect(await mine.cli(['init', '--yes'])).toMatchObject(done)
  expect((await gates()).map(({id}) => id)).toEqual([server?.id])
  expect(await mine.cli(['destroy', '--yes'])).toMatchObject({status: 0})
  await nothingLeft()
})

it('two at once on two machines: one stays, the other is told whose it is', async () => {
  const home = mkdtempSync('/tmp/os-ssh-e2e-')
  const other = new OwnMachine(world, 'tenant1', home)
  try {
    const answers = await Promise.all([mine, other].map(machine => machine.cli(['init', '--yes'])))
    const [stays, goes] = answers[0]?.status === 0 ? [mine, other] : [other, mine]
    const told = answers.find(({status}) => status !== 0)
    expect(answers.find(({status}) => status === 0)).toMatchObject(done)
    const [server, ...more] = await gates()
    expect(more).toEqual([])
    const {service, by} = metadataOf(server as Server) ?? {}
    const refusal = {
      status: 64,
      stderr: expect.stringContaining(
        `error: this project has gates already: ${server?.name}, of ${by} since ${server?.created}\n` +
          `hint:  ask ${by?.split(' on ')[0]} where their service answers (OS_SSH_ENDPOINT), or for the file of os-ssh service export; ` +
          `gates of your own beside them: os-ssh init --beside; are they left over: os-ssh destroy --service ${service}\n`,
      ),
    }
    expect(told).toMatchObject(refusal)
    expect(await goes.left()).toEqual([])
    expect(await goes.cli(['destroy', '--yes'])).toMatchObject({status: 66})
    // And the next time, before anything is made.
    expect(await goes.cli(['init', '--yes'])).toMatchObject(refusal)
    expect(await goes.left(0)).toEqual([])
    expect(await goes.cli(['init', '--yes', '--beside'])).toMatchObject(done)
    expect(await gates()).toHaveLength(2)
    expect(await goes.cli(['destroy', '--yes'])).toMatchObject({status: 0})
    expect((await gates()).map(({id}) => id)).toEqual([server?.id])
    expect(await stays.cli(['destroy', '--yes'])).toMatchObject({status: 0})
    await nothingLeft()
  } finally {
    for (const pid of other.pids()) process.kill(pid, 'SIGKILL')
    rmSync(home, {recursive: true, force: true})
  }
})
