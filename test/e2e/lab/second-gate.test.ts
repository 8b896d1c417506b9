import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {rootLogin} from '../../../lab/tenants.ts'
import {some} from '../../support/evidence.ts'
import {act} from '../../support/nova.ts'
import {eventually, type Result, run} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* A gate that dies for good: the next ssh goes by the other one, and its user does nothing for that. */

jest.setTimeout(300_000)

const LAB = 'e2e-second-gate'
/** As long as a user waits for ssh at most, ms. */
const PATIENCE_MS = 60_000

interface Gate {
  readonly server_id: string
  readonly name: string
  readonly host: string
}

let world: World
let config: string
const gates: Gate[] = []
beforeAll(async () => {
  world = await World.open(LAB)
  gates.push(world.site.gates[0] as Gate)
  config = `${world.home}/config`
  const {stdout} = await world.cli('tenant1', ['config', '--all'])
  writeFileSync(config, stdout, {mode: 0o600})
}, 120_000)
afterAll(() => world?.close())

/** What the user's ssh says, and how long it took, ms. */
async function timed(program: () => Promise<Result>): Promise<Result & {ms: number}> {
  const begun = Date.now()
  const result = await program()
  return {...result, ms: Date.now() - begun}
}
const late = {env: {}, timeout: 2 * PATIENCE_MS}
const ssh = (name: string) =>
  timed(() => run('ssh', ['-F', config, name, 'uname', '-n'], {...late, env: world.env}))
const connect = (name: string) =>
  timed(() => world.cli('tenant1', ['connect', name, '--', 'uname', '-n'], late))

/** The gate by which alice's path to that VM leads. */
async function gateTo(name: string): Promise<Gate> {
  const path = (await world.paths('tenant1')).find(one => one.server_id === world.server(name))
  const gate = gates.find(one => one.name === path?.gate.name)
  if (gate === undefined) throw new Error(`no gate leads to ${name}: ${JSON.stringify(path)}`)
  return gate
}

/** Of the lab's own making: a netns is reached where the gate's sshd is not. */
const inGate = ({server_id}: Gate, ...command: string[]) =>
  run('ip', ['netns', 'exec', `oslab-${LAB}-vm-${server_id.slice(0, 8)}`, ...command])

/** Ways to die. The guest has process ids of its own: what is killed is in there. */
const deaths: Readonly<Record<string, (gate: Gate) => Promise<unknown>>> = {
  'refuses connections': gate => world.onGate('kill -9 $(pidof sshd sshd-session sshd-auth)', gate.host),
  'is silent': gate =>
    inGate(
      gate,
      'nft',
      'table inet dead { chain in { type filter hook input priority -400; policy drop; }; chain out { type filter hook output priority -400; policy drop; }; }',
    ),
  'is off': async ({server_id}) => {
    const cloud = await world.cloud('service')
    const answer = await fetch(`${await cloud.endpoint('compute')}/servers/${server_id}/action`, {
      method: 'POST',
      headers: {'x-auth-token': await world.token('service'), 'content-type': 'application/json'},
      body: JSON.stringify({'os-stop': null}),
    })
    expect(answer.status).toBe(202)
    await eventually(
      async () => (await cloud.compute.server(server_id)).status,
      status => status === 'SHUTOFF',
    )
  },
}

/** For the next test. */
async function revive(gate: Gate): Promise<void> {
  const {status} = await (await world.cloud('service')).compute.server(gate.server_id)
  await act(
    world,
    'service',
    gate.server_id,
    status === 'SHUTOFF' ? {'os-start': null} : {reboot: {type: 'HARD'}},
  )
  type Listing = {gates: {name: string; state: string}[]}
  const states = async () =>
    (await world.api<Listing>('service', 'GET', '/v1/gates')).gates.map(one => `${one.name} ${one.state}`)
  const ready = gates.map(one => `${one.name} ready`).sort()
  expect((await eventually(states, all => all.sort().join() === ready.join(), PATIENCE_MS)).sort()).toEqual(
    ready,
  )
}

