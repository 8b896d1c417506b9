import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'
import {sql} from 'kysely'

import {OpenStackError} from '../../../src/openstack/index.ts'
import type {GatesConfig} from '../../../src/service/deploy/config.ts'
import {gateDown, gate as gateOf} from '../../../src/service/store/gates.ts'
import {machines as allMachines, retireMachine} from '../../../src/service/store/machines.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {FakeCloud, type FakeServer} from '../../support/fake-cloud.ts'
import {emptied, isOurs, operator, replica, rowOf, wanted} from '../../support/fleet.ts'
import {gateRow} from '../../support/rows.ts'

const {tend} = await import('../../../src/service/deploy/machine.ts')
const {heal} = await import('../../../src/service/deploy/heal.ts')

/* What becomes of a running gate whose server, port, address or group is not as it shall be. */

let db: Store
let cloud: FakeCloud
let id: string
beforeAll(async () => {
  db = await openStore(':memory:')
})
afterAll(() => db.destroy())
beforeEach(async () => {
  await emptied(db)
  cloud = new FakeCloud()
  id = await wanted(cloud, db, {serves: 't1', zone: 'nova', wish: {zone: 'nova'}})
  await tend(replica(cloud, db), id, isOurs)
  await db.updateTable('gates').set({state: 'ready'}).execute()
  await db.deleteFrom('audit').execute()
  cloud.revive()
})

const look = (config: Partial<GatesConfig> = {}) => heal(replica(cloud, db, {silence: 120, ...config}), true)
const server = (): FakeServer => {
  const [one] = cloud.alive()
  if (one === undefined) throw new Error('there is no server')
  return one
}
const asked = (call: string) => cloud.calls.filter(one => one === call).length
const states = async () => (await allMachines(db)).map(({state, reason}) => [state, reason])
const UNTOUCHED = [['running', null]]
const passed = (ms: number) => {
  cloud.now += ms
}

it('a gate that is well is only looked at', async () => {
  await look()
  expect(await states()).toEqual(UNTOUCHED)
  expect(cloud.calls.filter(call => /^(create|update|delete|reboot|start)/.test(call))).toEqual([])
})

describe('is replaced by one like it', () => {
  async function isReplaced(why: string): Promise<void> {
    const [old, fresh, ...more] = await allMachines(db)
    expect(more).toEqual([])
    expect(old).toMatchObject({id, state: 'deleting', reason: why})
    expect(fresh).toMatchObject({
      ...{
        state: 'wanted',
        serves: 't1',
        zone: 'nova',
        scope: 'project',
        wish: {zone: 'nova'},
        automatic: true,
      },
      ...{created_at: cloud.now, server_id: null, plan: undefined},
    })
    expect(fresh?.name).not.toBe(old?.name)
    expect(await gateOf(db, id)).toMatchObject({state: 'down', reason: why})
    const audit = await db.selectFrom('audit').select(['action', 'detail', 'user_name']).execute()
    expect(audit).toEqual([
      {action: 'gate-replace', detail: `${old?.name}: ${why}`, user_name: 'the SSH service'},
      {action: 'gate-deploy', detail: fresh?.name, user_name: 'the SSH service'},
    ])
  }

  it('when Nova has deleted its server', async () => {
    server().gone = cloud.now
    await look()
    await isReplaced('its server is gone')
  })

  it('when its server is in ERROR', async () => {
    server().forced = 'ERROR'
    await look()
    await isReplaced('its server is in ERROR')
  })

  it('when its port is gone, which no server gets back', async () => {
    cloud.ports.splice(0)
    // As long as it answers there is another one.
    await look()
    expect(await states()).toEqual(UNTOUCHED)
    await gateDown(db, id, 'no answer')
    await look()
    await isReplaced('its port is gone')
  })

  it('when its port is at another server', async () => {
    Object.assign(cloud.ports[0] ?? {}, {device_id: 'another'})
    await gateDown(db, id, 'no answer')
    await look()
    await isReplaced('its port is gone')
  })

  it('once, when two replicas notice', async () => {
    server().gone = cloud.now
    await Promise.all([look(), look()])
    expect((await allMachines(db)).map(row => row.state)).toEqual(['deleting', 'wanted'])
  })

  it('not when an operator deletes it meanwhile', async () => {
    server().gone = cloud.now
    cloud.cut = async (_, call) => {
      if (call === 'server') await retireMachine(db, await rowOf(db, id), 'gate-delete', operator, cloud.now)
      return undefined
    }
    await look()
    expect((await allMachines(db)).map(row => row.state)).toEqual(['deleting'])
  })

  it('by all of it or nothing', async () => {
    server().gone = cloud.now
    // Whoever may not write the second row does not write the first.
    const {name} = await rowOf(db, id)
    await db.updateTable('machines').set({zone: null}).execute()
    const trigger = `create trigger refuse before insert on machines begin select raise(abort, 'disk full'); end`
    await sql.raw(trigger).execute(db)
    await look()
    await sql.raw('drop trigger refuse').execute(db)
    expect(await allMachines(db)).toMatchObject([{name, state: 'running'}])
    expect(await db.selectFrom('audit').selectAll().execute()).toEqual([])
  })
})

