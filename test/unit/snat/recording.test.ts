import {fileURLToPath} from 'node:url'

import {describe, expect, jest, test} from '@jest/globals'

import {OpenStackError} from '../../../src/openstack/errors.ts'
import {LOCAL_SNAT, NO_FACTS} from '../../../src/snat/facts.ts'
import {mask} from '../../../src/snat/mask.ts'
import {MODES} from '../../../src/snat/modes.ts'
import {readComparison, readDetail, readStatus, readTrace} from '../../../src/snat/read.ts'
import {
  parseRecording,
  type Recording,
  readRecording,
  record,
  recordedCloud,
  recordingText,
} from '../../../src/snat/recording.ts'
import {DVR, factsOf, LEGACY, VM_LEGACY, withLegs} from '../../support/snat.ts'

const file = fileURLToPath(new URL('../../../samples/snat.json', import.meta.url))
const sample = await readRecording(file)
const real = (name: Parameters<typeof factsOf>[0]): Recording => ({
  ...factsOf(name),
  servers: [],
  router_agents: {},
})

test('the sample has a router of every mode that an admin can see, and of every flag', async () => {
  const cloud = recordedCloud(sample)
  const {rows} = (await readStatus(cloud, [], {})).answer
  expect(new Set(rows.map(row => row.mode))).toEqual(new Set(MODES.filter(mode => mode !== 'unknown')))
  expect(rows.flatMap(row => row.flags)).toEqual(
    expect.arrayContaining(['stale', 'unbound', 'single-replica']),
  )
  expect((await readDetail(cloud, 'ha-split')).answer.router.flags).toEqual(['two-actives'])
  const ways = rows.map(row => [row.router, [row.vms_central, row.vms_bypass, row.vms_unknown]])
  expect(Object.fromEntries(ways)).toMatchObject({
    dvr: [2, 1, 0],
    'dvr-central-fip': [1, 0, 0],
    'local-gateway': [1, 1, 0],
    'ovn-fip': [0, 1, 0],
    legacy: [2, 0, 0],
  })
  expect((await readTrace(cloud, 'vm3')).answer.hops.length).toBeGreaterThan(0)
})

describe.each(['zed-ovs', 'zed-ovs-member', 'zed-ovn'] as const)('%s, recorded and read again', name => {
  const before = recordedCloud(real(name))

  test('gives every command the same answers', async () => {
    const text = recordingText(await record(before))
    const after = recordedCloud(parseRecording(text, 'x'))
    expect(recordingText(await record(after))).toBe(text)
    expect(await readStatus(after, [], {})).toEqual(await readStatus(before, [], {}))
    expect(await readComparison(after, {})).toEqual(await readComparison(before, {}))
  })

  test('masked, it decides the same with other names and addresses', async () => {
    const {rows, hosts} = (await readStatus(before, [], {})).answer
    const text = recordingText(mask(await record(before)))
    const after = await readStatus(recordedCloud(parseRecording(text, 'x')), [], {})
    const decided = ({id, mode, flags, vms_central, vms_bypass, vms_unknown}: (typeof rows)[number]) => ({
      id,
      mode,
      flags,
      vms: [vms_central, vms_bypass, vms_unknown],
    })
    const byId = (all: typeof rows) => all.map(decided).sort((a, b) => (a.id < b.id ? -1 : 1))
    expect(byId(after.answer.rows)).toEqual(byId(rows))
    expect(after.answer.hosts.length).toBe(hosts.length)
    for (const row of rows)
      for (const word of [row.router, ...(row.hosts ?? []), ...(row.snat_ips ?? [])].filter(
        one => !row.id.startsWith(one),
      ))
        expect(text).not.toContain(`"${word}"`)
  })
})

