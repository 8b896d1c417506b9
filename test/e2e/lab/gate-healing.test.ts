import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {Gate} from '../../../src/protocol/index.ts'
import {later} from '../../support/evidence.ts'
import {FleetView, PATIENCE_MS} from '../../support/fleet-view.ts'
import {act} from '../../support/nova.ts'
import {eventually, run} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* What becomes of a gate that the service has made when somebody does something to it: it is mended, or another one takes its place. */

jest.setTimeout(400_000)

/** Of the configuration, s. */
const SILENCE_S = 30

let world: World
let fleet: FleetView
let config: string
beforeAll(async () => {
  const gates = {automatic: true, scope: 'shared', per_zone: 1, silence: SILENCE_S}
  world = await World.open('e2e-gate-healing', {gate: 'none', gates})
  fleet = await FleetView.open(world)
  config = `${world.home}/config`
  writeFileSync(config, (await world.cli('tenant1', ['config', '--all'])).stdout, {mode: 0o600})
  await fleet.deploy()
}, 300_000)
afterAll(() => world?.close())

/** What the user's ssh prints, and, when it fails, why. */
const ssh = async (...words: string[]) => {
  const {status, stdout, stderr} = await tried(...words)
  return status === 0 ? stdout : stderr
}
const tried = (...words: string[]) =>
  run('ssh', ['-F', config, 't1-web', ...(words.length > 0 ? words : ['uname', '-n'])], {
    env: world.env,
    timeout: PATIENCE_MS,
  })
const WORKS = 't1-web\n'

/** Waits for its state as the operator sees it. */
const becomes = ({id}: Gate, ...states: Gate['state'][]) =>
  fleet.until(gate => gate.id === id && states.includes(gate.state))
/** Waits for another gate in its place, and for what was there to be gone. */
async function replaced(old: Gate): Promise<Gate> {
  await fleet.until(gate => gate.id !== old.id && gate.state === 'ready')
  await eventually(
    () => fleet.all(),
    gates => gates.length === 1,
    PATIENCE_MS,
  )
  const fresh = await fleet.one()
  expect([fresh.id === old.id, fresh.server_id === old.server_id, fresh.state]).toEqual([
    false,
    false,
    'ready',
  ])
  return fresh
}

const service = () => world.cloud('service')
async function portOf({server_id}: Gate) {
  const ports = await (await service()).network.ports({device_id: server_id})
  // Not those by which it is in the tenants' networks.
  return ports.find(({description}) => description?.startsWith('os-ssh gate '))?.id ?? ''
}
async function floatingOf({host}: Gate) {
  const all = await (await service()).network.floatingIps({})
  return all.find(one => one.floating_ip_address === host)?.id ?? ''
}

describe('the same gate comes back', () => {
  it('stopped', async () => {
    const gate = await fleet.one()
    const cloud = await service()
    await act(world, 'service', gate.server_id, {'os-stop': null}, 'SHUTOFF')
    expect(await ssh()).toBe(WORKS)
    expect(await becomes(gate, 'ready')).toMatchObject({server_id: gate.server_id, host: gate.host})
    expect(await cloud.compute.server(gate.server_id)).toMatchObject({status: 'ACTIVE'})
  })

  it('rebooted', async () => {
    const gate = await fleet.one()
    await act(world, 'service', gate.server_id, {reboot: {type: 'HARD'}})
    expect(await ssh()).toBe(WORKS)
    expect(await becomes(gate, 'ready')).toMatchObject({server_id: gate.server_id, host: gate.host})
  })

  it('its floating IP deleted: it has another one', async () => {
    const gate = await fleet.one()
    await (await service()).network.deleteFloatingIp(await floatingOf(gate))
    expect(await ssh()).toBe(WORKS)
    const now = await fleet.until(one => one.id === gate.id && one.state === 'ready')
    expect(now).toMatchObject({server_id: gate.server_id})
    expect(await floatingOf(now as Gate)).not.toBe('')
  })

  it('its floating IP taken away, and its group, too', async () => {
    const gate = await fleet.one()
    const {network} = await service()
    const [port, floating] = [await portOf(gate), await floatingOf(gate)]
    await network.updateFloatingIp(floating, {port_id: null})
    await network.updatePort(port, {security_groups: []})
    expect(await ssh()).toBe(WORKS)
    expect(await becomes(gate, 'ready')).toMatchObject({server_id: gate.server_id, host: gate.host})
    expect((await network.ports({id: port}))[0]?.security_groups).toHaveLength(1)
  })
})

describe('another one takes its place', () => {
  later(() => {
    it('its port deleted', async () => {
      const gate = await fleet.one()
      await (await service()).network.deletePort(await portOf(gate))
      expect(await ssh()).toBe(WORKS)
      await replaced(gate)
    })
  })

  it('in ERROR', async () => {
    const gate = await fleet.one()
    await act(world, 'admin', gate.server_id, {'os-resetState': {state: 'error'}}, 'ERROR')
    const fresh = await replaced(gate)
    expect(await ssh()).toBe(WORKS)
    expect(fresh.reason).toBeUndefined()
  })

  later(() => {
    it('rebuilt by somebody: it is no gate any more', async () => {
      const gate = await fleet.one()
      const cloud = await service()
      const {image} = await cloud.compute.server(gate.server_id)
      await act(world, 'service', gate.server_id, {rebuild: {imageRef: (image as {id: string}).id}})
      await replaced(gate)
      expect(await ssh()).toBe(WORKS)
    })
  })
})

describe('a gate that does not answer', () => {
  it('because its disk is full: it says so', async () => {
    const gate = await fleet.one()
    const full =
      'mount -t tmpfs -o size=16k tmpfs /etc/os-ssh/principals; head -c 1M /dev/zero >/etc/os-ssh/principals/.full'
    await world.onGate(full, gate.host)
    await world.endPaths('tenant1')
    const {detail} = await world.refusal('tenant1', world.server('t1-web'))
    expect(detail).toMatch(/^the gate could not be configured: .*I\/O error/)
    await world.onGate('umount /etc/os-ssh/principals', gate.host)
    expect(await becomes(gate, 'ready')).toMatchObject({server_id: gate.server_id})
    expect(await ssh()).toBe(WORKS)
  })
})

it('nothing is left when they are deleted', async () => {
  await world.endPaths('tenant1')
  expect(await fleet.clear()).toEqual([])
  // A row goes after what it is about has gone from the cloud.
  const none = await eventually(
    () => fleet.all(),
    gates => gates.length === 0,
    PATIENCE_MS,
  )
  expect(none).toEqual([])
})
