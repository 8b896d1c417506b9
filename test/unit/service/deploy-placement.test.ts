import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {OpenStack, Port, Server, Token} from '../../../src/openstack/index.ts'
import type {Caller} from '../../../src/service/caller.ts'
import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import {PathEvents} from '../../../src/service/events.ts'
import {drainGate} from '../../../src/service/store/gates.ts'
import {machines as allMachines, failMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path as pathById} from '../../../src/service/store/paths.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {FakeCloud} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, wanted} from '../../support/fleet.ts'
import {gateRow} from '../../support/rows.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {Fleet} = await import('../../../src/service/deploy/fleet.ts')
const {grantPath} = await import('../../../src/service/grant.ts')
const {placeWaiting} = await import('../../../src/service/placement.ts')

/* A path and the gates that there are, or are on their way: where it goes, and what it waits for. */

const limits = {maxLife: 3600, defaultLife: 1800, certLife: 600, attachments: 2, paths: 3}
const public_key = generateKeyPair('alice').publicKey

let db: Store
let cloud: FakeCloud
let config: Partial<GatesConfig>
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  for (const table of ['path_facts', 'holdings'] as const) await db.deleteFrom(table).execute()
  cloud = new FakeCloud()
  Object.assign(cloud.facts, {zones: ['a', 'b']})
  config = {automatic: true}
})

/** The cloud as the VM's user sees it. */
function seenBy(zone: string): OpenStack {
  const vm = {id: 's1', name: 'web', status: 'ACTIVE', tenant_id: 't1', 'OS-EXT-AZ:availability_zone': zone}
  const port = {
    ...{id: 'p1', network_id: 'net', project_id: 't1', device_id: 's1', device_owner: 'compute:nova'},
    ...{security_groups: ['sg1'], fixed_ips: [{subnet_id: 'sub1', ip_address: '10.0.0.10'}]},
  } as unknown as Port
  return {
    compute: {server: async () => vm as unknown as Server},
    network: {
      ports: async (filter: {device_owner?: unknown}) => (filter.device_owner === undefined ? [port] : []),
      networks: async () => [{id: 'net', project_id: 't1', mtu: 1450, 'router:external': false}],
      routers: async () => [],
      subnets: async () => [{id: 'sub1', network_id: 'net', cidr: '10.0.0.0/24', ip_version: 4}],
    },
  } as unknown as OpenStack
}
const context = () => ({
  ...{cloud: {} as OpenStack, db, clock: () => cloud.now, log: pino({level: 'silent'})},
  ...{events: new PathEvents(), fleet: new Fleet(replica(cloud, db, config, false))},
  gates: {sessions: async () => undefined, wakeFor: () => undefined, check: async () => undefined},
})
const ask = async (zone = 'a', user = 'u1') => {
  const token = {user: {id: user, name: user}, project: {id: 't1', name: 't1'}, roles: ['member']}
  const caller: Caller = {
    ...{token: token as unknown as Token, cloud: seenBy(zone), source: '127.0.0.1', admin: false},
  }
  return (await grantPath(context(), caller, {server_id: 's1', public_key}, limits)).path
}
const gate = (id: string, change: Parameters<typeof gateRow>[1] = {}) =>
  gateRow(db, {id, name: id, server_id: `server-${id}`, ...change})
const place = () => placeWaiting(context(), limits)

