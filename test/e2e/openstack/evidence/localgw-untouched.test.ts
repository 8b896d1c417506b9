import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {startEcho} from '../../../support/flows.ts'
import {forwarded, scoped} from '../../../support/localgw-changes.ts'
import {inVm, LocalGatewayCloud, OUTSIDE, type Vm} from '../../../support/localgw-cloud.ts'
import type {Agent} from '../../../support/localgw-node.ts'
import {eventually, run} from '../../../support/run.ts'

/* What a local gateway has no part in, as it was before there was one, and after; on ML2/OVS. For `npm run evidence`. */

jest.setTimeout(600_000)

const HOST = 'compute1'
/** Behind a VM of the subnet, by an extra route of the router. */
const BEHIND = '198.51.100.1'
let cloud: LocalGatewayCloud
/** One that leaves locally, one beside it, one of another subnet on the other node. */
let vm: Vm
let beside: Vm
let elsewhere: Vm
let central: string
let agent: Agent | undefined
let before: Awaited<ReturnType<typeof ways>>
beforeAll(async () => {
  cloud = await LocalGatewayCloud.open()
  await cloud.subnet('a', '10.21.0')
  ;[vm, beside] = (await cloud.boot('a', HOST, '10.20.0.11', '10.20.0.12')) as [Vm, Vm]
  ;[elsewhere] = (await cloud.boot('a', 'compute2', '10.21.0.13')) as [Vm]
  central = await cloud.central('a')
  for (const one of [beside, elsewhere]) cloud.keep(await startEcho(inVm(one)))
  await inside(beside, 'ip', 'address', 'add', `${BEHIND}/32`, 'dev', 'lo')
  const port = {port: {port_security_enabled: false, security_groups: []}}
  await cloud.admin.neutron('PUT', `ports/${beside.port}`, port)
  const routes = [{destination: `${BEHIND}/32`, nexthop: beside.address}]
  await cloud.admin.neutron('PUT', `routers/${cloud.routers.a}`, {router: {routes}})
  expect(await comes(central)).toBe(central)
  await eventually(
    () => asks(BEHIND),
    seen => seen === vm.address,
    60_000,
  )
  await cloud.listen()
  before = await ways()
})
afterAll(async () => {
  await agent?.end()
  await cloud?.close()
})

const inside = async (one: Vm, ...argv: string[]) => {
  const [program = '', ...args] = [...inVm(one), ...argv]
  return run(program, args)
}
const comes = (address: string | undefined) =>
  eventually(
    () => cloud.seen(vm),
    seen => seen === address,
    60_000,
  )
/** Whom an address sees a flow of the VM's come from. */
const asks = async (to: string, protocol: 'tcp' | 'udp' = 'tcp') => {
  const flow = cloud.flow(vm, protocol, to)
  return flow.ask().finally(flow.kill)
}
/** Packets of this size that may not be divided: answered, or what the VM is told. */
const large = async (payload: number, to: string) => {
  const {stdout, stderr} = await inside(
    vm,
    'ping',
    '-n',
    '-c',
    '2',
    '-W',
    '2',
    '-M',
    'do',
    '-s',
    String(payload),
    to,
  )
  return /[1-9] received/.test(stdout)
    ? 'answered'
    : (/message too long|Frag needed/.exec(stdout + stderr)?.[0] ?? stdout)
}
const ways = async () => ({
  'another subnet, tcp': await asks(elsewhere.address),
  'another subnet, udp': await asks(elsewhere.address, 'udp'),
  'an extra route': await asks(BEHIND),
  'as large as may be': await large(1450 - 28, OUTSIDE),
  'one more': await large(1450 - 27, OUTSIDE),
  'as large, to another subnet': await large(1450 - 28, elsewhere.address),
  metadata: (
    await inside(
      vm,
      'curl',
      '-s',
      '-m',
      '5',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      'http://169.254.169.254/',
    )
  ).stdout,
})
/** @returns the address that the VM leaves by */
async function start(): Promise<string> {
  agent ??= cloud.agent(HOST, '--mode', 'per-router')
  const legs = async () => (await cloud.legs(HOST)).filter(leg => leg.device_id === cloud.routers.a)
  const [leg] = await eventually(legs, found => found.length === 1, 60_000)
  expect(await comes(leg?.address)).toBe(leg?.address)
  return leg?.address ?? ''
}

