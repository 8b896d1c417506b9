import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {routerNamespace} from '../../../src/localgw/names.ts'
import {readHeartbeat} from '../../../src/snat/heartbeat.ts'
import {Asked, documented} from '../../openstack/asked.ts'
import {inNode} from '../../openstack/processes.ts'
import {later} from '../../support/evidence.ts'
import {forwarded} from '../../support/localgw-changes.ts'
import {LocalGatewayCloud, OUTSIDE, type Vm} from '../../support/localgw-cloud.ts'
import {type Agent, inNamespace, sayLocal} from '../../support/localgw-node.ts'
import {eventually} from '../../support/run.ts'
import {onOvn} from '../../support/site.ts'

/* The agent of local gateways on the real OpenStack: two tenants with equal addresses on one node. */

jest.setTimeout(240_000)

const ovs = onOvn ? describe.skip : describe
const HOST = 'compute1'
let cloud: LocalGatewayCloud
let asked: Asked
let vms: {a: Vm; b: Vm}
/** Addresses of the central SNAT. */
let central: {a: string; b: string}
beforeAll(async () => {
  if (onOvn) return
  asked = new Asked()
  cloud = await LocalGatewayCloud.open()
  const [[a], [b]] = await Promise.all([
    cloud.boot('a', HOST, '10.20.0.11'),
    cloud.boot('b', HOST, '10.20.0.11'),
  ])
  vms = {a: a as Vm, b: b as Vm}
  central = {a: await cloud.central('a'), b: await cloud.central('b')}
  expect(await come(central)).toEqual(central)
  await cloud.listen()
})
afterAll(async () => {
  if (cloud) await noLeaks().finally(() => cloud.close())
})

/** Nothing has left with an address that was not translated, but for what Neutron lets out when it takes a floating IP away. */
async function noLeaks(): Promise<void> {
  const {'network:floatingip_agent_gateway': _, ...others} = await cloud.leaked()
  expect(others).toEqual({})
}

let agent: Agent | undefined
afterEach(async () => {
  await agent?.end()
  agent = undefined
})

/** What the outside sees new flows of both VMs come from, when it is that, or has not become so. */
const come = (wanted: {a: string | undefined; b: string | undefined}, ms = 20_000) =>
  eventually(
    async () => ({a: await cloud.seen(vms.a), b: await cloud.seen(vms.b)}),
    seen => seen.a === wanted.a && seen.b === wanted.b,
    ms,
  )

/** What is the same whether routers share an address or not is tried once. */
const once = (mode: string, define: () => void) => (mode === 'per-router' ? define() : later(define))

