import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {Gate} from '../../../../src/protocol/index.ts'
import {FleetView, PATIENCE_MS} from '../../../support/fleet-view.ts'
import {GateClient} from '../../../support/gate-client.ts'
import {eventually, run} from '../../../support/run.ts'
import {Wall} from '../../../support/wall.ts'
import {World} from '../../../support/world.ts'

/* A gate that the service has made and that does not answer, though Nova calls it ACTIVE: minutes of silence. */

jest.setTimeout(400_000)

/** Of the configuration, s. */
const SILENCE_S = 30

let world: World
let fleet: FleetView
let config: string
beforeAll(async () => {
  const gates = {automatic: true, scope: 'shared', per_zone: 1, silence: SILENCE_S}
  world = await World.open('e2e-gate-silence', {gate: 'none', gates})
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
describe('a gate that does not answer', () => {
  it('alone: nothing is destroyed, and gate list says why', async () => {
    const gate = await fleet.one()
    const wall = Wall.block(world.site.external_cidr)
    try {
      const why =
        'it does not answer, nor does any other gate: is the way out of the service open? os-ssh gate delete replaces it'
      expect(await fleet.until(({reason}) => reason?.startsWith(why) === true)).toMatchObject({
        ...{id: gate.id, server_id: gate.server_id, state: 'down'},
      })
      expect((await fleet.cli('list', '-f', 'json')).stdout).toContain(why)
    } finally {
      wall.open()
    }
    expect(await becomes(gate, 'ready')).toMatchObject({server_id: gate.server_id})
    expect(await ssh()).toBe(WORKS)
    expect(
      await eventually(
        () => fleet.one(),
        ({reason}) => reason === undefined,
      ),
    ).not.toHaveProperty('reason')
  })

  it('beside one that does: replaced, and sessions through the other one live on', async () => {
    const healthy = await fleet.one()
    const client = new GateClient(world, await world.grant('tenant1', 't1-web'))
    expect(client.grant.gate.id).toBe(healthy.id)
    const lives = ssh('sleep 100 && echo lived')
    const dead = await fleet.deploy()
    const wall = Wall.block(dead.host)
    try {
      await eventually(
        () => fleet.live(),
        gates => !gates.some(({id}) => id === dead.id),
        PATIENCE_MS,
      )
      expect((await fleet.live()).map(({id}) => id)).toContain(healthy.id)
      expect((await fleet.live()).map(({id}) => id)).not.toContain(dead.id)
    } finally {
      wall.open()
    }
    expect(await fleet.until(({id, state}) => id !== healthy.id && state === 'ready')).toMatchObject({
      state: 'ready',
    })
    expect(await lives).toBe('lived\n')
    expect(await fleet.all()).toHaveLength(2)
  })
})

it('nothing is left when they are deleted', async () => {
  await world.endPaths('tenant1')
  expect(await fleet.clear()).toEqual([])
  expect(await fleet.all()).toEqual([])
})
