import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {GateClient} from '../support/gate-client.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/* What somebody takes away while a path is live: a VM, a port of the gate, the gate's plug. */

jest.setTimeout(240_000)

let world: World
beforeAll(async () => {
  // A grace that no test waits for: what goes before it goes for a reason.
  world = await World.open('e2e-taken-away', {flags: ['--grace', '3600']})
})
afterAll(() => world?.close())

const ours = async () =>
  (await (await world.cloud('admin')).network.ports()).filter(port => port.name.startsWith('os-ssh-'))
/** What the VM says through its alias, once it does. */
const answers = (client: GateClient) =>
  eventually(
    () => client.banner(client.alias),
    text => text.startsWith('SSH-'),
    60_000,
  )
const alice = () => `${world.home}/.ssh/id_alice`

it('a VM that is deleted ends its paths, cuts their sessions and frees its network before the grace', async () => {
  const vm = await world.throwaway()
  const grant = await world.grant('tenant1', vm)
  const session = new GateClient(world, grant).vm(alice(), ['sleep', '120'], 120_000)
  await world.surveyed() // paths end when a VM is seen no more, so it must have been seen
  await (await world.cloud('tenant1')).compute.deleteServer(vm)
  const look = () => world.api<{state: string; error?: object}>('tenant1', 'GET', `/v1/paths/${grant.id}`)
  expect(await eventually(look, path => path.state === 'failed', 60_000)).toMatchObject({
    state: 'failed',
    error: {code: 'NOT_FOUND', detail: expect.stringContaining('gone')},
  })
  expect((await session).status).toBe(255)
  expect(await eventually(ours, ports => ports.length === 0)).toEqual([])
})

it('a port of the gate that somebody deletes is made again, and the path goes on', async () => {
  const client = new GateClient(world, await world.grant('tenant1', 't1-db'))
  const [port] = await ours()
  await (await world.cloud('admin')).network.deletePort(port?.id ?? '')
  const again = await eventually(ours, ports => ports.length === 1 && ports[0]?.id !== port?.id, 60_000)
  expect(again).toMatchObject([{name: port?.name}])
  expect(await answers(client)).toMatch(/^SSH-/)
})

it('a port that somebody plugs out is plugged in again', async () => {
  const client = new GateClient(world, await world.grant('tenant1', 't1-db'))
  const [port] = await ours()
  const gate = world.site.gates[0]?.server_id ?? ''
  await (await world.cloud('admin')).compute.detachPort(gate, port?.id ?? '')
  expect(await eventually(ours, ports => ports[0]?.device_id === '')).toMatchObject([
    {id: port?.id, device_id: ''},
  ])
  expect(await eventually(ours, ports => ports[0]?.device_id === gate, 60_000)).toMatchObject([
    {id: port?.id},
  ])
  expect(await answers(client)).toMatch(/^SSH-/)
})

it('a security group is let go of when no path leads to its VMs any more, while others on that network stay', async () => {
  await world.endPaths('tenant1')
  const {network} = await world.cloud('admin')
  const groupsOf = async (server: string) => {
    const [port] = await network.ports({device_id: world.server(server)})
    return port?.security_groups ?? []
  }
  const groups = async () => (await ours())[0]?.security_groups ?? []
  const [open = ''] = await groupsOf('t1-db')
  const [basic = ''] = await groupsOf('t1-default')
  const client = new GateClient(world, await world.grant('tenant1', 't1-default'))
  const grant = await world.grant('tenant1', 't1-db')
  expect(await groups()).toEqual(expect.arrayContaining([open, basic]))

  await world.api('tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
  expect(await eventually(groups, now => !now.includes(open), 60_000)).not.toContain(open)
  expect(await groups()).toContain(basic)
  expect(await answers(client)).toMatch(/^SSH-/)
})