ovs.each(['per-router', 'per-node'] as const)('%s', mode => {
  const start = (...flags: string[]) => cloud.agent(HOST, '--mode', mode, ...flags)
  /** The addresses that the VMs leave by, as soon as there are ports. */
  const addresses = async () => {
    const legs = await eventually(
      () => cloud.legs(HOST),
      legs => legs.length === (mode === 'per-node' ? 1 : 2),
      // On a cloud that has just booted Neutron takes its time for the first ones.
      60_000,
    )
    const of = (router: string) =>
      legs.find(({device_id}) => device_id === (mode === 'per-node' ? cloud.network : router))?.address
    return {a: of(cloud.routers.a), b: of(cloud.routers.b)}
  }

  it('VMs of both tenants leave from their node, with an address each or one for both', async () => {
    agent = start()
    const local = await addresses()
    expect(await come(local)).toEqual(local)
    expect(await Promise.all([cloud.seen(vms.a, 'udp'), cloud.seen(vms.b, 'udp')])).toEqual([
      local.a,
      local.b,
    ])
    expect(new Set([local.a, local.b]).size).toBe(mode === 'per-node' ? 1 : 2)
  })

  it('its ports are its own, and say how it is', async () => {
    agent = start()
    const said = await eventually(
      async () => (await cloud.legs(HOST)).map(({description}) => readHeartbeat(description)).find(Boolean),
      found => found?.local === 2,
      90_000,
    )
    expect(said).toMatchObject({sharing: mode, local: 2, exceptions: [], more: 0})
    const {id} = (await cloud.admin.keystone('GET', 'projects?name=lsnat')).projects[0]
    const legs = await cloud.legs(HOST)
    for (const leg of legs) expect(leg.project_id).toBe(id)

    const rows = await cloud.snat<object[]>('status', cloud.routers.a)
    expect(rows).toMatchObject([
      {
        mode: 'local-gateway',
        vms_central: 0,
        vms_bypass: 1,
        local_nodes: [{host: HOST, state: 'local', vms: 1}],
      },
    ])
    const {a: source_ip} = await addresses()
    expect(await cloud.snat<object>('trace', vms.a.id)).toMatchObject({
      kind: 'snat-local',
      source_ip,
      inter_host_hops: 0,
    })
  })

  it('killed, it leaves what is connected alone; new flows are central within 15 s, and local again with the next agent', async () => {
    agent = start()
    const local = await addresses()
    expect(await come(local)).toEqual(local)
    const flows = (['tcp', 'udp'] as const).map(protocol => cloud.flow(vms.a, protocol))
    const ask = () => Promise.all(flows.map(flow => flow.ask()))
    expect(await ask()).toEqual([local.a, local.a])
    await agent.end('SIGKILL')
    expect(await come(central, 16_000)).toEqual(central)
    expect(await ask()).toEqual([local.a, local.a])
    agent = start()
    expect(await come(local)).toEqual(local)
    expect(await ask()).toEqual([local.a, local.a])
    expect(await addresses()).toEqual(local)
  })

  it('under load they go to and fro, and no flow notices', async () => {
    const local = await addresses()
    const before = await cloud.leaked()
    const load = cloud.load(vms.a)
    const set = (locals: string[]) => sayLocal(HOST, cloud.routers.a, ...locals)
    for (let flip = 0; flip < 10; flip++) {
      await set(flip % 2 === 0 ? [vms.a.address] : [])
      await new Promise(resolve => setTimeout(resolve, 1500))
    }
    const {udp, tcp, changed, broken, seen} = await load.end()
    expect({changed, broken}).toEqual({changed: 0, broken: 0})
    expect(Object.keys(seen).sort()).toEqual([central.a, local.a].sort())
    expect(udp + tcp).toBeGreaterThan(100)
    expect(await cloud.leaked()).toEqual(before)
  })

  once(mode, () => {
    it('when the node’s external link is down, new flows are central, and local again when it is up', async () => {
      agent = start()
      const local = await addresses()
      expect(await come(local)).toEqual(local)
      await inNode(HOST, ['ip', 'link', 'set', 'ext0', 'down'])
      try {
        expect(await come(central, 10_000)).toEqual(central)
      } finally {
        await inNode(HOST, ['ip', 'link', 'set', 'ext0', 'up'])
      }
      expect(await come(local)).toEqual(local)
    })

    it('a router without a gateway or without SNAT has no local way, and the other one keeps its own', async () => {
      agent = start()
      const local = await addresses()
      expect(await come(local)).toEqual(local)
      const gateway = (external_gateway_info: object) =>
        cloud.admin.neutron('PUT', `routers/${cloud.routers.a}`, {router: {external_gateway_info}})
      await noLeaks()
      await gateway({network_id: cloud.network, enable_snat: false})
      const gone = await eventually(
        () => cloud.seen(vms.a),
        seen => seen === 'TimeoutError' || seen === 'timeout',
      )
      expect(gone).toMatch(/timeout/i)
      expect(await cloud.seen(vms.b)).toBe(local.b)
      await gateway({network_id: cloud.network, enable_snat: true})
      // Until then they were routed as they are, as its owner wanted.
      await eventually(
        () => cloud.seen(vms.a),
        seen => /^172/.test(seen),
      )
      await cloud.listen()
      central = {...central, a: await cloud.central('a')}
      const again = await eventually(
        () => cloud.seen(vms.a),
        seen => seen !== central.a && /^172/.test(seen),
      )
      expect((await cloud.legs(HOST)).map(({address}) => address)).toContain(again)
    })

    it('a floating IP has its own way', async () => {
      agent = start()
      const local = await addresses()
      expect(await come(local)).toEqual(local)
      const {floatingip} = await cloud.admin.neutron('POST', 'floatingips', {
        floatingip: {floating_network_id: cloud.network, port_id: vms.a.port},
      })
      const withIp = {...local, a: floatingip.floating_ip_address}
      expect(await come(withIp)).toEqual(withIp)
      await cloud.admin.neutron('DELETE', `floatingips/${floatingip.id}`)
      const now = await addresses()
      expect(await come(now)).toEqual(now)
    })

    it('what a port forwarding leads to answers by it, TCP and UDP, from a VM that leaves locally', async () => {
      agent = start()
      const local = await addresses()
      expect(await come(local)).toEqual(local)
      const {address, end} = await forwarded(cloud, vms.a)
      try {
        for (const protocol of ['tcp', 'udp'] as const)
          expect(
            await eventually(
              () => cloud.reached(address, protocol),
              seen => seen === OUTSIDE,
              40_000,
            ),
          ).toBe(OUTSIDE)
        expect(await come(local)).toEqual(local)
        for (const protocol of ['tcp', 'udp'] as const)
          expect(await cloud.reached(address, protocol)).toBe(OUTSIDE)
      } finally {
        await end()
      }
    })
  })

  it('says what it would do, and takes every trace away', async () => {
    const dry = await agentRun('--mode', mode, '--dry-run')
    expect(dry).toMatchObject({status: 0, stdout: ''})
    const clean = await agentRun('--clean', '--grace', '2')
    expect(clean).toMatchObject({status: 0})
    expect(await cloud.legs(HOST)).toEqual([])
    expect(await come(central)).toEqual(central)
    const namespaces = await inNode(HOST, ['ls', '/run/netns'])
    expect(namespaces).not.toContain('lsnat-')
    for (const router of Object.values(cloud.routers)) {
      const space = routerNamespace(router)
      expect(await inNamespace(HOST, space, 'nft', 'list', 'tables')).not.toContain('os-ssh')
      expect(await inNamespace(HOST, space, 'ip', 'rule')).not.toContain('33000')
      expect(await inNamespace(HOST, space, 'ip', '-br', 'link')).not.toContain('lq-')
    }
    const ports = await inNode(HOST, ['ovs-vsctl', 'list-ports', 'br-int'])
    expect(ports).not.toContain('lg-')
    expect((await agentRun('--mode', mode, '--dry-run')).stdout).toMatch(/^take an address of network /)
  })
})

ovs('the account', () => {
  it('makes the calls that are documented, and no other', () => {
    const all = documented('## Exactly these calls', 'Neutron', 'local-gateway')
    // No subnet here comes from a pool.
    expect(asked.of('Neutron', cloud.userId, '10.66.0.12')).toEqual(
      all.filter(call => call !== 'GET /v2.0/subnetpools'),
    )
  })
})

/** A command of the agent's that ends. */
async function agentRun(...flags: string[]) {
  const one = cloud.agent(HOST, ...flags)
  return one.result()
}
