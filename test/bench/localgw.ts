import {setTimeout as sleep} from 'node:timers/promises'

import {inNode} from '../openstack/processes.ts'
import {roundTrip, upload} from '../support/flows.ts'
import {inVm, LocalGatewayCloud, OUTSIDE, type Vm} from '../support/localgw-cloud.ts'
import {sayLocal} from '../support/localgw-node.ts'
import {eventually} from '../support/run.ts'
import {type Bench, type Measured, measured} from './measure.ts'

const HOST = 'compute1'
/** Between two looks, ms. */
const LOOK = 250
/** Of what takes seconds. */
const FEW = 3

/**
 * A local gateway against Neutron's central SNAT, on the real OpenStack. One machine plays all three nodes and OVS forwards in user space: a
 * hop less is CPU that is not used, there is no wire.
 */
export const localgw: Bench = {
  names: ['localgw', 'localgw-latency', 'localgw-throughput', 'localgw-takeover', 'localgw-fallback'],
  async run(names, runs) {
    const isWanted = (name: string) => names.includes('localgw') || names.includes(name)
    const cloud = await LocalGatewayCloud.open()
    try {
      const results: Measured[] = []
      if (isWanted('localgw-takeover'))
        results.push(measured('localgw-takeover', 's', await takeovers(cloud)))
      const [vm] = (await cloud.boot('a', HOST, '10.20.0.11')) as [Vm]
      const agent = cloud.agent(HOST, '--mode', 'per-router')
      const local = await legOf(cloud)
      await comes(cloud, vm, local)
      if (isWanted('localgw-fallback'))
        results.push(measured('localgw-fallback', 's', await fallbacks(cloud, vm, local)))
      await agent.end()
      const pairs = Math.min(runs, 9)
      if (isWanted('localgw-latency')) {
        const {ours, baseline} = await paired(cloud, vm, pairs, () => roundTrip(inVm(vm), OUTSIDE))
        results.push(measured('localgw-latency', 'ms', ours, baseline))
      }
      if (isWanted('localgw-throughput')) {
        const {ours, baseline} = await paired(cloud, vm, pairs, () => upload(inVm(vm), OUTSIDE))
        results.push(measured('localgw-throughput', 'MB/s', ours, baseline))
      }
      return results
    } finally {
      await cloud.close()
    }
  },
}

async function legOf(cloud: LocalGatewayCloud): Promise<string> {
  const legs = await eventually(
    () => cloud.legs(HOST),
    found => found.length > 0,
    30_000,
  )
  return legs[0]?.address ?? ''
}

async function comes(cloud: LocalGatewayCloud, vm: Vm, address: string): Promise<void> {
  const seen = await eventually(
    () => cloud.seen(vm),
    found => found === address,
    30_000,
  )
  if (seen !== address) throw new Error(`the VM is seen as ${seen}, not as ${address}`)
}

/** Local and central in turn. */
async function paired(cloud: LocalGatewayCloud, vm: Vm, pairs: number, work: () => Promise<number>) {
  const [ours, baseline]: [number[], number[]] = [[], []]
  const set = (...locals: string[]) => sayLocal(HOST, cloud.routers.a, ...locals)
  for (let pair = 0; pair < pairs; pair++) {
    await set(vm.address)
    ours.push(await work())
    await set()
    baseline.push(await work())
  }
  return {ours, baseline}
}

/** From the first VM's port ACTIVE until what it begins is local, s. */
async function takeovers(cloud: LocalGatewayCloud): Promise<number[]> {
  const took: number[] = []
  const agent = cloud.agent(HOST, '--mode', 'per-router', '--grace', '0')
  for (let n = 0; n < FEW; n++) {
    const [vm] = (await cloud.boot('a', HOST, `10.20.0.${20 + n}`)) as [Vm]
    await comes(cloud, vm, await legOf(cloud))
    took.push((performance.now() - cloud.lastActive) / 1000)
    await cloud.delete(vm)
    await eventually(
      () => cloud.legs(HOST),
      legs => legs.length === 0,
      60_000,
    )
  }
  await agent.end()
  return took
}

/** From the node's external link going down until what begins is central, s. */
async function fallbacks(cloud: LocalGatewayCloud, vm: Vm, local: string): Promise<number[]> {
  const central = await cloud.central('a')
  const took: number[] = []
  for (let n = 0; n < FEW; n++) {
    await inNode(HOST, ['ip', 'link', 'set', 'ext0', 'down'])
    const begun = performance.now()
    let first: number | undefined
    const flows: Promise<void>[] = []
    try {
      for (; first === undefined && performance.now() - begun < 30_000; await sleep(LOOK)) {
        const at = performance.now()
        const answer = cloud.seen(vm, 'udp').then(seen => {
          if (seen === central) first = Math.min(first ?? at, at)
        })
        flows.push(answer)
      }
    } finally {
      await inNode(HOST, ['ip', 'link', 'set', 'ext0', 'up'])
    }
    await Promise.all(flows)
    took.push(((first ?? Number.NaN) - begun) / 1000)
    await comes(cloud, vm, local)
  }
  return took
}
