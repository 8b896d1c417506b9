import {afterAll, afterEach, beforeAll, expect, it, jest} from '@jest/globals'

import {namespaceOf} from '../../../../src/localgw/names.ts'
import {inNode} from '../../../openstack/processes.ts'
import {gateway, helper, migrate, OtherNetwork, snatLog} from '../../../support/localgw-changes.ts'
import {LocalGatewayCloud, type Vm} from '../../../support/localgw-cloud.ts'
import type {Agent, Host} from '../../../support/localgw-node.ts'
import {eventually} from '../../../support/run.ts'

/* What tenants and operators change while a local gateway works, on ML2/OVS. For `npm run evidence`. */

jest.setTimeout(600_000)

const HOST = 'compute1'
let cloud: LocalGatewayCloud
let vm: Vm
let central: string
beforeAll(async () => {
  cloud = await LocalGatewayCloud.open()
  const [one] = await cloud.boot('a', HOST, '10.20.0.11')
  vm = one as Vm
  central = await cloud.central('a')
  await comes(central)
  await cloud.listen()
})
afterAll(async () => {
  await cloud?.close()
})

let agents: Agent[] = []
afterEach(async () => {
  for (const agent of agents) await agent.end()
  agents = []
})

const comes = (address: string | undefined, ms = 60_000) =>
  eventually(
    () => cloud.seen(vm),
    seen => seen === address,
    ms,
  )
const start = (host: Host = HOST) => {
  const agent = cloud.agent(host, '--mode', 'per-router', '--grace', '2')
  agents.push(agent)
  return agent
}
/** The legs of our router on a node; others have theirs there, too. */
const legs = async (host: Host) => (await cloud.legs(host)).filter(leg => leg.device_id === cloud.routers.a)
const legOf = async (host: Host) => {
  const found = await eventually(
    () => legs(host),
    all => all.length === 1,
    60_000,
  )
  return found[0]
}
/** An agent whose VM leaves locally. @returns by which address */
async function local(): Promise<string> {
  start()
  const leg = await legOf(HOST)
  expect(await comes(leg?.address)).toBe(leg?.address)
  return leg?.address ?? ''
}
it.each([
  ['a conntrack helper', helper, 'a conntrack helper works for it in its SNAT namespace only'],
  ['a log of its SNAT', snatLog, 'Neutron writes a log of its SNAT, in its SNAT namespace only'],
] as const)('%s keeps a router central while it is there', async (_, make, reason) => {
  const address = await local()
  const undo = await make(cloud, 'a')
  try {
    expect(await comes(central)).toBe(central)
    expect(
      await eventually(
        () => legs(HOST),
        left => left.length === 0,
        60_000,
      ),
    ).toEqual([])
    const plan = await cloud.snat<{reason: string}>('plan', cloud.routers.a)
    expect(JSON.stringify(plan)).toContain(reason)
  } finally {
    await undo()
  }
  const leg = await legOf(HOST)
  expect(await comes(leg?.address)).toBe(leg?.address)
  expect(address).not.toBe(central)
  expect(await cloud.leaked()).toEqual({})
})

it('a gateway in another network: its VMs leave by that one; while it has no free address, centrally', async () => {
  const before = await local()
  const other = await OtherNetwork.make(cloud)
  try {
    await other.lead('a')
    const there = await eventually(
      () => cloud.seen(vm),
      seen => seen.startsWith('172.25.0.'),
      90_000,
    )
    expect(there).toMatch(/^172\.25\.0\./)
    const leg = await eventually(legNow, found => found?.address.startsWith('172.25.0.') ?? false, 60_000)
    expect(await comes(leg?.address)).toBe(leg?.address)

    await Promise.all(agents.map(agent => agent.end()))
    for (const {id} of await legs(HOST)) await cloud.admin.neutron('DELETE', `ports/${id}`)
    await other.exhaust()
    agents = []
    const agent = start()
    const now = await cloud.central('a')
    expect(await comes(now)).toBe(now)
    const refused = async () => agent.log.some(line => line.includes('no address: its VMs stay central'))
    expect(await eventually(refused, Boolean, 60_000)).toBe(true)
    await other.free()
    const again = await eventually(legNow, found => found !== undefined, 90_000)
    expect(await comes(again?.address)).toBe(again?.address)
  } finally {
    await gateway(cloud, 'a', cloud.network)
  }
  central = await cloud.central('a')
  const back = await eventually(legNow, found => found?.address.startsWith('172.24.') ?? false, 60_000)
  expect(await comes(back?.address)).toBe(back?.address)
  expect(back?.address).not.toBe(before === central ? '' : central)
  await OtherNetwork.sweep(cloud)
})
const legNow = async () => (await legs(HOST))[0]

it('a VM that migrates leaves from its new node, and the address of the old one is given back', async () => {
  await local()
  start('compute2')
  vm = await migrate(cloud, vm, 'compute2')
  const leg = await legOf('compute2')
  expect(await comes(leg?.address)).toBe(leg?.address)
  expect(
    await eventually(
      () => legs(HOST),
      left => left.length === 0,
      60_000,
    ),
  ).toEqual([])
  expect(await inNode(HOST, ['ls', '/run/netns'])).not.toContain(namespaceOf(cloud.routers.a))
  vm = await migrate(cloud, vm, HOST)
  const home = await legOf(HOST)
  expect(await comes(home?.address)).toBe(home?.address)
  await eventually(
    () => legs('compute2'),
    left => left.length === 0,
    60_000,
  )
  expect(await legs('compute2')).toEqual([])
})

it('killed at any time, coming and going, it leaks nothing, breaks nothing, and the next one goes on', async () => {
  const load = cloud.load(vm)
  /** Kills one after so many ms. */
  const cut = async (agent: Agent, ms: number) => {
    await new Promise(resolve => setTimeout(resolve, ms))
    await agent.end('SIGKILL')
  }
  for (let ms = 600; ms < 4000; ms += 200) await cut(cloud.agent(HOST, '--mode', 'per-router'), ms)
  const {changed, broken} = await load.end()
  const address = await local()
  expect(await comes(address)).toBe(address)
  expect({changed, broken}).toEqual({changed: 0, broken: 0})
  for (const agent of agents) await agent.end()
  agents = []
  // What is still local a clean-up ends after its grace, so no flow is counted here.
  for (let ms = 600; ms < 4000; ms += 400) {
    await cut(cloud.agent(HOST, '--clean', '--grace', '1'), ms)
    if (ms % 1200 === 0) await cut(cloud.agent(HOST, '--mode', 'per-router'), 4000)
  }
  const cleaned = await cloud.agent(HOST, '--clean', '--grace', '1').result()
  expect(cleaned).toMatchObject({status: 0})
  expect(await cloud.legs(HOST)).toEqual([])
  expect(await inNode(HOST, ['ls', '/run/netns'])).not.toContain('lsnat-')
  expect(await inNode(HOST, ['ovs-vsctl', 'list-ports', 'br-int'])).not.toContain('lg-')
  expect(await cloud.leaked()).toEqual({})
})
