import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {gates as allGates} from '../../../src/service/store/gates.ts'
import {
  machines as allMachines,
  failMachine,
  noteMachine,
  retireMachine,
} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {Crash, type Cut, DELETE_MS, FakeCloud, PUBLIC} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, rowOf, SERVICE, wanted} from '../../support/fleet.ts'
import {attachmentRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')

/* Whatever call a service is killed at, or gets no answer to: there is one of each in the end, and none when it was deleted. */

let db: Store
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(() => emptied(db))

const NAME = `os-ssh-${SERVICE}-gate-0a1b2c`

/** A cloud with things that are called like ours and are not. */
function populated(): FakeCloud {
  const cloud = new FakeCloud()
  cloud.project = 'other'
  for (const name of [NAME, `os-ssh-${SERVICE}-gates`]) {
    const port = cloud.makePort({name, network_id: 'net'})
    cloud.makeServer({name, networks: [{port: port.id}], flavorRef: '1', metadata: {'os-ssh': SERVICE}})
    cloud.makeGroup({name})
  }
  cloud.project = 'infra'
  const port = cloud.makePort({name: 'of a user', network_id: 'net'})
  cloud.makeServer({name: NAME, networks: [{port: port.id}], flavorRef: '1'})
  cloud.makeFloating({floating_network_id: PUBLIC, port_id: port.id, description: 'of a user'})
  cloud.makeFloating({floating_network_id: PUBLIC, description: 'of a user'})
  cloud.serverGroups.push({id: cloud.id(), name: 'of a user', policy: 'affinity', members: []})
  return cloud
}

const listed = (cloud: FakeCloud) => ({
  servers: cloud.alive().map(one => one.id),
  ports: cloud.ports.map(one => one.id),
  floating: cloud.floating.map(one => one.id),
  groups: cloud.groups.map(one => one.id),
  serverGroups: cloud.serverGroups.map(one => one.id),
})
type Listed = ReturnType<typeof listed>

/** How many more there are than before, and whether all that was there still is. */
function added(before: Listed, now: Listed) {
  const kinds = Object.keys(before) as (keyof Listed)[]
  for (const kind of kinds) expect(now[kind]).toEqual(expect.arrayContaining(before[kind]))
  return Object.fromEntries(kinds.map(kind => [kind, now[kind].length - before[kind].length]))
}
const ONE = {servers: 1, ports: 1, floating: 1, groups: 1, serverGroups: 1}
const NONE = {servers: 0, ports: 0, floating: 0, groups: 0, serverGroups: 0}

async function isRunning(store: Store, cloud: FakeCloud, id: string): Promise<void> {
  expect(await rowOf(store, id)).toMatchObject({state: 'running', first_key: null, next_key: null})
  const [server] = cloud.alive().filter(one => one.metadata['os-ssh-gate'] === id)
  const [floating] = cloud.floating.filter(one => one.port_id === server?.port)
  const rows = await allGates(store)
  expect(rows).toMatchObject([{id, server_id: server?.id, host: floating?.floating_ip_address}])
  const host = cloud.hosts.get(server?.id ?? '')
  expect(host?.ran).toContain('take-host-key')
  expect(rows[0]?.host_key).toBe(host?.key)
}

/** Made, or deleted, with the n-th call cut off. @returns false when there was no such call */
async function cutAt(n: number, how: Cut, deleting: boolean): Promise<boolean> {
  await emptied(db)
  const cloud = populated()
  const before = listed(cloud)
  const id = await wanted(cloud, db)
  if (deleting) {
    await tend(replica(cloud, db), id, isOurs)
    await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
  }
  cloud.calls.length = 0
  cloud.cut = at => (at === n ? how : undefined)
  const died = await tend(replica(cloud, db), id, isOurs).then(
    () => false,
    error => error instanceof Crash || Promise.reject(error),
  )
  const isOver = cloud.calls.length < n
  expect(died).toBe(!isOver && how !== 'lost')
  cloud.revive()
  await tend(replica(cloud, db), id, isOurs)
  if (deleting) {
    expect(await allGates(db)).toEqual([])
    expect(await allMachines(db)).toEqual([])
  } else await isRunning(db, cloud, id)
  expect(added(before, listed(cloud))).toEqual(deleting ? NONE : ONE)
  return !isOver
}

describe.each(['die before', 'die after', 'lost'] as const)('%s the n-th call', how => {
  it.each([
    ['making', false, 25],
    ['deleting', true, 8],
  ] as const)('of %s a gate', async (_, deleting, least) => {
    let n = 1
    while (
      await cutAt(n, how, deleting).catch(error => Promise.reject(new Error(`call ${n}`, {cause: error})))
    )
      n++
    // As many as there are at least: a loop that found none would be green, too.
    expect(n).toBeGreaterThan(least)
  })
})

describe.each(dialects)('on $name', ({open}) => {
  it('two replicas that both think it is theirs make one', async () => {
    const store = await open()
    const cloud = populated()
    const before = listed(cloud)
    const id = await wanted(cloud, store)
    await Promise.all([1, 2].map(() => tend(replica(cloud, store), id, isOurs)))
    cloud.now += DELETE_MS
    await isRunning(store, cloud, id)
    // Two may have made whatever has no unique name; who was first has the machine, and the rest goes with it.
    expect(added(before, listed(cloud))).toMatchObject({servers: 1})
    const row = await rowOf(store, id)
    await retireMachine(store, row, 'gate-delete', operator, cloud.now)
    await Promise.all([1, 2].map(() => tend(replica(cloud, store), id, isOurs)))
    expect(added(before, listed(cloud))).toEqual(NONE)
    await store.destroy()
  })
})

it('a replica that meets the key which another one has had made goes on with that', async () => {
  const cloud = populated()
  const id = await wanted(cloud, db)
  cloud.cut = async (_, call) => {
    const host = cloud.at((await rowOf(db, id)).host ?? '')
    if (call !== 'run new-host-key' || host === undefined || (await rowOf(db, id)).next_key !== null)
      return undefined
    await noteMachine(db, id, {next_key: host.run('new-host-key').stdout.trim()})
    host.run('take-host-key')
    return undefined
  }
  await tend(replica(cloud, db), id, isOurs)
  await isRunning(db, cloud, id)
})

it('a group that somebody’s port is in stays, and keeps no gate from going', async () => {
  const cloud = new FakeCloud()
  const id = await wanted(cloud, db)
  await tend(replica(cloud, db), id, isOurs)
  cloud.makePort({name: 'of a user', network_id: 'net', security_groups: [cloud.groups[0]?.id ?? '']})
  await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
  await tend(replica(cloud, db), id, isOurs)
  expect(await allMachines(db)).toEqual([])
  expect(listed(cloud)).toMatchObject({
    servers: [],
    floating: [],
    serverGroups: [],
    groups: [expect.any(String)],
  })
})

it('what is plugged into a gate is let go before anything of it is deleted', async () => {
  const cloud = new FakeCloud()
  const id = await wanted(cloud, db)
  await tend(replica(cloud, db), id, isOurs)
  await attachmentRow(db, {gate_id: id, state: 'ready'})
  await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
  const service = replica(cloud, db)
  let asked = 0
  await tend(service, id, async () => {
    if (++asked < 4) expect([cloud.alive().length, (await allGates(db)).length]).toEqual([1, 1])
    if (asked === 4) await db.deleteFrom('attachments').execute()
    return true
  })
  expect(asked).toBeGreaterThan(4)
  expect([cloud.alive(), await allGates(db), await allMachines(db)]).toEqual([[], [], []])
  expect([service.woken[0], service.dropped]).toEqual([id, [id]])
})

it('the groups stay while there is another one of them, and go with the last', async () => {
  const cloud = new FakeCloud()
  const ids = ['a0a0a0a0', 'b0b0b0b0'].map(start => `${start}-0000-4000-8000-000000000000`)
  for (const id of ids) {
    await wanted(cloud, db, {id})
    await tend(replica(cloud, db), id, isOurs)
  }
  const counts: number[] = []
  for (const id of ids) {
    await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
    await tend(replica(cloud, db), id, isOurs)
    counts.push(cloud.groups.length, cloud.serverGroups.length)
  }
  expect(counts).toEqual([1, 1, 0, 0])
})

it('a failed one of which nothing is left keeps no group', async () => {
  const cloud = new FakeCloud()
  const lost = 'a0a0a0a0-0000-4000-8000-000000000000'
  await wanted(cloud, db, {id: lost})
  const id = await wanted(cloud, db)
  await tend(replica(cloud, db), id, isOurs)
  await failMachine(db, lost, 'why', cloud.now)
  await tend(replica(cloud, db), lost, isOurs)
  expect(cloud.groups).toHaveLength(1)
  await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
  await tend(replica(cloud, db), id, isOurs)
  expect([cloud.groups, (await allMachines(db)).length]).toEqual([[], 1])
})

it('replicas that find the same server keep it', async () => {
  const cloud = populated()
  const id = await wanted(cloud, db)
  cloud.cut = (_, call) => (call === 'createServer' ? 'die after' : undefined)
  await expect(tend(replica(cloud, db), id, isOurs)).rejects.toThrow(Crash)
  cloud.revive()
  await Promise.all([1, 2].map(() => tend(replica(cloud, db), id, isOurs)))
  cloud.now += DELETE_MS
  await isRunning(db, cloud, id)
  expect(cloud.calls).not.toContain('deleteServer')
})

it('a console that shows the new key already, after a reboot, is no stranger’s', async () => {
  const cloud = populated()
  const id = await wanted(cloud, db)
  cloud.cut = (_, call) => (call === 'run nothing' ? 'die before' : undefined)
  await expect(tend(replica(cloud, db), id, isOurs)).rejects.toThrow(Crash)
  cloud.revive()
  const host = cloud.at((await rowOf(db, id)).host ?? '')
  Object.assign(host ?? {}, {
    console: `-----BEGIN SSH HOST KEY KEYS-----\n${host?.key} root@gate\n-----END SSH HOST KEY KEYS-----\n`,
  })
  await tend(replica(cloud, db), id, isOurs)
  await isRunning(db, cloud, id)
})