test('a mask keeps what lies below what, and is another one each time', () => {
  const {subnets, ports} = mask(sample)
  const byId = new Map(subnets.map(subnet => [subnet.id, subnet.cidr.replace(/\d+\/24$/, '')]))
  const fixed = ports.flatMap(port => port.fixed_ips)
  expect(fixed.length).toBeGreaterThan(20)
  for (const {subnet_id, ip_address} of fixed)
    expect(ip_address.startsWith(byId.get(subnet_id) ?? '?')).toBe(true)
  expect(new Set(byId.values()).size).toBe(new Set(sample.subnets.map(subnet => subnet.cidr)).size)
  expect(mask(sample).subnets).not.toEqual(subnets)
  const key = Buffer.alloc(32, 1)
  expect(mask(sample, key)).toEqual(mask(sample, key))
})

test('a mask lets through what it knows, and nothing else', () => {
  const secret = {availability_zone: 'acme-berlin', description: 'rack 5 of acme'}
  const agent = {id: 'acme1.example', host: 'acme1.example', agent_type: 'OVN Controller agent', alive: true}
  const [port] = sample.ports
  const text = recordingText(
    mask({
      ...sample,
      ports: [
        {...port, ...secret, device_owner: 'compute:acme-berlin', name: 'acme'},
        {...port, device_owner: 'network:dhcp', device_id: 'dhcpacme', 'binding:host_id': 'acme1.example'},
        {...port, device_id: 'deadbeef-acme'},
      ] as never,
      agents: [
        {
          ...agent,
          ...secret,
          configurations: {
            rack: 'acme',
            'bridge-mappings': 'acme:br-acme',
            bridge_mappings: {acme: 'br-acme'},
          },
        },
      ] as never,
      networks: [{...sample.networks[0], name: 'acme', 'provider:physical_network': 'acme'}] as never,
      subnets: [{...sample.subnets[0], service_types: ['compute:acme-berlin', LOCAL_SNAT]}] as never,
      servers: [{id: port?.device_id ?? '', name: 'acme', ...secret}],
      router_agents: {[sample.routers[0]?.id ?? '']: [{...agent, ...secret}] as never},
      gaps: [{listing: 'agents', why: 'failed', message: 'http://acme.example answered 500'}],
    }),
  )
  expect(text).not.toMatch(/acme|berlin|rack/)
  const {agents, router_agents, subnets} = JSON.parse(text)
  expect(subnets[0].service_types).toEqual(['compute:nova', LOCAL_SNAT])
  expect(Object.values(router_agents)[0]).toMatchObject([{id: agents[0].id, host: agents[0].host}])
})

test('10,000 names and addresses are masked in little work', () => {
  const hmac = jest.spyOn(Map.prototype, 'set')
  const [port] = sample.ports
  const ports = Array.from({length: 10_000}, (_, n) => ({
    ...port,
    fixed_ips: [{subnet_id: 's', ip_address: `10.0.${n >> 8}.${n & 255}`}],
  }))
  mask({...sample, ports} as never)
  // Two bits an address, as prefixes are shared; and never all of them again.
  expect(hmac.mock.calls.length).toBeLessThan(40_000)
  hmac.mockRestore()
})

test('states that could not be had are recorded as such: the replicas are then those of the ports', async () => {
  const cloud = recordedCloud(sample)
  const refuse = async () => Promise.reject(new OpenStackError('forbidden', 'no'))
  const live = {...cloud, network: {...cloud.network, routerAgents: refuse}}
  const replicas = async (from: typeof cloud) => (await readDetail(from, 'ha')).answer.replicas
  expect((await replicas(live)).map(one => one.host)).toEqual(['net1', 'net2'])
  expect(await replicas(recordedCloud(await record(live)))).toEqual(await replicas(live))
})

test('an account that is refused as a whole makes no thinner recording', async () => {
  const cloud = recordedCloud(sample)
  const over = async () => Promise.reject(new OpenStackError('unauthorized', 'over'))
  const refused = {...cloud, compute: {servers: over}}
  await expect(record(refused)).rejects.toMatchObject({fault: 'unauthorized'})
})

