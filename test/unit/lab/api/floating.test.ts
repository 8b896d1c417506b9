import {beforeEach, describe, expect, test} from '@jest/globals'

import {type Ask, paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
let alice: Ask
let bob: Ask
let admin: Ask
beforeEach(async () => {
  lab = await paperLab()
  alice = await lab.as('tenant1')
  bob = await lab.as('tenant2')
  admin = await lab.as('admin')
})
const path = '/network/v2.0/floatingips'

const portOf = (server: string) => lab.cloud.servers.get(lab.id(server))?.ports[0] ?? ''
const make = (ask: Ask, more: object = {}) =>
  ask('POST', path, {floatingip: {floating_network_id: lab.id('public'), ...more}})
const says = (reply: {status: number; body: {NeutronError: {type: string; message: string}}}) => [
  reply.status,
  reply.body.NeutronError.type,
  reply.body.NeutronError.message,
]

describe('a floating IP', () => {
  test('is made for a port in one call, and shows where it leads', async () => {
    const port = portOf('t1-web')
    const {status, body} = await make(alice, {port_id: port, description: 'gate'})
    expect(status).toBe(201)
    expect(body.floatingip).toMatchObject({
      port_id: port,
      fixed_ip_address: '10.0.0.10',
      router_id: lab.id('t1-router'),
      status: 'DOWN',
      description: 'gate',
      port_details: {device_id: lab.id('t1-web'), device_owner: 'compute:nova'},
    })
    const shown = await alice('GET', `${path}/${body.floatingip.id}`)
    expect(shown.body.floatingip.status).toBe('ACTIVE')
    expect((await alice('GET', `${path}?port_id=${port}`)).body.floatingips).toHaveLength(1)
    expect((await bob('GET', path)).body.floatingips).toEqual([])
    const {server} = (await alice('GET', `/compute/v2.1/servers/${lab.id('t1-web')}`)).body
    expect(server.addresses['t1-net'].map((one: Record<string, string>) => one['OS-EXT-IPS:type'])).toEqual([
      'fixed',
      'floating',
    ])
    expect(server.addresses['t1-net'][1].addr).toBe(body.floatingip.floating_ip_address)
  })

  test('goes to another port and to none; a description alone changes nothing else', async () => {
    const {id} = (await make(alice, {port_id: portOf('t1-web')})).body.floatingip
    const put = async (change: object) =>
      (await alice('PUT', `${path}/${id}`, {floatingip: change})).body.floatingip
    expect(await put({port_id: portOf('t1-app')})).toMatchObject({fixed_ip_address: '10.0.2.10'})
    expect(await put({description: 'x'})).toMatchObject({
      description: 'x',
      fixed_ip_address: '10.0.2.10',
      status: 'ACTIVE',
    })
    expect(await put({port_id: null})).toMatchObject({port_id: null, router_id: null, fixed_ip_address: null})
    expect((await alice('GET', `${path}/${id}`)).body.floatingip.status).toBe('DOWN')
    expect((await bob('DELETE', `${path}/${id}`)).body.NeutronError.message).toBe(
      `Floating IP ${id} could not be found`,
    )
    expect((await alice('DELETE', `${path}/${id}`)).status).toBe(204)
  })

  test('stays, and leads nowhere, when its port is deleted or the server that Nova made the port for', async () => {
    const image = [...lab.cloud.images.values()][0]?.id
    const made = await alice('POST', '/compute/v2.1/servers', {
      server: {name: 'x', flavorRef: '1', imageRef: image, networks: [{uuid: lab.id('t1-net')}]},
    })
    const {id: port} = (await alice('POST', '/network/v2.0/ports', {port: {network_id: lab.id('t1-net')}}))
      .body.port
    const nova = lab.cloud.servers.get(made.body.server.id)?.ports[0]
    const ips = [await make(alice, {port_id: port}), await make(alice, {port_id: nova})]
    await alice('DELETE', `/network/v2.0/ports/${port}`)
    await alice('DELETE', `/compute/v2.1/servers/${made.body.server.id}`)
    for (const {body} of ips)
      expect((await alice('GET', `${path}/${body.floatingip.id}`)).body.floatingip).toMatchObject({
        port_id: null,
        status: 'DOWN',
      })
  })
})

describe('is refused', () => {
  test('a port without a router to that network', async () => {
    const port = portOf('t1-db')
    const subnet = lab.cloud.ports.get(port)?.fixed_ips[0]?.subnet_id
    expect(says(await make(alice, {port_id: port}))).toEqual([
      404,
      'ExternalGatewayForFloatingIPNotFound',
      `External network ${lab.id('public')} is not reachable from subnet ${subnet}.  Therefore, cannot associate Port ${port} with a Floating IP.`,
    ])
    expect(lab.cloud.floatingips.size).toBe(0)
    expect([...lab.cloud.ports.values()].some(one => one.device_owner === 'network:floatingip')).toBe(false)
  })

  test('a second one for the same fixed IP', async () => {
    await make(alice, {port_id: portOf('t1-web')})
    expect(says(await make(alice, {port_id: portOf('t1-web')})).slice(0, 2)).toEqual([
      409,
      'FloatingIPPortAlreadyAssociated',
    ])
  })

  test("another tenant's port, a network that is not external, a chosen address", async () => {
    expect(says(await make(alice, {port_id: portOf('t2-web')}))[1]).toBe('PortNotFound')
    expect(says(await make(alice, {floating_network_id: lab.id('t1-net')}))).toEqual([
      400,
      'BadRequest',
      `Bad floatingip request: Network ${lab.id('t1-net')} is not a valid external network.`,
    ])
    expect(says(await make(alice, {floating_ip_address: '172.24.20.99'}))).toEqual([
      403,
      'PolicyNotAuthorized',
      '(rule:create_floatingip and rule:create_floatingip:floating_ip_address) is disallowed by policy',
    ])
    const {body} = await make(admin, {floating_ip_address: '172.24.20.99'})
    expect(body.floatingip.floating_ip_address).toBe('172.24.20.99')
  })

  test('a full pool and a used-up quota', async () => {
    const subnet = [...lab.cloud.subnets.values()].find(one => one.network_id === lab.id('public'))
    if (subnet) subnet.allocation_pools = [{start: '172.24.20.200', end: '172.24.20.200'}]
    expect((await make(alice)).status).toBe(201)
    expect(says(await make(alice))).toEqual([
      409,
      'IpAddressGenerationFailure',
      `No more IP addresses available on network ${lab.id('public')}.`,
    ])
    await admin('PUT', `/network/v2.0/quotas/${lab.id('tenant1')}`, {quota: {floatingip: 1}})
    expect(says(await make(alice))).toEqual([
      409,
      'OverQuota',
      "Quota exceeded for resources: ['floatingip'].",
    ])
    const details = await alice('GET', `/network/v2.0/quotas/${lab.id('tenant1')}/details.json`)
    expect(details.body.quota.floatingip).toEqual({limit: 1, used: 1, reserved: 0})
  })

  test('taking away the router that it needs', async () => {
    await make(alice, {port_id: portOf('t1-web')})
    const router = `/network/v2.0/routers/${lab.id('t1-router')}`
    const gone = await alice('PUT', router, {router: {external_gateway_info: {}}})
    expect(says(gone).slice(0, 2)).toEqual([409, 'RouterExternalGatewayInUseByFloatingIp'])
    const subnet_id = lab.cloud.ports.get(portOf('t1-web'))?.fixed_ips[0]?.subnet_id
    const out = await alice('PUT', `${router}/remove_router_interface`, {subnet_id})
    expect(says(out).slice(0, 2)).toEqual([409, 'RouterInterfaceInUseByFloatingIP'])
  })
})
