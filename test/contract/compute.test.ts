import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {OpenStack, Port} from '../../src/openstack/index.ts'
import {Contract} from '../support/contract.ts'
import {eventually} from '../support/run.ts'

/* Nova as src/openstack uses it, on the lab and on the real one. */

jest.setTimeout(180_000)

const NONE = '00000000-0000-4000-8000-00000000dead'
let contract: Contract
let alice: OpenStack
let bob: OpenStack
let reader: OpenStack
let service: OpenStack
let admin: OpenStack
beforeAll(async () => {
  contract = await Contract.open('contract-compute')
  ;({alice, bob, reader, service, admin} = await contract.people())
})
afterAll(async () => {
  for (const port of (await admin?.network.ports()) ?? [])
    if (port.name.startsWith('contract-')) await remove(port.id)
  await contract?.close()
})

const network = async (cloud: OpenStack, name: string) => (await cloud.network.networks({name}))[0]?.id ?? ''
const made = async (cloud: OpenStack, on: string): Promise<Port> =>
  cloud.network.createPort({network_id: on, name: `contract-${Date.now()}`})

async function remove(portId: string): Promise<void> {
  const look = () => admin.network.port(portId).catch(() => undefined)
  const port = await look()
  if (port?.device_id) await admin.compute.detachPort(port.device_id, portId).catch(() => undefined)
  await eventually(look, now => !now?.device_id)
  await admin.network.deletePort(portId).catch(() => undefined)
}

describe('servers', () => {
  it('are listed with details', async () => {
    const servers = await contract.holds('servers', () => alice.compute.servers({name: '^t1-web$'}))
    expect(servers).toMatchObject([{name: 't1-web', status: 'ACTIVE', key_name: 'alice'}])
    expect(servers[0]?.addresses).toMatchObject({
      't1-net': [{addr: '10.0.0.10', version: 4, 'OS-EXT-IPS:type': 'fixed'}],
    })
  })

  it('tell what was done to them, to members of their project', async () => {
    const [server] = await alice.compute.servers({name: '^t1-web$'})
    const actions = await contract.holds('instance-actions', () =>
      alice.compute.instanceActions(server?.id ?? ''),
    )
    expect(actions.map(one => one.action)).toContain('create')
    await contract.holds('instance-actions-missing', () => alice.compute.instanceActions(NONE), 'not-found')
    await contract.holds(
      'instance-actions-foreign',
      () => bob.compute.instanceActions(server?.id ?? ''),
      'not-found',
    )
  })

  it('of all projects are an admin’s to list', async () => {
    const all = await contract.holds('servers-all-projects', () =>
      admin.compute.servers({all_tenants: 1, name: '^t1-web$'}),
    )
    expect(all[0]?.['OS-EXT-SRV-ATTR:host']).toMatch(/^\w/)
    await contract.holds(
      'servers-all-projects-member',
      () => alice.compute.servers({all_tenants: 1}),
      'forbidden',
    )
  })

  it('are listed page by page', async () => {
    const whole = await alice.compute.servers()
    const paged = await contract.holds('servers-last-page', () => alice.compute.servers({limit: 2}))
    expect(paged.map(server => server.id).sort()).toEqual(whole.map(server => server.id).sort())
  })

  it('are shown to their project, readers too, and to nobody else', async () => {
    const web = contract.server('t1-web')
    await contract.holds('server', () => alice.compute.server(web))
    await contract.holds('server-by-reader', () => reader.compute.server(web))
    await contract.holds('server-foreign', () => bob.compute.server(web), 'not-found')
    await contract.holds('server-unknown', () => alice.compute.server(NONE), 'not-found')
  })

  it('without an address have none', async () => {
    const bare = await contract.holds('server-bare', () => alice.compute.server(contract.server('t1-bare')))
    expect(bare.addresses).toEqual({})
  })

  it('are not a reader’s to delete, nor another’s to see deleted', async () => {
    const web = contract.server('t1-web')
    await contract.holds('server-delete-by-reader', () => reader.compute.deleteServer(web), 'forbidden')
    await contract.holds('server-delete-foreign', () => bob.compute.deleteServer(web), 'not-found')
  })

  it('are made and deleted', async () => {
    const [image] = await alice.image.images({name: 'debian-12'})
    const spec = {name: 'contract-vm', imageRef: image?.id, flavorRef: '1', networks: 'none'} as const
    const {id} = await contract.holds('server-create', () => alice.compute.createServer(spec))
    await eventually(
      () => alice.compute.server(id),
      server => server.status === 'ACTIVE',
    )
    await contract.holds('server-delete', () => alice.compute.deleteServer(id))
    const noFlavor = {...spec, flavorRef: 'no-such-flavor'}
    await contract.holds('server-create-no-flavor', () => alice.compute.createServer(noFlavor), 'bad-request')
  })

  it('are refused beyond the quota', async () => {
    const project = (await bob.identity.token()).project?.id ?? ''
    const [image] = await bob.image.images({name: 'debian-12'})
    const spec = {name: 'contract-vm', imageRef: image?.id, flavorRef: '1', networks: 'none'} as const
    await setQuota(project, (await bob.compute.servers()).length)
    try {
      await contract.holds('server-create-over-quota', () => bob.compute.createServer(spec), 'quota')
    } finally {
      await setQuota(project, 50)
    }
  })

  const setQuota = (project: string, instances: number) =>
    contract.raw('admin', 'compute', 'PUT', `os-quota-sets/${project}`, {quota_set: {instances}})
})