test('a masked recording answers a trace as the real one does, hop by hop', async () => {
  const kinds = async (recording: Recording) =>
    (await readTrace(recordedCloud(recording), VM_LEGACY)).answer.hops.map(hop => hop.kind)
  expect(await kinds(mask(real('zed-ovs')))).toEqual(await kinds(real('zed-ovs')))
  const {router} = (await readDetail(recordedCloud(mask(real('zed-ovs'))), LEGACY)).answer
  expect(router).toMatchObject({router: 'router-1', mode: 'central-legacy'})
})

test('a recording answers of the time when it was made, and one of old knows of no heartbeats', async () => {
  const alive = {...withLegs(factsOf('zed-ovs'), {host: 'compute1'}), servers: [], router_agents: {}}
  const modeIn = async (recording: Recording) =>
    (await readStatus(recordedCloud(recording), [DVR], {})).answer.rows[0]?.mode
  const text = recordingText(alive)
  expect(await modeIn(parseRecording(text, 'x'))).toBe('local-gateway')
  expect(await modeIn(parseRecording(recordingText(mask(alive)), 'x'))).toBe('local-gateway')
  expect(await modeIn(parseRecording(recordingText(await record(recordedCloud(alive))), 'x'))).toBe(
    'local-gateway',
  )
  for (const at of ['null', '"now"', '1e400', '-0.5'])
    expect(await modeIn(parseRecording(text.replace(/"at": \d+/, `"at": ${at}`), 'x'))).toBe('dvr-central')
})

describe('what is no recording', () => {
  test.each([
    ['{', 'it is not JSON'],
    ['[]', 'it has no list of routers'],
    ['{"routers":{}}', 'it has no list of routers'],
    ['{"routers":[],"ports":[1]}', 'ports is not a list of objects'],
    [
      '{"routers":[{"id":"../../x"}]}',
      'the network service gave a router whose id makes no sense: "../../x"',
    ],
    [
      '{"routers":[],"ports":[{"device_owner":5}]}',
      'the network service gave a port whose device_owner makes no sense: 5',
    ],
    [
      '{"routers":[{"external_gateways":[{"external_fixed_ips":5}]}]}',
      'the network service gave a router whose external_gateways makes no sense: [{"external_fixed_ips":5}]',
    ],
    [
      '{"routers":[],"availabilities":[{"subnet_ip_availability":[null]}]}',
      'the network service gave a availability whose subnet_ip_availability makes no sense: [null]',
    ],
    ['{"routers":[],"router_agents":[]}', 'router_agents is not an object'],
    ['{"routers":[],"router_agents":{"a":[1]}}', 'router_agents is damaged'],
  ])('%s', (text, why) => {
    const read = () => parseRecording(text, 'x.json')
    expect(read).toThrow(
      expect.objectContaining({code: 'CONFIG', message: `x.json is no recording of os-ssh snat: ${why}`}),
    )
  })

  test('a file that is not there', async () => {
    await expect(readRecording('/nowhere/x')).rejects.toMatchObject({
      code: 'CONFIG',
      message: "the recording cannot be read: ENOENT: no such file or directory, open '/nowhere/x'",
    })
  })
})

test('words that every object has are no routers and no kinds of port', async () => {
  const [port] = sample.ports
  const odd = {...port, device_owner: 'constructor', device_id: sample.routers[0]?.id}
  const {rows} = (await readStatus(recordedCloud({...sample, ports: [odd] as never}), [], {})).answer
  expect(rows.length).toBe(sample.routers.length)
})

test('a gap is recorded as one', async () => {
  const gaps = [{listing: 'agents', why: 'forbidden', message: 'Neutron answered 403'}] as const
  const cloud = recordedCloud({...NO_FACTS, gaps, servers: [], router_agents: {}})
  expect((await record(cloud)).gaps).toEqual(gaps)
})
