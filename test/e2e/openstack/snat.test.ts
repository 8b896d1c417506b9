import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {type AddressInfo, createServer} from 'node:net'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {login} from '../../openstack/identity.ts'
import {dir, external} from '../../openstack/place.ts'
import {command, inNode} from '../../openstack/processes.ts'
import type {Rest} from '../../openstack/rest.ts'
import {GateClient} from '../../support/gate-client.ts'
import {eventually} from '../../support/run.ts'
import {onOvn} from '../../support/site.ts'
import {World} from '../../support/world.ts'

/* What os-ssh snat says of the real Neutron, held against the nodes themselves and against what the outside sees. */

jest.setTimeout(240_000)

interface Hop {
  host: string | null
  kind: string
  name: string
  device: string | null
  address: string | null
}
interface Trace {
  mode: string
  kind: string
  source_ip: string
  gateway_host: string
  inter_host_hops: number
  router_id: string
  hops: Hop[]
}

interface Row {
  mode: string
  hosts: string[]
  host_alive: boolean | null
  snat_ips: string[]
  id: string
}

let world: World
let admin: Rest
beforeAll(async () => {
  world = await World.open('snat')
  admin = await login('admin')
})
afterAll(() => world?.close())

async function snat<T>(...words: string[]): Promise<T> {
  const {status, stdout, stderr} = await world.cli('admin', ['snat', ...words, '-f', 'json'])
  if (status !== 0) throw new Error(`snat ${words.join(' ')}: ${status} ${stderr}`)
  return JSON.parse(stdout) as T
}

/** The address from which a VM's connection to the outside arrives there. */
async function seenFrom(cloud: 'tenant1' | 'tenant2', name: string): Promise<string> {
  const outside = createServer(socket => socket.end(`${socket.remoteAddress}\n`))
  outside.listen(0, external.gateway)
  await once(outside, 'listening')
  try {
    const client = new GateClient(world, await world.grant(cloud, name))
    const key = `${world.home}/.ssh/id_${cloud === 'tenant1' ? 'alice' : 'bob'}`
    const {port} = outside.address() as AddressInfo
    const ask = `timeout 10 bash -c 'exec 3<>/dev/tcp/${external.gateway}/${port}; cat <&3'`
    const answer = await eventually(
      () => client.vm(key, [ask]),
      ({status}) => status === 0,
      60_000,
    )
    return answer.stdout.trim()
  } finally {
    outside.close()
  }
}

const routers = [
  ['t1-router', 't1-web', 'tenant1', onOvn ? 'ovn-central' : 'central-legacy'],
  ['t2-router', 't2-web', 'tenant2', onOvn ? 'ovn-central' : 'dvr-central'],
] as const

describe.each(routers)('%s', (router, vm, cloud, mode) => {
  it('has the mode and the host that Neutron and the nodes show', async () => {
    // OVN says some seconds after the router's birth where its gateway is.
    const look = async () => (await snat<Row[]>('status', router))[0]
    const row = await eventually(look, now => now?.host_alive === true, 60_000)
    expect(row).toMatchObject({mode, host_alive: true})
    const [host = ''] = row?.hosts ?? []
    const {agents} = await admin.neutron('GET', `agents?host=${host}`)
    expect(agents.map((agent: {alive: boolean}) => agent.alive)).toContain(true)
    if (onOvn) expect(await chassisOf(row?.id ?? '')).toBe(host)
    else {
      const netns = `${mode === 'dvr-central' ? 'snat' : 'qrouter'}-${row?.id}`
      expect(await inNode(host, ['ip', 'netns'])).toContain(netns)
      expect(await inNode(host, ['ip', '-n', netns, '-o', 'addr'])).toContain(` ${row?.snat_ips[0]}/`)
    }
  })

  it('shows how that was decided', async () => {
    const {stdout, status} = await world.cli('admin', ['snat', 'show', router, '--explain'])
    expect(status).toBe(0)
    expect(stdout).toMatch(new RegExp(`\\| ${mode} +\\|.*\\| yes`))
    expect(stdout).toContain(vm)
  })

  it('is crossed as traced: every namespace and device is on its host, and the outside sees that address', async () => {
    const trace = await snat<Trace>('trace', vm)
    expect(trace).toMatchObject({mode, kind: 'snat'})
    for (const hop of trace.hops.filter(one => one.kind === 'namespace' && one.device !== null)) {
      const devices = await inNode(hop.host ?? '', [
        'ip',
        '-n',
        hop.name,
        '-o',
        'addr',
        'show',
        'dev',
        hop.device ?? '',
      ])
      expect(devices).toContain(` ${hop.address}/`)
    }
    const {servers} = await admin.nova('GET', `servers/detail?all_tenants=1&name=${vm}`)
    expect(trace.hops[0]?.host).toBe(servers[0]['OS-EXT-SRV-ATTR:host'])
    expect(await seenFrom(cloud, vm)).toBe(trace.source_ip)
  })
})

