import {afterEach, beforeEach, expect, it, jest} from '@jest/globals'

import {OpenStackError} from '../../../src/openstack/index.ts'
import {groupName, machineDescription} from '../../../src/service/deploy/names.ts'
import {fakeApi} from '../../support/fake-api.ts'
import {Crash, FakeCloud, type FakeServer} from '../../support/fake-cloud.ts'
import {counts, gateOf as madeGate} from '../../support/own-gates.ts'
import {clockOf} from '../../support/virtual-time.ts'

const {removeTraces, tracesOf} = await import('../../../src/embedded/traces.ts')

/* What a service has made in the cloud, found by what is written on it, and taken away. */

const OURS = '00000000-0000-4000-8000-00000000000a'
const THEIRS = '00000000-0000-4000-8000-00000000000b'

let cloud: FakeCloud
let api: ReturnType<typeof fakeApi>
beforeEach(() => {
  cloud = new FakeCloud()
  api = fakeApi(cloud)
  clockOf(cloud)
  jest.spyOn(Date, 'now').mockImplementation(() => cloud.now)
})
afterEach(() => void jest.restoreAllMocks())

const gateOf = (service: string, name: string): FakeServer => madeGate(cloud, service, name)
const left = () => counts(cloud)
const removals = () => cloud.calls.filter(call => call.startsWith('delete'))
const silent = () => undefined

it('all of one service, of every kind, and nothing of another', async () => {
  gateOf(OURS, 'gate-1')
  gateOf(OURS, 'gate-2')
  gateOf(THEIRS, 'gate-3')
  const traces = await tracesOf(api, OURS)
  const count = (kind: string) => traces.filter(trace => trace.kind === kind).length
  expect(['server', 'floating IP', 'port', 'security group', 'server group'].map(count)).toEqual([
    2, 2, 4, 1, 1,
  ])
  expect(traces.map(({name}) => name).sort()).not.toContain('gate-3')
})

it('not what its user has added, nor what is only named like ours', async () => {
  const {port} = gateOf(OURS, 'gate-1')
  const before = await tracesOf(api, OURS)
  cloud.makeFloating({floating_network_id: 'public', port_id: port, description: 'my own'})
  cloud.makePort({network_id: 'n', name: `os-ssh-${OURS}-gate-1`})
  cloud.makePort({network_id: 'n', description: `os-ssh gate gate-1 of service ${OURS}, a note of mine`})
  cloud.makeGroup({name: `os-ssh-${OURS}-mine`})
  cloud.makeServer({
    name: `os-ssh-${OURS}-gate-1`,
    networks: [{port: cloud.makePort({network_id: 'n'}).id}] as never,
    metadata: {'os-ssh': OURS},
    flavorRef: 'f',
  })
  expect(await tracesOf(api, OURS)).toEqual(before)
})

it('not what is called so in another project, where its user may be an administrator', async () => {
  gateOf(OURS, 'gate-1')
  const before = await tracesOf(api, OURS)
  const elsewhere = {project_id: 'other'}
  const description = machineDescription(OURS, {id: 'gate-1', name: 'gate-1'})
  Object.assign(cloud.makeGroup({name: groupName(OURS)}), elsewhere)
  Object.assign(cloud.makePort({network_id: 'n', description}), elsewhere)
  Object.assign(cloud.makeFloating({floating_network_id: 'public', description}), elsewhere)
  expect(await tracesOf(api, OURS)).toEqual(before)
})

it('a server goes first and is waited for; ports go before their group', async () => {
  gateOf(OURS, 'gate-1')
  gateOf(THEIRS, 'gate-2')
  await removeTraces(api, OURS, silent)
  expect(removals()).toEqual([
    'deleteServer',
    'deleteFloatingIp',
    'deletePort',
    'deletePort',
    'deleteSecurityGroup',
    'deleteServerGroup',
  ])
  expect(left()).toEqual([1, 1, 2, 1, 1])
})

it('nothing is nothing', async () => {
  await removeTraces(api, OURS, silent)
  expect(removals()).toEqual([])
})

it('what is gone meanwhile is gone, and what is in use is asked again', async () => {
  gateOf(OURS, 'gate-1')
  let refused = 0
  cloud.cut = (_, call) => {
    const fault = {deleteFloatingIp: 'not-found', deletePort: 'conflict'}[call]
    if (fault === undefined || ++refused > 3) return undefined
    return new OpenStackError(fault as 'conflict', 'not now', {status: fault === 'conflict' ? 409 : 404})
  }
  await removeTraces(api, OURS, silent)
  expect(left()).toEqual([0, 0, 0, 0, 0])
  expect(refused).toBeGreaterThan(3)
})

it('another refusal is said at once', async () => {
  gateOf(OURS, 'gate-1')
  cloud.cut = (_, call) =>
    call === 'deletePort' ? new OpenStackError('forbidden', 'not yours', {status: 403}) : undefined
  await expect(removeTraces(api, OURS, silent)).rejects.toMatchObject({
    fault: 'forbidden',
    message: 'not yours',
  })
})

it('cut off after any call it is ended by the next one', async () => {
  gateOf(OURS, 'gate-1')
  await removeTraces(api, OURS, silent)
  const calls = cloud.calls.length
  expect(calls).toBeGreaterThan(30)
  for (let n = 1; n <= calls; n++)
    for (const cut of ['die before', 'die after'] as const) {
      cloud = new FakeCloud()
      api = fakeApi(cloud)
      clockOf(cloud)
      gateOf(OURS, 'gate-1')
      cloud.cut = at => (at === n ? cut : undefined)
      await expect(removeTraces(api, OURS, silent)).rejects.toThrow(Crash)
      cloud.revive()
      await removeTraces(api, OURS, silent)
      expect(left()).toEqual([0, 0, 0, 0, 0])
    }
})

it('who waits is told, and after three minutes what does not go is named', async () => {
  const server = gateOf(OURS, 'gate-1')
  server.gone = cloud.now + 3600_000
  const told: string[] = []
  await expect(removeTraces(api, OURS, line => told.push(line))).rejects.toMatchObject({
    code: 'BUSY',
    message: 'after 181 s server gate-1 is not gone yet',
    suggestions: ['os-ssh destroy goes on'],
  })
  expect(told[0]).toBe('deleting server gate-1, 1 s …')
  expect(told).toHaveLength(180)
  // It was told once.
  expect(removals()).toEqual(['deleteServer'])
})
