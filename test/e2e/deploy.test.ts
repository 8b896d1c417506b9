import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {Gate, Path} from '../../src/protocol/index.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {inventory} from '../support/inventory.ts'
import {eventually, run} from '../support/run.ts'
import {World} from '../support/world.ts'

/* Gates that the service makes itself: by an operator's word, for a path that needs one, and in place of one that is gone. */

jest.setTimeout(300_000)

/** What a gate may take on these clouds, ms. */
const PATIENCE_MS = 240_000

let world: World
let before: readonly string[]
let config: string
const key = generateKeyPair('bob').publicKey
beforeAll(async () => {
  const gates = {automatic: true, scope: 'shared', silence: 30, per_zone: 1}
  world = await World.open('e2e-deploy', {gate: 'none', gates})
  before = await inventory(await world.cloud('service'))
  config = `${world.home}/config`
  const {stdout} = await world.cli('tenant1', ['config', '--all'])
  writeFileSync(config, stdout, {mode: 0o600})
}, 180_000)
afterAll(() => world?.close())

const gate = (...words: string[]) => world.cli('service', ['gate', ...words], {timeout: PATIENCE_MS})
const gates = async () => (await world.api<{gates: Gate[]}>('service', 'GET', '/v1/gates')).gates
const ssh = (name: string) =>
  run('ssh', ['-F', config, name, 'uname', '-n'], {env: world.env, timeout: PATIENCE_MS})

/** What becomes of a path that tenant2 asks for, within so many s. */
const asked = (name: string, wait = 0) =>
  world.api<Partial<Path> & {code?: string}>('tenant2', 'POST', `/v1/paths?wait=${wait}`, {
    server_id: world.server(name),
    public_key: key,
  })

/** @throws when there is not exactly one */
async function theGate(): Promise<Gate> {
  const [one, ...more] = (await gates()).filter(({state}) => !['deleting', 'failed'].includes(state))
  if (one === undefined || more.length > 0) throw new Error(JSON.stringify([one, ...more]))
  return one
}

describe('an operator', () => {
  it('is told what would be made, and nothing is', async () => {
    const {stdout, stderr, status} = await gate('deploy', '--dry-run', '-f', 'json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject({
      ...{network: {name: 'gates'}, count: 1},
      address: {kind: 'floating', network: {name: 'public'}},
    })
    expect(await gates()).toEqual([])
    expect(await inventory(await world.cloud('service'))).toEqual(before)
  })

  it('has one made, and a user comes through it to a routed and an isolated VM', async () => {
    const {stdout, stderr, status} = await gate('deploy', '--shared', '-f', 'json')
    expect([status, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toMatchObject([{state: 'ready', scope: 'shared'}])
    expect(await ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
    expect(await ssh('t1-db')).toMatchObject({stdout: 't1-db\n', status: 0})
  })
})

describe('a gate that is', () => {
  it('deleted by Nova is replaced, and the next ssh waits for that', async () => {
    const cloud = await world.cloud('service')
    const old = await theGate()
    await cloud.compute.deleteServer(old.server_id)
    // Whoever is let in until then is cut off in the middle.
    const gone = () => cloud.compute.server(old.server_id).then(Boolean, () => false)
    expect(await eventually(gone, there => !there, 60_000)).toBe(false)
    expect(await ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
    const fresh = await theGate()
    expect([fresh.id === old.id, fresh.state]).toEqual([false, 'ready'])
    // What the dead one leaves behind goes.
    await eventually(gates, all => all.length === 1, 60_000)
  })

  it('drained takes no new paths, and takes them again', async () => {
    const {name} = await theGate()
    expect(await gate('drain', name)).toMatchObject({status: 0})
    expect(await theGate()).toMatchObject({state: 'draining'})
    expect(await ssh('t1-web')).toMatchObject({stdout: 't1-web\n', status: 0})
    // Another path waits for another gate, or is told that there is none.
    const [first, later] = [await asked('t2-web'), await asked('t2-web', 2)]
    for (const path of [first, later]) {
      expect(path.state ?? path.code).toMatch(/^(pending|NO_GATE)$/)
      expect(path.gate?.name).not.toBe(name)
    }
    await world.endPaths('tenant2')
    for (const other of (await gates()).filter(one => one.name !== name))
      expect(await gate('delete', other.id, '--yes')).toMatchObject({status: 0})
    expect(await gate('drain', name, '--undo')).toMatchObject({stderr: `gate ${name} takes new paths\n`})
    expect(await theGate()).toMatchObject({state: 'ready'})
  })

  it('deleted leaves nothing behind', async () => {
    const {name} = await theGate()
    expect(await gate('delete', name, '--yes')).toMatchObject({status: 0, stderr: `gate ${name} is gone\n`})
    expect(await gates()).toEqual([])
    expect(await inventory(await world.cloud('service'))).toEqual(before)
  })
})

describe('a path that finds no gate', () => {
  it('has one made, and waits', async () => {
    const {stdout, status} = await ssh('t1-web')
    expect([status, stdout]).toEqual([0, 't1-web\n'])
    expect(await theGate()).toMatchObject({state: 'ready', deployed: true})
    const {name} = await theGate()
    expect(await gate('delete', name, '--yes')).toMatchObject({status: 0})
    expect(await inventory(await world.cloud('service'))).toEqual(before)
  })
})