describe('interfaces', () => {
  it('are listed', async () => {
    const gate = contract.site.gates[0]?.server_id ?? ''
    const list = await contract.holds('interfaces', () => alice.compute.interfaces(contract.server('t1-web')))
    expect(list).toMatchObject([{port_state: 'ACTIVE', fixed_ips: [{ip_address: '10.0.0.10'}]}])
    await contract.holds('interfaces-foreign', () => alice.compute.interfaces(gate), 'not-found')
  })

  it('are plugged and unplugged', async () => {
    const web = contract.server('t1-web')
    const port = await made(alice, await network(alice, 't1-iso'))
    const attached = await contract.holds('attach', () => alice.compute.attachPort(web, port.id))
    expect(attached).toMatchObject({port_id: port.id, mac_addr: port.mac_address})
    await contract.holds(
      'attach-in-use',
      () => alice.compute.attachPort(contract.server('t1-app'), port.id),
      'conflict',
    )
    const state = () => alice.network.port(port.id)
    expect((await eventually(state, now => now.status === 'ACTIVE')).device_owner).toMatch(/^compute:/)
    await contract.holds('detach', () => alice.compute.detachPort(web, port.id))
    expect(await eventually(state, now => now.device_id === '')).toMatchObject({
      device_id: '',
      status: 'DOWN',
    })
    // Nova only hands it on to the compute node: who wants to know that it worked looks at the port.
    await contract.holds('detach-again', () => alice.compute.detachPort(web, port.id))
    await contract.holds('detach-unknown', () => alice.compute.detachPort(web, NONE))
    await alice.network.deletePort(port.id)
  })

  it('are refused for a port that there is not', async () => {
    const web = contract.server('t1-web')
    await contract.holds('attach-unknown-port', () => alice.compute.attachPort(web, NONE), 'not-found')
  })

  it('are refused to a reader', async () => {
    const web = contract.server('t1-web')
    await contract.holds('attach-by-reader', () => reader.compute.attachPort(web, NONE), 'forbidden')
  })

  it('are refused, even to an admin, for a port of another project than the server’s', async () => {
    const gate = contract.site.gates[0]?.server_id ?? ''
    const port = await made(alice, await network(alice, 't1-iso'))
    await contract.holds('attach-foreign-port', () => admin.compute.attachPort(gate, port.id), 'bad-request')
    await alice.network.deletePort(port.id)
  })

  it('on another project’s network are the shared service’s account’s to plug', async () => {
    const gate = contract.site.gates[0]?.server_id ?? ''
    const port = await made(service, await network(alice, 't1-iso'))
    await contract.holds('attach-by-service', () => service.compute.attachPort(gate, port.id))
    await remove(port.id)
  })
})

describe('consoles and key pairs', () => {
  it('show what the guest printed', async () => {
    const log = await contract.holds('console', () => alice.compute.consoleLog(contract.server('t1-web')))
    expect(log).toMatch(/BEGIN SSH HOST KEY KEYS-----\r?\nssh-ed25519 AAAA/)
    const short = await alice.compute.consoleLog(contract.server('t1-web'), 2)
    expect(log.endsWith(short)).toBe(true)
    await contract.holds(
      'console-foreign',
      () => bob.compute.consoleLog(contract.server('t1-web')),
      'not-found',
    )
  })

  it('are refused for a reader’s eyes', async () => {
    await contract.holds(
      'console-by-reader',
      () => reader.compute.consoleLog(contract.server('t1-web')),
      'forbidden',
    )
  })

  it('key pairs are their user’s own', async () => {
    const pairs = await contract.holds('key-pairs', () => alice.compute.keyPairs())
    expect(pairs).toMatchObject([
      {name: 'alice', fingerprint: expect.stringMatching(/^([0-9a-f]{2}:){15}[0-9a-f]{2}$/)},
    ])
    await contract.holds('key-pair', () => alice.compute.keyPair('alice'))
    await contract.holds('key-pair-unknown', () => bob.compute.keyPair('alice'), 'not-found')
  })
})

describe('microversions', () => {
  const asking = (microversion: string) =>
    contract.as('tenant1', () => ({services: {compute: {microversion}}}))

  it('that the cloud does not have are refused, and the best it has is taken instead', async () => {
    const future = await asking('2.999')
    await contract.holds(
      'microversion-too-new',
      () => future.compute.server(contract.server('t1-web')),
      'bad-request',
    )
  })

  it('the oldest shows less', async () => {
    const old = await asking('2.1')
    const server = await contract.holds('server-2.1', () => old.compute.server(contract.server('t1-web')))
    expect(server).toMatchObject({name: 't1-web'})
  })
})
