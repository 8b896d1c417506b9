import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import type {PathGrant} from '../../src/protocol/index.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {GateClient} from '../support/gate-client.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/* kill -9 of the service while it makes a path, earlier and later: the next start finishes or removes everything. */

jest.setTimeout(300_000)

let world: World
const flags = ['--grace', '1', '--max-life', '3600']
beforeAll(async () => {
  world = await World.open('e2e-crash', {flags})
})
afterAll(() => world?.close())

const onGate = async (command: string) => (await world.onGate(command)).stdout.trim()

/** Everything that a path leaves anywhere. */
async function traces() {
  const cloud = await world.cloud('admin')
  const gate = world.site.gates[0]
  const ports = await cloud.network.ports()
  return {
    ports: ports.filter(port => port.name.startsWith('os-ssh-')).map(port => port.name),
    interfaces: (await cloud.compute.interfaces(gate?.server_id ?? '')).length,
    attachments: (await world.attachments()).length,
    namespaces: await onGate('ls /run/netns'),
    links: await onGate('ls /sys/class/net'),
    principals: await onGate('ls /etc/os-ssh/principals'),
  }
}
const clean = {ports: [], interfaces: 1, attachments: 0, namespaces: '', links: 'eth0\nlo', principals: ''}

// ms after the request; a grant on a new network takes some 400 ms, so these fall into its steps
const MOMENTS = [5, 20, 40, 60, 80, 110, 150, 200, 260, 330, 400, 500]

async function killAfter(ms: number): Promise<object> {
  const body = {server_id: world.server('t1-db'), public_key: generateKeyPair('alice').publicKey}
  const asked = world.api('tenant1', 'POST', '/v1/paths', body).catch(() => undefined)
  await new Promise(resolve => setTimeout(resolve, ms))
  await world.stopService('SIGKILL')
  await asked
  await world.startService('service', flags)
  return body
}

async function nothingLeft(): Promise<void> {
  expect(await eventually(traces, found => JSON.stringify(found) === JSON.stringify(clean))).toEqual(clean)
}

it.each(MOMENTS)(
  'kill -9 after %i ms leaves nothing behind that whoever asks again would trip over',
  async ms => {
    const body = await killAfter(ms)
    // What was begun is finished, so the same request now gets an answer that works …
    const grant = await world.api<PathGrant>('tenant1', 'POST', '/v1/paths', body, 201)
    expect(grant.state).toBe('active')
    // … and when it is given back, nothing is left.
    await world.api('tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
    await nothingLeft()
  },
)

it.each(MOMENTS)(
  'kill -9 after %i ms: a path is finished though nobody asks again, or was never begun',
  async ms => {
    await killAfter(ms)
    const settled = await eventually(
      () => world.paths('tenant1'),
      paths => paths.every(({state}) => state === 'active'),
    )
    expect(settled.map(({state}) => state)).toEqual(settled.map(() => 'active'))
    expect(settled.length).toBeLessThanOrEqual(1)
    for (const {alias} of settled)
      expect((await world.onGate(`timeout 3 bash -c 'head -c 4 </dev/tcp/${alias}/22'`)).stdout).toBe('SSH-')
    await world.endPaths('tenant1')
    await nothingLeft()
  },
)

it('a gate that lost everything is healed by the next round', async () => {
  const grant = await world.grant('tenant1', 't1-web')
  const client = new GateClient(world, grant)
  await onGate(
    'for n in /run/netns/os-ssh-*; do ip netns exec ${n##*/} nft flush ruleset; done; nft flush ruleset; rm -f /etc/os-ssh/principals/*',
  )
  expect(await client.banner(client.alias)).not.toMatch(/^SSH-/)
  await world.stopService('SIGKILL')
  await world.startService('service', flags)
  expect(
    await eventually(
      () => client.banner(client.alias),
      text => text.startsWith('SSH-'),
    ),
  ).toMatch(/^SSH-/)
})