it('says the same by a recording of itself, and masked the same of others', async () => {
  const [plain, masked] = [`${world.home}/facts.json`, `${world.home}/masked.json`]
  const by = async (file: string) => {
    const {stdout} = await world.cli('nobody', ['snat', 'status', '--facts', file, '-f', 'json'])
    return JSON.parse(stdout) as (Row & {router: string})[]
  }
  const rows = await snat<Row[]>('status', '--record', plain)
  expect(await by(plain)).toEqual(rows)
  await snat('status', '--record', masked, '--mask')
  const modes = (all: readonly Row[]) => all.map(({id, mode}) => `${id} ${mode}`).sort()
  expect(modes(await by(masked))).toEqual(modes(rows))
  const text = readFileSync(masked, 'utf8')
  for (const word of ['t1-router', 't1-net', 't1-web', 'network1', 'compute1', external.gateway, 'br-ex'])
    expect(text).not.toContain(word)
})

it('a floating IP gets around the gateway host, by the namespace of the VM’s own node', async () => {
  const {ports} = await admin.neutron('GET', `ports?device_id=${world.server('t2-web')}`)
  const {networks} = await admin.neutron('GET', 'networks?name=public')
  const wanted = {floating_network_id: networks[0].id, port_id: ports[0].id, project_id: ports[0].project_id}
  const {floatingip} = await admin.neutron('POST', 'floatingips', {floatingip: wanted})
  try {
    const trace = await snat<Trace>('trace', 't2-web')
    expect(trace.source_ip).toBe(floatingip.floating_ip_address)
    const seen = () => seenFrom('tenant2', 't2-web')
    expect(await eventually(seen, address => address === trace.source_ip, 60_000)).toBe(trace.source_ip)
    if (!onOvn) {
      expect(trace.inter_host_hops).toBe(0)
      const own = ports[0]['binding:host_id']
      expect(trace.hops.filter(hop => hop.kind === 'namespace').map(hop => hop.host)).not.toContain(
        'network1',
      )
      expect(await inNode(own, ['ip', 'netns'])).toContain(`fip-${networks[0].id}`)
    }
  } finally {
    await admin.neutron('DELETE', `floatingips/${floatingip.id}`)
  }
})

it('an L3 agent that has died makes its routers stale', async () => {
  if (onOvn) return // OVN's agents are the chassis; without their controller all routers of the node stay where they were
  await inNode('network1', ['pkill', '-STOP', '-f', 'neutron-l3-agent'])
  try {
    const status = () => world.cli('admin', ['snat', 'status', 't1-router', '--check', '-f', 'json'])
    const {stdout, status: exit} = await eventually(status, answer => answer.status === 1, 90_000)
    expect({exit, flags: JSON.parse(stdout)[0].flags}).toEqual({exit: 1, flags: ['stale']})
  } finally {
    await inNode('network1', ['pkill', '-CONT', '-f', 'neutron-l3-agent'])
  }
  const again = () => world.cli('admin', ['snat', 'status', 't1-router', '--check'])
  expect((await eventually(again, answer => answer.status === 0, 90_000)).status).toBe(0)
})

/** Where OVN has bound the router's gateway: chassis of its chassis-redirect port. */
async function chassisOf(routerId: string): Promise<string> {
  const {ports} = await admin.neutron(
    'GET',
    `ports?device_id=${routerId}&device_owner=network:router_gateway`,
  )
  const sb = ['ovn-sbctl', `--db=unix:${dir}/ovn/sb.sock`, '--bare', '--no-headings']
  const chassis = await command([
    ...sb,
    '--columns=chassis',
    'find',
    'Port_Binding',
    `logical_port=cr-lrp-${ports[0].id}`,
  ])
  return (await command([...sb, '--columns=hostname', 'list', 'Chassis', chassis.trim()])).trim()
}
