import {writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {OpenStack, Port} from '../../../../src/openstack/index.ts'
import type {Gate} from '../../../../src/protocol/index.ts'
import {isOfGate} from '../../../../src/service/marks.ts'
import {Asked, documented} from '../../../openstack/asked.ts'
import {login} from '../../../openstack/identity.ts'
import type {Rest} from '../../../openstack/rest.ts'
import {inventory} from '../../../support/inventory.ts'
import {act} from '../../../support/nova.ts'
import {eventually, run} from '../../../support/run.ts'
import {World} from '../../../support/world.ts'

/* What becomes of the gates that the service makes when the real Nova and Neutron, or their users, take something from them. */

jest.setTimeout(240_000)

/** What a gate may take until it is there or there again, ms. */
const PATIENCE_MS = 150_000

let world: World
let asked: Asked
/** Who takes things away: what the service's account asks for is counted. */
let admin: Rest
/** The service's own account, to look. */
let cloud: OpenStack
let infra: string
let before: readonly string[]
let config: string
let hugeFlavor: string
beforeAll(async () => {
  const gates = {automatic: true, scope: 'shared', per_zone: 1, silence: 30}
  world = await World.open('openstack-gates', {gate: 'none', gates})
  asked = new Asked()
  admin = await login('admin')
  cloud = await world.cloud('service')
  infra = (await cloud.identity.token()).project?.id ?? ''
  before = await inventory(cloud)
  config = `${world.home}/config`
  writeFileSync(config, (await world.cli('tenant1', ['config', '--all'])).stdout, {mode: 0o600})
  // Disk is in no quota of Nova's: a plan does not see that there is no host for it.
  const huge = {name: `no-host-${Date.now()}`, vcpus: 1, ram: 512, disk: 1_000_000}
  hugeFlavor = (await admin.nova('POST', 'flavors', {flavor: huge})).flavor.id
}, 120_000)
afterAll(async () => {
  if (hugeFlavor) await admin.nova('DELETE', `flavors/${hugeFlavor}`)
  if (infra) await admin.nova('DELETE', `os-quota-sets/${infra}`)
  await world?.close()
})

const gate = (...words: string[]) => world.cli('service', ['gate', ...words], {timeout: PATIENCE_MS})
const gates = async () => (await world.api<{gates: Gate[]}>('service', 'GET', '/v1/gates')).gates
const named = async (name: string) => (await gates()).find(one => one.name === name)

/** @throws when there is not exactly one that is not on its way out */
async function theGate(): Promise<Gate> {
  const [one, ...more] = (await gates()).filter(({state}) => !['deleting', 'failed'].includes(state))
  if (one === undefined || more.length > 0) throw new Error(JSON.stringify([one, ...more]))
  return one
}

/** A user comes to the VM, as long as the gate may take here. */
async function works(): Promise<void> {
  const words = ['-F', config, '-o', `ConnectTimeout=${PATIENCE_MS / 1000}`, 't1-web', 'uname', '-n']
  const {stdout, stderr, status} = await run('ssh', words, {env: world.env, timeout: PATIENCE_MS})
  expect({status, stdout, ...(status !== 0 && {stderr})}).toEqual({status: 0, stdout: 't1-web\n'})
}

/** The port by which a gate of ours is reached, as soon as there is one. */
async function thePort(): Promise<Port> {
  const ports = async () => (await cloud.network.ports({project_id: infra})).filter(isOfGate)
  const [port] = await eventually(ports, found => found.length > 0, 60_000)
  if (port === undefined) throw new Error('there is no port of a gate')
  return port
}

const serverOfOurs = async () =>
  (await cloud.compute.servers({name: '^os-ssh-'})).filter(one => one.status !== 'DELETED')[0]

/** Nothing of a gate is left. */
async function leavesNothing(): Promise<void> {
  const found = await eventually(
    () => inventory(cloud),
    now => JSON.stringify(now) === JSON.stringify(before),
    120_000,
  )
  expect(found).toEqual(before)
}

describe('a gate that cannot be made', () => {
  it('for a quota that is used up in the middle leaves nothing, and the operator is told', async () => {
    const deploying = gate('deploy', '--shared')
    await thePort()
    // The plan was made when there was room for it.
    world.service.signal('SIGSTOP')
    const instances = (await cloud.compute.servers()).length
    await admin.nova('PUT', `os-quota-sets/${infra}`, {quota_set: {instances}})
    world.service.signal('SIGCONT')
    const {status, stderr} = await deploying
    await admin.nova('DELETE', `os-quota-sets/${infra}`)
    expect({status, stderr}).toEqual({status: 75, stderr: expect.stringContaining('Quota exceeded')})
    await leavesNothing()
  })

  it('for Nova’s ERROR is told with its fault, and two of them leave nothing', async () => {
    const {status, stderr} = await gate('deploy', '--shared', '--count', '2', '--flavor', hugeFlavor)
    expect({status, stderr}).toEqual({
      status: 75,
      stderr: expect.stringContaining('Nova says: No valid host was found.'),
    })
    await leavesNothing()
  })
})

describe('the service, killed', () => {
  it('after the port, after the server, and while it boots, makes one gate', async () => {
    const body = {scope: 'shared'}
    await world.api('service', 'POST', '/v1/gates/deploy', body, 202)
    const kill = async () => {
      await world.stopService('SIGKILL')
      await world.startService('service')
    }
    const port = await thePort()
    await kill()
    const server = await eventually(serverOfOurs, Boolean, 60_000)
    await kill()
    await eventually(serverOfOurs, one => one?.status === 'ACTIVE', 60_000)
    await kill()
    const {state, server_id} = await eventually(theGate, one => one.state === 'ready', 120_000)
    expect([state, server_id]).toEqual(['ready', server?.id])
    expect(await thePort()).toMatchObject({id: port.id, device_id: server_id})
    const ours = (await inventory(cloud)).filter(one => !before.includes(one))
    expect(ours.map(one => one.replace(/ (os-ssh-|\d).*/, ''))).toEqual([
      'floating IP',
      'group',
      'port',
      'server',
    ])
    await works()
  })
})

describe('a gate that is', () => {
  let gone: Gate
  it('stopped is started', async () => {
    gone = await theGate()
    await admin.nova('POST', `servers/${gone.server_id}/action`, {'os-stop': null})
    // Whoever is let in until that is noticed is cut off in the middle.
    expect(await eventually(theGate, ({state}) => state === 'down', 60_000)).toMatchObject({state: 'down'})
    await works()
    expect(await theGate()).toMatchObject({id: gone.id, state: 'ready'})
  })

  it('rebooted comes back', async () => {
    await act(world, 'admin', gone.server_id, {reboot: {type: 'HARD'}})
    // Who comes when its sshd is up again and the service has told it nothing yet is refused, once.
    await works().catch(works)
    expect(await theGate()).toMatchObject({id: gone.id, state: 'ready'})
  })

  it('without its floating IP gets it back, or another one', async () => {
    const ofGate = async () => (await cloud.network.floatingIps({port_id: (await thePort()).id}))[0]
    const old = await ofGate()
    await admin.neutron('PUT', `floatingips/${old?.id}`, {floatingip: {port_id: null}})
    expect(await eventually(ofGate, Boolean, 60_000)).toMatchObject({id: old?.id})
    await works()
    await admin.neutron('DELETE', `floatingips/${old?.id}`)
    const fresh = await eventually(ofGate, now => now !== undefined && now.id !== old?.id, 60_000)
    expect(fresh?.id === old?.id).toBe(false)
    await works()
    expect(await theGate()).toMatchObject({id: gone.id, state: 'ready', host: fresh?.floating_ip_address})
  })

  it('out of its security group is put back, and what somebody has added to that goes', async () => {
    const {id, security_groups} = await thePort()
    const [security_group_id = ''] = security_groups
    const to = {security_group_id, direction: 'ingress', ethertype: 'IPv4'} as const
    await cloud.network.createSecurityGroupRule({
      ...{...to, protocol: 'tcp', port_range_min: 80, port_range_max: 80},
    })
    await admin.neutron('PUT', `ports/${id}`, {port: {security_groups: []}})
    const groups = async () => (await thePort()).security_groups
    expect(await eventually(groups, now => now.length > 0, 60_000)).toEqual(security_groups)
    const [group] = await cloud.network.securityGroups({id: security_group_id})
    expect(group?.security_group_rules.map(one => one.port_range_min)).not.toContain(80)
    await works()
    expect(await theGate()).toMatchObject({id: gone.id, state: 'ready'})
  })

  it('without its port is replaced', async () => {
    await admin.neutron('DELETE', `ports/${(await thePort()).id}`)
    expect(await eventually(theGate, ({id}) => id !== gone.id, 60_000)).not.toMatchObject({id: gone.id})
    await works()
    const fresh = await theGate()
    expect([fresh.id === gone.id, fresh.state]).toEqual([false, 'ready'])
    gone = fresh
  })

  it('rebuilt is replaced: it shows the key of its boot data, which others may know by now', async () => {
    const [image] = await cloud.image.images({name: 'debian-12'})
    await act(world, 'admin', gone.server_id, {rebuild: {imageRef: image?.id}})
    expect(await eventually(theGate, ({id}) => id !== gone.id, 60_000)).not.toMatchObject({id: gone.id})
    await works()
    expect(await theGate()).toMatchObject({state: 'ready'})
    await eventually(gates, all => !all.some(({id}) => id === gone.id), 60_000)
    expect((await gates()).map(({id}) => id)).not.toContain(gone.id)
  })

  it('deleted leaves nothing behind', async () => {
    const {name} = await theGate()
    expect(await gate('delete', name, '--yes')).toMatchObject({status: 0})
    expect(await named(name)).toBeUndefined()
    await leavesNothing()
  })
})

it('asks for what is documented, and for nothing else', async () => {
  const {userId} = await login('service')
  for (const service of ['Glance', 'Nova', 'Neutron'] as const) {
    const making = documented('### Where it makes gates itself', service)
    const usual = documented('## Exactly these calls', service)
    const calls = asked.of(service, userId)
    expect(calls.filter(call => !usual.includes(call))).toEqual(making.filter(call => !usual.includes(call)))
  }
})
