import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {nodeCommand} from '../../../openstack/processes.ts'
import {Wire} from '../../../support/flows.ts'
import {LocalGatewayCloud, type Vm} from '../../../support/localgw-cloud.ts'
import {sayLocal} from '../../../support/localgw-node.ts'
import {eventually} from '../../../support/run.ts'

/* What is on the wires of the three nodes before and after. For `npm run evidence`, on ML2/OVS. */

jest.setTimeout(240_000)

const HOST = 'compute1'
let cloud: LocalGatewayCloud
let vm: Vm
/** The VM's own address, that of the central SNAT and that of the leg. */
let addresses: string[]
beforeAll(async () => {
  cloud = await LocalGatewayCloud.open()
  ;[vm] = (await cloud.boot('a', HOST, '10.20.0.11')) as [Vm]
  const agent = cloud.agent(HOST, '--mode', 'per-router')
  const [leg] = await eventually(
    () => cloud.legs(HOST),
    legs => legs.length === 1,
    30_000,
  )
  await eventually(
    () => cloud.seen(vm),
    seen => seen === leg?.address,
    30_000,
  )
  await agent.end()
  addresses = [vm.address, await cloud.central('a'), leg?.address ?? '']
})
afterAll(() => cloud?.close())

/** A load is a thousand packets and more; some of the one before may still end, and a switch floods what it has not learned. */
const FEW = 100

/** Packets of the VM's flows on every wire while they go one way. */
async function seenOnWires(locals: string[]) {
  await sayLocal(HOST, cloud.routers.a, ...locals)
  const wires = ['network1', 'compute1', 'compute2'].flatMap(node =>
    ['tun0', 'ext0'].map(device => ({
      name: `${node} ${device}`,
      wire: new Wire(nodeCommand(node, []), device, addresses),
    })),
  )
  await new Promise(resolve => setTimeout(resolve, 1000))
  const load = cloud.load(vm)
  await new Promise(resolve => setTimeout(resolve, 5000))
  await load.end()
  const counts = await Promise.all(wires.map(async ({name, wire}) => [name, await wire.end()] as const))
  return Object.fromEntries(
    counts.map(([name, {plain, tunnelled}]) => [name, {plain: plain > FEW, tunnelled: tunnelled > FEW}]),
  )
}

const nothing = {plain: false, tunnelled: false}
const tunnelled = {plain: false, tunnelled: true}
const plain = {plain: true, tunnelled: false}

it('central: by the tunnel to the network node, and out there', async () => {
  expect(await seenOnWires([])).toEqual({
    ...{'network1 tun0': tunnelled, 'network1 ext0': plain},
    ...{'compute1 tun0': tunnelled, 'compute1 ext0': nothing},
    ...{'compute2 tun0': nothing, 'compute2 ext0': nothing},
  })
})

it('local: out by the node itself, and neither tunnel nor network node see anything of it', async () => {
  expect(await seenOnWires([vm.address])).toEqual({
    ...{'network1 tun0': nothing, 'network1 ext0': nothing},
    ...{'compute1 tun0': nothing, 'compute1 ext0': plain},
    ...{'compute2 tun0': nothing, 'compute2 ext0': nothing},
  })
})