/** One more shared gate, as an operator boots one. */
async function bootGate(name: string): Promise<Gate> {
  const [admin, service] = [await world.cloud('admin'), await world.cloud('service')]
  const project_id = (await service.identity.token()).project?.id ?? ''
  const [network] = await admin.network.networks({name: 'public'})
  const groups = await service.network.securityGroups({project_id, name: 'open'})
  const port = await admin.network.createPort({
    ...{network_id: network?.id ?? '', project_id, name},
    security_groups: groups.map(group => group.id),
  })
  const [image] = await service.image.images({name: 'debian-12'})
  const {id: server_id} = await service.compute.createServer({
    ...{name, imageRef: image?.id, flavorRef: '1', key_name: 'management', user_data: rootLogin},
    networks: [{port: port.id}],
  })
  await eventually(
    () => service.compute.server(server_id),
    server => server.status === 'ACTIVE',
    PATIENCE_MS,
  )
  const gate = {server_id, name, host: port.fixed_ips[0]?.ip_address ?? ''}
  await world.api('service', 'POST', '/v1/gates', {...gate, scope: 'shared'}, 201)
  return gate
}

/** What ssh says of a gate that has died so, without another one. */
const REASONS: Readonly<Record<string, RegExp>> = {
  'refuses connections': /Connection refused/,
  'is silent': /Connection timed out/,
  'is off': /Connection timed out|No route to host/,
}

/** What os-ssh says of it where a path is to be made. */
const TOLD =
  /^error: the gate of this project does not answer \(request req-[\w-]+\)\nhint: {2}the gate does not answer; the service goes on trying\n$/

describe.each(some(Object.keys(deaths)))('the only gate %s', death => {
  it('and the user is told so', async () => {
    const gate = gates[0] as Gate
    expect(await connect('t1-web')).toMatchObject({status: 0, stdout: 't1-web\n'})
    await deaths[death]?.(gate)
    try {
      // A path that there is, and one that there is not.
      const [old, none] = [await ssh('t1-web'), await connect('t1-db')]
      expect(none).toMatchObject({
        ...{status: 75, stdout: ''},
        stderr: expect.stringMatching(TOLD),
      })
      expect(old).toMatchObject({
        ...{status: 255, stdout: ''},
        stderr: expect.stringMatching(`^os-ssh: no way through the gate: .*(${REASONS[death]?.source})`),
      })
      expect(Math.max(old.ms, none.ms)).toBeLessThan(PATIENCE_MS)
    } finally {
      await revive(gate)
    }
    expect(await ssh('t1-web')).toMatchObject({status: 0, stdout: 't1-web\n'})
  })
})

describe('with a second gate', () => {
  beforeAll(async () => {
    gates.push(await bootGate('gate2'))
  }, 120_000)

  it.each(some(Object.keys(deaths), 2))('the next ssh goes by that one when the first %s', async death => {
    expect(await connect('t1-web')).toMatchObject({status: 0, stdout: 't1-web\n'})
    const gate = await gateTo('t1-web')
    await deaths[death]?.(gate)
    try {
      const next = await ssh('t1-web')
      expect(next).toMatchObject({status: 0, stdout: 't1-web\n', stderr: ''})
      expect(next.ms).toBeLessThan(PATIENCE_MS)
      expect((await gateTo('t1-web')).name).not.toBe(gate.name)
      // It is known now: nobody waits again, for this VM or a new one.
      const later = [await connect('t1-web'), await ssh('t1-db')]
      expect(later).toMatchObject([
        {status: 0, stdout: 't1-web\n'},
        {status: 0, stdout: 't1-db\n'},
      ])
      expect(Math.max(...later.map(one => one.ms))).toBeLessThan(20_000)
    } finally {
      await revive(gate)
    }
  })
})