it('other subnets, extra routes, large packets and metadata go as before', async () => {
  expect(before).toMatchObject({
    'another subnet, tcp': vm.address,
    'another subnet, udp': vm.address,
    'an extra route': vm.address,
    'as large as may be': 'answered',
    'one more': 'message too long',
    'as large, to another subnet': 'answered',
  })
  const local = await start()
  expect(await ways()).toEqual(before)
  expect(await comes(local)).toBe(local)
})

it('a floating IP of the same router is reached', async () => {
  const {floatingip} = await cloud.admin.neutron('POST', 'floatingips', {
    floatingip: {floating_network_id: cloud.network, port_id: elsewhere.port},
  })
  try {
    const reached = () => asks(floatingip.floating_ip_address)
    expect(await eventually(reached, seen => /^\d/.test(seen), 40_000)).toMatch(
      /^(172\.24\.4|10\.20\.0)\.\d+$/,
    )
    expect(await asks(floatingip.floating_ip_address, 'udp')).toBe(await reached())
  } finally {
    await cloud.admin.neutron('DELETE', `floatingips/${floatingip.id}`)
  }
})

it('a VM of an address scope that the outside is not in leaves locally, too, and is as far from the other subnets as before', async () => {
  await scoped(cloud, 'a', '10.23.0')
  const [other] = (await cloud.boot('a', HOST, '10.23.0.11')) as [Vm]
  const apart = () => {
    const flow = cloud.flow(other, 'tcp', beside.address)
    return flow.ask().finally(flow.kill)
  }
  await agent?.end()
  agent = undefined
  const seen = (wanted: string) =>
    eventually(
      () => cloud.seen(other),
      now => now === wanted,
      60_000,
    )
  expect(await seen(central)).toBe(central)
  const without = await apart()
  const local = await start()
  expect(await seen(local)).toBe(local)
  expect(await apart()).toBe(without)
  await cloud.delete(other)
})

it('an interface and a route that come and go, and a port forwarding, break no flow', async () => {
  await start()
  const load = cloud.load(vm)
  await cloud.subnet('a', '10.22.0')
  const routes = (...more: object[]) =>
    cloud.admin.neutron('PUT', `routers/${cloud.routers.a}`, {
      router: {routes: [{destination: `${BEHIND}/32`, nexthop: beside.address}, ...more]},
    })
  await routes({destination: '203.0.113.0/24', nexthop: beside.address})
  const {end} = await forwarded(cloud, vm)
  await new Promise(resolve => setTimeout(resolve, 10_000))
  await end()
  await routes()
  await new Promise(resolve => setTimeout(resolve, 5000))
  const {changed, broken, tcp, udp} = await load.end()
  expect({changed, broken}).toEqual({changed: 0, broken: 0})
  expect(tcp + udp).toBeGreaterThan(100)
  expect(await cloud.leaked()).toEqual({})
})

it('a router that is down has no local way, and has it again when it is up', async () => {
  await start()
  const set = (admin_state_up: boolean) =>
    cloud.admin.neutron('PUT', `routers/${cloud.routers.a}`, {router: {admin_state_up}})
  await set(false)
  const gone = await eventually(
    () => cloud.seen(vm),
    seen => !/^\d/.test(seen),
    60_000,
  )
  expect(gone).toMatch(/Error|timeout/i)
  await set(true)
  const legs = async () => (await cloud.legs(HOST)).filter(leg => leg.device_id === cloud.routers.a)
  const [leg] = await eventually(legs, found => found.length === 1, 60_000)
  await cloud.routed(HOST, cloud.routers.a)
  expect(await comes(leg?.address)).toBe(leg?.address)
  // While Neutron makes a router its own SNAT lets packets out as they are.
  await cloud.listen()
})

// Established flows are cut when the floating IP comes.
it('a floating IP that comes and goes under load leaks nothing of ours', async () => {
  await start()
  const load = cloud.load(vm)
  for (let turn = 0; turn < 2; turn++) {
    const {floatingip} = await cloud.admin.neutron('POST', 'floatingips', {
      floatingip: {floating_network_id: cloud.network, port_id: vm.port},
    })
    expect(await comes(floatingip.floating_ip_address)).toBe(floatingip.floating_ip_address)
    await cloud.admin.neutron('DELETE', `floatingips/${floatingip.id}`)
    const legs = await cloud.legs(HOST)
    const ours = legs.find(leg => leg.device_id === cloud.routers.a)?.address
    expect(await comes(ours)).toBe(ours)
  }
  await load.end()
  // By the other ports it is Neutron that lets something out: what a gateway of floating IPs forgets, and a lone FIN or RST.
  expect(await cloud.leaked()).not.toHaveProperty('network:local_snat')
})
