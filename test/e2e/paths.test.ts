import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {GateClient} from '../support/gate-client.ts'
import {eventually} from '../support/run.ts'
import {onOvn} from '../support/site.ts'
import {World} from '../support/world.ts'

/* The service and a real gate, without the CLI: what a path is and does. */

jest.setTimeout(120_000)

let world: World
beforeAll(async () => {
  world = await World.open('e2e-paths', {flags: ['--paths-per-vm', '0']})
})
afterAll(() => world?.close())

const alice = () => `${world.home}/.ssh/id_alice`
const bob = () => `${world.home}/.ssh/id_bob`

describe('paths', () => {
  it.each([
    ['behind a router', 't1-web'],
    ['on another network of that router', 't1-app'],
    ['on a network that no router reaches', 't1-db'],
    ['on an IPv6-only network', 't1-six'],
    ['that only its own default group admits to, on a network of its own', 't1-default'],
    ['that only its own default group admits to, behind a router', 't1-default2'],
  ])('leads to a VM %s', async (_, name) => {
    const grant = await world.grant('tenant1', name)
    expect(grant.host_keys.length).toBeGreaterThan(0)
    const {stdout, stderr, status} = await new GateClient(world, grant).vm(alice(), ['uname', '-n'])
    expect({status, stdout, stderr}).toEqual({status: 0, stdout: `${name}\n`, stderr: ''})
  })

  it('goes through the router to the second network, and reuses the attachment', async () => {
    const [web, app] = [await world.grant('tenant1', 't1-web'), await world.grant('tenant1', 't1-app')]
    expect(new Set([web.route, app.route])).toEqual(new Set(['attached', 'routed']))
  })

  it('keeps two tenants with equal addresses apart', async () => {
    const [one, two] = [await world.grant('tenant1', 't1-db'), await world.grant('tenant2', 't2-db')]
    expect(one.address).toBe(two.address)
    expect(one.gate.id).toBe(two.gate.id)
    const answers = await Promise.all([
      new GateClient(world, one).vm(alice(), ['uname', '-n']),
      new GateClient(world, two).vm(bob(), ['uname', '-n']),
    ])
    expect(answers.map(answer => answer.stdout)).toEqual(['t1-db\n', 't2-db\n'])
  })

  it('answers twenty at once with one attachment', async () => {
    const grants = await Promise.all(Array.from({length: 20}, () => world.grant('tenant1', 't1-web')))
    expect(new Set(grants.map(grant => grant.alias)).size).toBe(20)
    const networks = (await world.attachments()).map(attachment => attachment.network_id)
    expect(new Set(networks).size).toBe(networks.length)
    const [last] = grants.slice(-1)
    if (last) expect((await new GateClient(world, last).vm(alice(), ['true'])).status).toBe(0)
  })
})

it('restarts the gate’s sshd once, for its configuration, and not at every round', async () => {
  const {stdout} = await world.onGate('grep -c "Received SIGHUP" /var/log/sshd.log')
  expect(stdout).toBe('1\n')
})

describe('revocation', () => {
  it('has cut a live session when it is answered, and no other', async () => {
    const [cut, other] = [await world.grant('tenant1', 't1-web'), await world.grant('tenant1', 't1-web')]
    const [cutClient, otherClient] = [new GateClient(world, cut), new GateClient(world, other)]
    const [goes, stays] = [await cutClient.session(alice()), await otherClient.session(alice())]
    expect((await world.onGate(`pgrep -u ${cut.login}`)).status).toBe(0)
    await world.api('tenant1', 'DELETE', `/v1/paths/${cut.id}`, undefined, 204)
    expect(await world.onGate(`pgrep -u ${cut.login}`)).toMatchObject({status: 1, stdout: ''})
    expect(await goes.ended).toBe(255)
    expect(await stays.say('still here')).toBe('still here')
    stays.end()
    expect((await cutClient.vm(alice(), ['true'])).status).toBe(255)
  })

  it('lets go of networks after the grace', async () => {
    await world.stopService()
    await world.startService('service', ['--max-life', '60', '--grace', '1'])
    await world.endPaths('tenant1')
    await world.endPaths('tenant2')
    await nothingLeft()
  })
})

// It takes a minute, and no back end makes a difference.
const once = onOvn ? it.skip : it
once('a path ends by itself at its time, with its session, and its network goes', async () => {
  // A minute is the shortest life.
  const grant = await world.grant('tenant1', 't1-web')
  const until = Date.parse(grant.expires_at)
  const session = await new GateClient(world, grant).session(alice())
  expect(await session.ended).toBe(255)
  expect(Date.now()).toBeGreaterThanOrEqual(until)
  expect(Date.now()).toBeLessThan(until + 10_000)
  expect((await world.paths('tenant1')).map(({id}) => id)).not.toContain(grant.id)
  await nothingLeft()
})

async function nothingLeft(): Promise<void> {
  const listing = () => world.attachments()
  expect(await eventually(listing, attachments => attachments.length === 0)).toEqual([])
  const cloud = await world.cloud('admin')
  expect((await cloud.network.ports()).filter(port => port.name.startsWith('os-ssh-'))).toEqual([])
}
