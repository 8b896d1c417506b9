import {fileURLToPath} from 'node:url'

import {describe, expect, test} from '@jest/globals'

import {NO_FACTS} from '../../../src/snat/facts.ts'
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
import {factsOf, LEGACY, VM_LEGACY} from '../../support/snat.ts'

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

test('a masked recording answers a trace as the real one does, hop by hop', async () => {
  const kinds = async (recording: Recording) =>
    (await readTrace(recordedCloud(recording), VM_LEGACY)).answer.hops.map(hop => hop.kind)
  expect(await kinds(mask(real('zed-ovs')))).toEqual(await kinds(real('zed-ovs')))
  const {router} = (await readDetail(recordedCloud(mask(real('zed-ovs'))), LEGACY)).answer
  expect(router).toMatchObject({router: 'router-1', mode: 'central-legacy'})
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

test('a gap is recorded as one', async () => {
  const gaps = [{listing: 'agents', why: 'forbidden', message: 'Neutron answered 403'}] as const
  const cloud = recordedCloud({...NO_FACTS, gaps, servers: [], router_agents: {}})
  expect((await record(cloud)).gaps).toEqual(gaps)
})