describe('nothing is replaced', () => {
  it('for a listing that has missed the server', async () => {
    const {name} = server()
    server().name = 'renamed'
    await look()
    expect(await states()).toEqual(UNTOUCHED)
    expect(asked('server')).toBe(1)
    server().name = name
  })

  it('when the account is in another project now, and sees nothing', async () => {
    cloud.project = 'elsewhere'
    server().gone = cloud.now
    await look()
    expect(await states()).toEqual(UNTOUCHED)
    expect(cloud.groups.map(group => group.project_id)).toEqual(['infra'])
  })

  it.each(['servers', 'server', 'ports', 'token'])('when the cloud does not answer (%s)', async call => {
    server().name = 'renamed'
    cloud.cut = (_, name) => (name === call ? new OpenStackError('unreachable', 'no route') : undefined)
    await look().catch(error => expect(error).toBeInstanceOf(OpenStackError))
    expect(await states()).toEqual(UNTOUCHED)
  })

  it('for a gate that was only registered, or is another’s to see', async () => {
    await gateRow(db, {id: 'registered', server_id: 'registered', state: 'down', name: 'mine'})
    await look()
    expect(await states()).toEqual(UNTOUCHED)
    expect((await gateOf(db, 'registered'))?.state).toBe('down')
  })

  it('for a server of another machine of the same name', async () => {
    const like = cloud.makePort({name: 'x', network_id: 'net'})
    cloud.makeServer({name: server().name, networks: [{port: like.id}], flavorRef: '1'})
    const [, other] = cloud.alive()
    Object.assign(other ?? {}, {forced: 'ERROR'})
    cloud.servers.reverse()
    await look()
    expect(await states()).toEqual(UNTOUCHED)
  })

  it('for the gate beside it', async () => {
    const second = 'ffffffff-0000-4000-8000-000000000000'
    await wanted(cloud, db, {id: second})
    await tend(replica(cloud, db), second, isOurs)
    await db.updateTable('gates').set({state: 'ready'}).execute()
    server().gone = cloud.now
    await look()
    expect(await rowOf(db, id)).toMatchObject({state: 'deleting'})
    expect(await rowOf(db, second)).toMatchObject({state: 'running', reason: null})
  })
})

const SECOND = '5ec0d000-0000-4000-8000-000000000000'

describe('silent', () => {
  const goesDown = () => {
    for (const host of cloud.hosts.values()) host.isSilent = true
    return gateDown(db, id, 'no answer')
  }

  it('for two minutes: rebooted once, and replaced when it stays so and another one answers', async () => {
    await goesDown()
    await look()
    expect(await rowOf(db, id)).toMatchObject({silent_since: cloud.now})
    passed(119_999)
    await look()
    expect(asked('rebootServer')).toBe(0)
    passed(1)
    await look()
    await look()
    expect(asked('rebootServer')).toBe(1)
    passed(120_000)
    await look()
    const why =
      'it does not answer, nor does any other gate: is the way out of the service open? os-ssh gate delete replaces it'
    expect(await states()).toEqual([['running', why]])
    const other = await wanted(cloud, db, {id: SECOND, serves: 't1'})
    await tend(replica(cloud, db), other, isOurs)
    const is = (state: 'down' | 'ready') =>
      db.updateTable('gates').set({state}).where('id', '=', other).execute()
    await is('down')
    await look()
    expect((await states())[0]).toEqual(['running', why])
    // Whoever says that it is ready may be another replica, with another way out.
    await is('ready')
    const [, host] = [...cloud.hosts.values()]
    Object.assign(host ?? {}, {isSilent: true})
    await look()
    expect((await states())[0]).toEqual(['running', why])
    Object.assign(host ?? {}, {isSilent: false})
    await look()
    expect(asked('rebootServer')).toBe(1)
    expect(await rowOf(db, id)).toMatchObject({
      ...{state: 'deleting', reason: 'it does not answer, not even after a reboot'},
    })
  })

  it('to another replica, and not to this one: nothing is done to it', async () => {
    await db.updateTable('machines').set({silent_since: 1}).execute()
    await gateDown(db, id, 'no answer')
    await look()
    expect(asked('rebootServer')).toBe(0)
    await db.updateTable('machines').set({rebooted_at: 2}).execute()
    await look()
    expect((await rowOf(db, id)).state).toBe('running')
  })

  it('its own answer is no other’s', async () => {
    await db.updateTable('machines').set({silent_since: 1, rebooted_at: 2}).execute()
    await goesDown()
    // Of itself, by a replica that is behind.
    await look()
    expect((await rowOf(db, id)).state).toBe('running')
  })

  it('and heard again: all is forgotten', async () => {
    await db.updateTable('machines').set({silent_since: 1, rebooted_at: 2, reason: 'why'}).execute()
    await look()
    expect(await rowOf(db, id)).toMatchObject({
      ...{state: 'running', silent_since: null, rebooted_at: null, reason: null},
    })
  })

  it('because it was stopped: started', async () => {
    server().forced = 'SHUTOFF'
    await goesDown()
    await look()
    await look()
    expect([asked('startServer'), asked('rebootServer')]).toEqual([1, 0])
    expect(server().forced).toBe('ACTIVE')
  })

  it('a reboot is written down before it is asked for: a kill between repeats none', async () => {
    await db.updateTable('machines').set({silent_since: 1}).execute()
    await goesDown()
    cloud.cut = (_, call) => (call === 'rebootServer' ? 'die before' : undefined)
    await look()
    expect(await rowOf(db, id)).toMatchObject({rebooted_at: cloud.now})
  })
})
