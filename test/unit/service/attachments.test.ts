import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'
import {pino} from 'pino'

import {type OpenStack, OpenStackError, type Port} from '../../../src/openstack/index.ts'
import {plug, unplug} from '../../../src/service/gates/attachments.ts'
import {attachmentViews} from '../../../src/service/store/attachments.ts'
import type {Store} from '../../../src/service/store/open.ts'
import type {AttachmentRow, GateRow} from '../../../src/service/store/schema.ts'
import {matches} from '../../support/fake-rows.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

/* How a port of the gate comes to be and goes, call by call, on a real database. What the real Neutron says is in test/contract. */

const gate = {id: 'g', name: 'gate1', server_id: 'gate-server', project_id: 'infra'} as GateRow
let db: Store
let calls: string[]
let port: Port | undefined
/** Looks at the port before it is what it shall become. */
let later: number
let mayNotDelete: boolean

/** What Nova and Neutron were asked, where that matters. */
let asked: unknown[]
let own: string
let cloud: OpenStack
const missing = () => new OpenStackError('not-found', 'no such port', {status: 404})

/** A cloud of its own for each test, which may break it. */
const fresh = () =>
  ({
    identity: {token: async () => ({project: {id: own}})},
    compute: {
      async attachPort(server: string, id: string) {
        calls.push('attach')
        asked.push(`${id} to ${server}`)
        port = {...(port as Port), device_id: server}
        later = 2
      },
      async detachPort(server: string, id: string) {
        calls.push('detach')
        asked.push(`${id} from ${server}`)
        later = 2
      },
    },
    network: {
      ports: async (filter: object) => (port && matches(port, filter) ? [port] : []),
      async port(id: string) {
        calls.push('look')
        if (port?.id !== id) throw missing()
        if (later > 0 && --later === 0)
          port = {...port, status: 'ACTIVE', device_id: calls.includes('detach') ? '' : port.device_id}
        return port
      },
      async createPort(wanted: object) {
        calls.push(`create ${Object.keys(wanted).sort().join(' ')}`)
        asked.push(wanted)
        const made = {
          id: 'p1',
          project_id: own,
          mac_address: 'fa:16:3e:00:00:01',
          status: 'DOWN',
          device_id: '',
        }
        const fixed_ips = [
          {subnet_id: 'six', ip_address: 'fd00:10::5'},
          {subnet_id: 'four', ip_address: '10.0.1.5'},
        ]
        port = {...made, security_groups: ['own'], fixed_ips, ...wanted} as unknown as Port
        return port
      },
      async updatePort(id: string, change: Partial<Port>) {
        calls.push(`update ${change.security_groups?.join(' ')}`)
        asked.push(id)
        port = {...(port as Port), ...change}
        return port
      },
      async deletePort() {
        calls.push('delete')
        if (mayNotDelete) throw missing()
        port = undefined
      },
      tagPort: async () => {
        calls.push('tag')
      },
      securityGroups: async (filter: object) =>
        [
          {id: 'own', project_id: 'infra', name: 'default'},
          {id: 'web', project_id: 'infra', name: 'web'},
          {id: 'theirs', project_id: 'tenant', name: 'default'},
        ].filter(group => matches(group, filter)),
    },
  }) as unknown as OpenStack
