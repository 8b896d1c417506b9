import {afterAll, afterEach, beforeAll, expect, it, jest} from '@jest/globals'

import {namespaceOf} from '../../../../src/localgw/names.ts'
import {inNode} from '../../../openstack/processes.ts'
import {LocalGatewayCloud, type Vm} from '../../../support/localgw-cloud.ts'
import {type Agent, inNamespace, restart, sayLocal} from '../../../support/localgw-node.ts'
import {eventually} from '../../../support/run.ts'

/* What happens beside a local gateway, under load. For `npm run evidence`, on ML2/OVS. */

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
afterAll(() => cloud?.close())

let agent: Agent | undefined
afterEach(async () => {
  await agent?.end()
  agent = undefined
})

const comes = (address: string | undefined, ms = 40_000) =>
  eventually(
    () => cloud.seen(vm),
    seen => seen === address,
    ms,
  )
/** An agent whose VM leaves locally. @returns by which address */
async function local(...flags: string[]): Promise<string> {
  agent = cloud.agent(HOST, '--mode', 'per-router', ...flags)
  const [leg] = await eventually(
    () => cloud.legs(HOST),
    legs => legs.length === 1,
  )
  expect(await comes(leg?.address)).toBe(leg?.address)
  return leg?.address ?? ''
}

// While the OVS agent makes its flows anew the leg may be without an answer for some seconds.
it.each(['neutron-l3-agent', 'neutron-openvswitch-agent'])(
  '%s starts anew, and no flow breaks',
  async name => {
    const address = await local()
    const load = cloud.load(vm)
    await restart(HOST, name)
    // Until it has done everything anew.
    await new Promise(resolve => setTimeout(resolve, 40_000))
    const {changed, broken, seen} = await load.end()
    expect({changed, broken}).toEqual({changed: 0, broken: 0})
    expect([address, central]).toEqual(expect.arrayContaining(Object.keys(seen)))
    expect(await comes(address)).toBe(address)
    expect(await cloud.leaked()).toEqual({})
  },
)

it('100 times to and fro, under load', async () => {
  const address = await local()
  await agent?.end()
  const load = cloud.load(vm)
  for (let flip = 0; flip < 100; flip++) {
    await sayLocal(HOST, cloud.routers.a, ...(flip % 2 === 0 ? [vm.address] : []))
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
  const {changed, broken, seen} = await load.end()
  expect({changed, broken}).toEqual({changed: 0, broken: 0})
  expect(Object.keys(seen).sort()).toEqual([address, central].sort())
  expect(await cloud.leaked()).toEqual({})
})

it('the last VM leaves, and its address is given back; the next one leaves locally', async () => {
  await local('--grace', '2')
  await cloud.delete(vm)
  expect(
    await eventually(
      () => cloud.legs(HOST),
      legs => legs.length === 0,
      60_000,
    ),
  ).toEqual([])
  expect(await inNode(HOST, ['ls', '/run/netns'])).not.toContain('lsnat-')
  const [next] = await cloud.boot('a', HOST, '10.20.0.12')
  vm = next as Vm
  const [leg] = await eventually(
    () => cloud.legs(HOST),
    legs => legs.length === 1,
  )
  expect(await comes(leg?.address)).toBe(leg?.address)
})

it('without an address its VMs are central, and local within a minute after there is one', async () => {
  for (const {id} of await cloud.legs(HOST)) await cloud.admin.neutron('DELETE', `ports/${id}`)
  await cloud.quota(0)
  agent = cloud.agent(HOST, '--mode', 'per-router')
  const refused = async () =>
    agent?.log.some(line => line.includes('no address: its VMs stay central')) ?? false
  expect(await eventually(refused, Boolean)).toBe(true)
  expect(await comes(central)).toBe(central)
  await cloud.quota(-1)
  const [leg] = await eventually(
    () => cloud.legs(HOST),
    legs => legs.length === 1,
    75_000,
  )
  expect(await comes(leg?.address)).toBe(leg?.address)
})

it('a router that is deleted leaves nothing: its address is given back', async () => {
  const [other] = (await cloud.boot('b', HOST, '10.20.0.11')) as [Vm]
  agent = cloud.agent(HOST, '--mode', 'per-router')
  const legs = () => cloud.legs(HOST)
  const ours = async () => (await legs()).filter(leg => leg.device_id === cloud.routers.b)
  expect(await eventually(ours, found => found.length === 1)).toHaveLength(1)
  await cloud.delete(other)
  await cloud.deleteRouter('b')
  expect(await eventually(ours, found => found.length === 0, 60_000)).toEqual([])
  expect(await inNode(HOST, ['ls', '/run/netns'])).not.toContain(namespaceOf(cloud.routers.b))
  expect(await legs()).toHaveLength(1)
})

// In the userspace datapath VMs and routers have lost theirs, too: nobody plugs those again.
it('ovs-vswitchd starts anew with every device, and the leg is plugged again', async () => {
  await local()
  const leg = namespaceOf(cloud.routers.a)
  const index = async () =>
    /^(\d+): lg-.*LOWER_UP/m.exec(await inNamespace(HOST, leg, 'ip', '-o', 'link'))?.[1]
  const before = await index()
  await restart(HOST, 'ovs-vswitchd')
  const isNew = (now: string | undefined) => now !== undefined && now !== before
  expect(await eventually(index, isNew, 60_000)).not.toBe(before)
  expect(await inNode(HOST, ['ls', '/sys/class/net'])).not.toContain('lg-')
  expect(await cloud.leaked()).toEqual({})
})
