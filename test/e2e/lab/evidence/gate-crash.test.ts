import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {Gate, Path} from '../../../../src/protocol/index.ts'
import {generateKeyPair} from '../../../../src/ssh/keys.ts'
import {FleetView, PATIENCE_MS} from '../../../support/fleet-view.ts'
import {LabFaults} from '../../../support/lab-faults.ts'
import {type Postgres, startPostgres} from '../../../support/postgres.ts'
import {eventually} from '../../../support/run.ts'
import type {ServiceProcess} from '../../../support/service.ts'
import {World} from '../../../support/world.ts'

/* kill -9 of the service while it makes a gate or deletes it, and two of them at once: there is one gate, then none. */

jest.setTimeout(400_000)

/** What a gate is made of, as the inventory names it. */
const PARTS = ['floating', 'group', 'port', 'server']

let world: World
let fleet: FleetView
/** What there is for gates, but for the ports by which they are in tenants' networks. */
const parts = async () =>
  (await fleet.left(0)).flatMap(line => (/^port os-ssh-[0-9a-f-]{36} /.test(line) ? [] : line.split(' ')[0]))
/** Asks for a gate without waiting for it. */
const want = () => world.api('service', 'POST', '/v1/gates/deploy', {scope: 'shared'}, 202)

async function expectOne(): Promise<Gate> {
  await fleet.until(({state}) => state === 'ready')
  const gates = await fleet.all()
  expect(gates).toMatchObject([{state: 'ready'}])
  expect(await parts()).toEqual(PARTS)
  return gates[0] as Gate
}

describe('kill -9', () => {
  let lab: LabFaults
  beforeAll(async () => {
    world = await World.open('e2e-gate-crash', {gate: 'none', gates: {max: 2}})
    lab = new LabFaults(world)
    fleet = await FleetView.open(world)
  }, 180_000)
  afterAll(() => world?.close())

  /** Kills the service while the cloud is still at this call, which it then carries out, and starts another one. */
  async function killAt(call: string, doing: () => Promise<unknown>): Promise<void> {
    await lab.put({match: call, delay_ms: 700, times: 1})
    await doing()
    expect(await eventually(() => lab.met(), Boolean, PATIENCE_MS)).toBe(true)
    await restart()
    await lab.clear()
  }

  async function restart(): Promise<void> {
    await world.stopService('SIGKILL')
    await world.startService('service')
  }

  it.each([
    ['POST /network/v2.0/security-groups', 'DELETE /compute/v2.1/servers'],
    ['POST /network/v2.0/security-group-rules', 'DELETE /network/v2.0/floatingips'],
    ['POST /network/v2.0/ports', 'DELETE /network/v2.0/ports'],
    ['POST /network/v2.0/floatingips', 'DELETE /network/v2.0/security-groups'],
    ['POST /compute/v2.1/servers', 'GET /compute/v2.1/servers'],
  ])('at %s, and then at %s', async (make, remove) => {
    await killAt(make, want)
    const {id} = await expectOne()
    await killAt(remove, () => world.api('service', 'DELETE', `/v1/gates/${id}`, undefined, 202))
    expect(
      await eventually(
        () => fleet.all(),
        gates => gates.length === 0,
        PATIENCE_MS,
      ),
    ).toEqual([])
    expect(await fleet.left()).toEqual([])
  })

  it('while it boots, and at the first contact', async () => {
    await want()
    await fleet.until(({state}) => state === 'booting')
    await restart()
    const cloud = await world.cloud('service')
    const server = () => fleet.all().then(([gate]) => cloud.compute.server(gate?.server_id ?? ''))
    await eventually(server, ({status}) => status === 'ACTIVE', PATIENCE_MS)
    for (let n = 0; n < 3; n++) {
      await restart()
      // The key is exchanged within some hundred of these.
      await new Promise(resolve => setTimeout(resolve, 300 * (n + 1)))
    }
    await expectOne()
    expect(await fleet.clear()).toEqual([])
  })
})

describe('two replicas', () => {
  let postgres: Postgres
  let other: ServiceProcess
  let token: string
  beforeAll(async () => {
    postgres = startPostgres()
    const gates = {automatic: true, scope: 'shared', per_zone: 1}
    world = await World.open('e2e-gate-pair', {gate: 'none', gates, flags: ['--database', postgres.url]})
    other = await world.startReplica()
    token = await world.token('tenant1')
    fleet = await FleetView.open(world)
  }, 180_000)
  afterAll(async () => {
    await world?.close()
    postgres?.stop()
  })

  const ask = (at: ServiceProcess, vm: string) =>
    at.ask<Path>(token, 'POST', '/v1/paths', {
      body: {server_id: world.server(vm), public_key: generateKeyPair('alice').publicKey},
    })

  it('that are asked for paths at the same moment make one gate', async () => {
    const both = [world.service, other]
    const asked = both.flatMap(at => ['t1-web', 't1-app', 't1-db'].map(vm => ask(at, vm)))
    // Made, or still on its way when the time of the request is over.
    for (const {status} of await Promise.all(asked)) expect([201, 202]).toContain(status)
    await expectOne()
    for (const at of both) expect(await ask(at, 't1-web')).toMatchObject({status: 201})
  })

  it('of which one dies in the middle: the other one goes on', async () => {
    await world.endPaths('tenant1')
    expect(await fleet.clear()).toEqual([])
    const asked = ask(other, 't1-web')
    const dying = ask(world.service, 't1-web').catch(() => undefined)
    await fleet.until(({state}) => state === 'booting')
    // It was alone at the beginning, so that gates were its to make.
    await world.stopService('SIGKILL')
    await dying
    expect([201, 202]).toContain((await asked).status)
    await world.service.start()
    await expectOne()
    expect(await ask(other, 't1-web')).toMatchObject({status: 201})
    await world.endPaths('tenant1')
    expect(await fleet.clear()).toEqual([])
  })
})