const context = () => ({db, cloud, log: pino({level: 'silent'}), clock: () => 4711, serviceId: 'service'})

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    ;[calls, asked, own] = [[], [], 'infra']
    cloud = fresh()
    port = undefined
    later = 0
    mayNotDelete = false
    await gateRow(db)
    const reach = [
      {network_id: 'n1', cidr: 'fd00:10::/64', via: null},
      {network_id: 'n1', cidr: '10.0.1.0/24', via: null},
      {network_id: 'n2', cidr: '10.0.0.0/16', via: '10.0.1.1'},
    ]
    await attachmentRow(db, {reach})
  })
  afterEach(() => db.destroy())

  const row = async () =>
    (await attachmentViews(db))[0] as AttachmentRow & {readonly groups: readonly string[]}

  const live = (groups: string[]) => pathRow(db, {groups})

  it('makes a port, puts it into the VM’s groups by an update, and attaches it', async () => {
    await live(['vm'])
    expect(await plug(context(), await row(), gate)).toBe(true)
    expect(calls).toEqual(['create description name network_id', 'update own vm', 'tag', 'attach'])
    const made = {network_id: 'n1', name: 'os-ssh-a', description: 'os-ssh service service'}
    expect(asked).toEqual([made, 'p1', 'p1 to gate-server'])
    expect(await row()).toMatchObject({
      state: 'plugged',
      port_id: 'p1',
      mac: 'fa:16:3e:00:00:01',
      groups: ['own', 'vm'],
      // IPv4 first, each with the length of its own subnet and not of one behind the router
      addresses: ['10.0.1.5/24', 'fd00:10::5/64'],
      wired_at: 4711,
    })
  })

  it('keeps the gate’s own group when an attachment failed half-way', async () => {
    await live(['vm'])
    cloud.compute.attachPort = async () => {
      throw new OpenStackError('server', 'Nova broke', {status: 500})
    }
    await expect(plug(context(), await row(), gate)).rejects.toMatchObject({fault: 'server'})
    cloud = fresh()
    await plug(context(), await row(), gate)
    expect(await row()).toMatchObject({state: 'plugged', groups: ['own', 'vm']})
  })

  it('goes on where a crash has left it: the port is found by its name', async () => {
    await live(['vm'])
    await cloud.network.createPort({network_id: 'n1', name: 'os-ssh-a'})
    port = {
      ...(port as unknown as Port),
      device_id: 'gate-server',
      status: 'ACTIVE',
      security_groups: ['own', 'vm'],
    }
    calls = []
    await plug(context(), await row(), gate)
    expect(calls).toEqual(['tag'])
    expect(await row()).toMatchObject({state: 'plugged', port_id: 'p1'})
  })

  it.each([
    ['of another project', {project_id: 'tenant'}],
    ['on another network', {network_id: 'n9'}],
    ['of another attachment', {name: 'os-ssh-b'}],
  ])('leaves a port %s alone, whatever else it has of ours', async (_, change) => {
    await live(['vm'])
    const theirs = {id: 'theirs', name: 'os-ssh-a', network_id: 'n1', project_id: 'infra', ...change}
    port = theirs as Port
    await plug(context(), await row(), gate)
    expect(calls[0]).toBe('create description name network_id')
    expect(await row()).toMatchObject({port_id: 'p1'})
  })

  it('says whose the port is, in whose groups, where the gate is not of the account’s project', async () => {
    await live(['vm'])
    own = 'admin'
    await plug(context(), await row(), gate)
    expect(asked[0]).toMatchObject({network_id: 'n1', project_id: 'infra'})
    expect(await row()).toMatchObject({groups: ['own', 'vm']})
  })

  it('has an address in each subnet of the link in which there is a VM of a path, and in no other', async () => {
    const link = (cidr: string, subnet_id: string) => ({network_id: 'n1', cidr, via: null, subnet_id})
    const reach = [link('10.0.0.0/24', 'a'), link('10.0.1.0/24', 'b'), link('10.0.2.0/24', 'c')]
    await db
      .updateTable('attachments')
      .set({reach: JSON.stringify(reach)})
      .execute()
    await live(['vm'])
    const {createPort, updatePort} = cloud.network
    const given = {a: '10.0.0.9', b: '10.0.1.9', c: '10.0.2.9'}
    const addressed = (one: Port) => {
      const fixed_ips = one.fixed_ips.map(({subnet_id}) => ({
        ...{subnet_id, ip_address: given[subnet_id as 'a']},
      }))
      port = {...one, fixed_ips}
      return port
    }
    cloud.network.createPort = async wanted => addressed(await createPort(wanted))
    cloud.network.updatePort = async (id, change) => addressed(await updatePort(id, change))
    await plug(context(), await row(), gate)
    expect((await row()).addresses).toEqual(['10.0.0.9/24'])
    await pathRow(db, {...another, address: '10.0.2.5', groups: ['vm']})
    // Nobody needs one there: behind a router, and no path at all.
    await pathRow(db, {
      ...another,
      id: 'routed',
      user_id: 'w',
      network_id: 'n2',
      address: '10.0.1.5',
      ...third,
    })
    expect(await plug(context(), await row(), gate)).toBe(true)
    expect((await row()).addresses).toEqual(['10.0.0.9/24', '10.0.2.9/24'])
    expect(await plug(context(), await row(), gate)).toBe(false)
  })

  it('makes it anew when it is gone, though the row names it; and leaves another replica’s alone', async () => {
    await live(['vm'])
    await db.updateTable('attachments').set({port_id: 'gone'}).execute()
    const old = await row()
    expect(await plug(context(), old, gate)).toBe(true)
    expect(await row()).toMatchObject({state: 'plugged', port_id: 'p1'})
    await db.updateTable('attachments').set({state: 'wanted', port_id: 'theirs'}).execute()
    port = undefined
    calls = []
    await expect(plug(context(), {...old, port_id: null}, gate)).rejects.toMatchObject({code: 'BUSY'})
    expect(calls).toEqual(['create description name network_id', 'delete'])
    expect(await row()).toMatchObject({state: 'wanted', port_id: 'theirs'})
  })

  it('does nothing when all is there, and one update when another VM’s groups come', async () => {
    await live(['vm'])
    await plug(context(), await row(), gate)
    calls = []
    expect(await plug(context(), await row(), gate)).toBe(false)
    expect(calls).toEqual([])
    await pathRow(db, {...another, groups: ['other']})
    expect(await plug(context(), await row(), gate)).toBe(true)
    expect(calls).toEqual(['look', 'update other own vm'])
  })

  const third = {alias: '100.64.0.18', login: 'osp0002'}
  const another = {id: 'another', user_id: 'v', alias: '100.64.0.17', login: 'osp0001'}

  it('leaves the groups of a VM that no path leads to any more, but not while nobody uses the network', async () => {
    await live(['vm'])
    await pathRow(db, {...another, groups: ['other']})
    await plug(context(), await row(), gate)
    await db.updateTable('paths').set({state: 'ended'}).where('id', '=', 'path').execute()
    calls = []
    expect(await plug(context(), await row(), gate)).toBe(true)
    expect(calls).toEqual(['look', 'update other own'])
    expect(await row()).toMatchObject({groups: ['other', 'own']})

    await db.updateTable('paths').set({state: 'ended'}).execute()
    expect(await plug(context(), await row(), gate)).toBe(false)
  })

  it('says in its row that it leaves a group before it does, for the paths that come then', async () => {
    await live(['vm'])
    await plug(context(), await row(), gate)
    await pathRow(db, {...another, groups: ['other']})
    await db.updateTable('paths').set({state: 'ended'}).where('id', '=', 'path').execute()
    const {updatePort} = cloud.network
    let said: readonly string[] = []
    cloud.network.updatePort = async (id, change) => {
      said = (await row()).groups
      return updatePort(id, change)
    }
    await plug(context(), await row(), gate)
    expect(said).toEqual(['own'])
  })

  it.each([
    ['another project', {project_id: 'tenant'}, 'another project'],
    ['another server', {device_id: 'somebody'}, 'another server'],
    ['an address of no subnet', {fixed_ips: [{subnet_id: 'x', ip_address: '192.0.2.1'}]}, '192.0.2.1'],
  ])('refuses a port: %s', async (_, change, words) => {
    await live([])
    await cloud.network.createPort({network_id: 'n1', name: 'os-ssh-a'})
    port = {...(port as unknown as Port), ...change} as Port
    await db.updateTable('attachments').set({port_id: 'p1'}).execute()
    await expect(plug(context(), await row(), gate)).rejects.toMatchObject({
      code: 'CLOUD_REFUSED',
      message: expect.stringContaining(words),
    })
  })

  it('does not forget a port that it sees and may not delete, which Neutron calls 404', async () => {
    await live([])
    await plug(context(), await row(), gate)
    await db.updateTable('attachments').set({state: 'removing'}).execute()
    mayNotDelete = true
    await expect(unplug(context(), await row(), gate)).rejects.toMatchObject({fault: 'not-found'})
    expect(await row()).toMatchObject({state: 'removing', port_id: 'p1'})
  })

  it('waits for Nova 30 s and no longer', async () => {
    await live([])
    await plug(context(), await row(), gate)
    await db.updateTable('attachments').set({state: 'removing'}).execute()
    cloud.compute.detachPort = async () => undefined
    ;[calls, later] = [[], 0]
    const times = [0, 30_000, 30_001]
    const clock = () => times.shift() ?? Number.NaN
    await unplug({...context(), clock}, await row(), gate)
    expect(calls).toEqual(['look', 'look', 'look', 'delete'])
  })

  it('takes out, waits until Nova has, deletes, and forgets the row last', async () => {
    await live([])
    await plug(context(), await row(), gate)
    await db.updateTable('attachments').set({state: 'removing'}).execute()
    calls = []
    await unplug(context(), await row(), gate)
    expect(calls).toEqual(['look', 'detach', 'look', 'look', 'delete'])
    expect(asked.at(-1)).toBe('p1 from gate-server')
    expect(await db.selectFrom('attachments').select('id').execute()).toEqual([])
  })
})