describe('where no gate will do', () => {
  it('a path waits for the one that is made for it, and goes there', async () => {
    const path = await ask()
    expect(path).toMatchObject({state: 'requested', gate_id: ''})
    const [machine, ...more] = await allMachines(db)
    expect([machine, more]).toMatchObject([{state: 'wanted', serves: 't1', zone: 'a'}, []])
    // Longer than for anything else that a path waits for.
    cloud.now += 60_000
    await place()
    expect((await pathById(db, path.id))?.state).toBe('requested')
    expect(await allMachines(db)).toHaveLength(1)
    await tend(replica(cloud, db, config), machine?.id ?? '', isOurs)
    await place()
    expect(await pathById(db, path.id)).toMatchObject({state: 'pending', gate_id: machine?.id})
  })

  it('a path is refused with what the planner and the fleet say, when that gate fails', async () => {
    const path = await ask()
    const [machine] = await allMachines(db)
    await failMachine(db, machine?.id ?? '', 'Nova says: No valid host was found', cloud.now)
    await place()
    expect(await pathById(db, path.id)).toMatchObject({
      state: 'released',
      error: {
        code: 'NO_GATE',
        message:
          'no gate serves the project of this VM; none is made: the last one could not be made; the next try is in 30 s',
      },
    })
  })

  it('a path waits no longer than what its user saw is good for', async () => {
    const path = await ask()
    cloud.now += 600_000
    await place()
    expect((await pathById(db, path.id))?.state).toBe('requested')
    cloud.now += 1
    await place()
    expect(await pathById(db, path.id)).toMatchObject({state: 'released', error: {code: 'BUSY'}})
  })

  it('a path is refused at once when none is made by itself', async () => {
    config = {}
    await expect(ask()).rejects.toMatchObject({
      code: 'NO_GATE',
      message: 'no gate serves the project of this VM',
    })
    expect(await allMachines(db)).toEqual([])
  })
})

describe('a gate in the VM’s zone', () => {
  it('comes first, though it is fuller', async () => {
    await gate('far', {zone: 'b'})
    await gate('near', {zone: 'a'})
    await ask('a', 'u0')
    expect(await ask('a', 'u1')).toMatchObject({gate_id: 'near'})
    expect(await ask('b', 'u2')).toMatchObject({gate_id: 'far'})
  })

  it('is made where there is none, before one of another zone is taken', async () => {
    await gate('far', {zone: 'b'})
    expect(await ask('a')).toMatchObject({state: 'requested'})
    expect(await allMachines(db)).toMatchObject([{zone: 'a'}])
  })

  it.each([
    ['none is made by itself', {}],
    ['there are as many as may be', {automatic: true, max: 1}],
  ])('is not waited for when %s', async (_, how) => {
    config = how
    await wanted(cloud, db, {zone: 'elsewhere'})
    await gate('far', {zone: 'b'})
    expect(await ask('a')).toMatchObject({state: 'pending', gate_id: 'far'})
    expect(await allMachines(db)).toHaveLength(1)
  })

  it('may be one whose zone nobody knows', async () => {
    await gate('anywhere', {zone: null})
    expect(await ask('a')).toMatchObject({gate_id: 'anywhere'})
  })
})

describe('whom a gate serves', () => {
  beforeEach(() => {
    config = {}
  })
  const nobodys = {code: 'NO_GATE', message: 'no gate serves the project of this VM'}

  it.each([
    ['another project', {scope: 'project', project_id: 'infra', serves: 't2'}],
    ['its own project', {scope: 'project', project_id: 'infra', serves: null}],
    ['another project, from the VM’s own', {scope: 'project', project_id: 't1', serves: 't2'}],
  ] as const)('%s: no stranger', async (_, row) => {
    await gate('g', row)
    await expect(ask()).rejects.toMatchObject(nobodys)
  })

  it.each([
    ['this project', {scope: 'project', project_id: 'infra', serves: 't1'}],
    ['its own project', {scope: 'project', project_id: 't1', serves: null}],
    ['all', {scope: 'shared', project_id: 'infra', serves: null}],
  ] as const)('%s', async (_, row) => {
    await gate('g', row)
    expect(await ask()).toMatchObject({gate_id: 'g'})
  })

  it('nobody new, when it is drained, and those that it has', async () => {
    await gate('g')
    const first = await ask('a', 'u1')
    await drainGate(db, {id: 'g', name: 'g', server_id: 's'}, true, operator, cloud.now)
    await expect(ask('a', 'u2')).rejects.toMatchObject(nobodys)
    expect(await ask('a', 'u1')).toMatchObject({id: first.id, state: 'pending'})
    await drainGate(db, {id: 'g', name: 'g', server_id: 's'}, false, operator, cloud.now)
    expect(await ask('a', 'u2')).toMatchObject({gate_id: 'g'})
  })
})
