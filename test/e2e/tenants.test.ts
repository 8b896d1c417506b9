import {readFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {GateClient} from '../support/gate-client.ts'
import {neutronAs} from '../support/neutron.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/*
 * A network that two tenants share, and one of them gives their own router a leg there: paths of the other must not lead
 * through it, whoever asked first and however long the prefixes are.
 */

jest.setTimeout(240_000)

type Neutron = Awaited<ReturnType<typeof neutronAs>>
let world: World
let admin: Neutron
let bob: Neutron
/** What makes the VMs' ports: on a shared network only an admin may choose an address. */
let ports: Neutron
let shared: string
let evil: string
const booted: [string, string][] = []

beforeAll(async () => {
  world = await World.open('e2e-tenants', {flags: ['--grace', '3600']})
  admin = await neutronAs(world, 'admin')
  bob = await neutronAs(world, 'tenant2')
  ports = await neutronAs(world, 'admin')
  shared = await admin.network('e2e-shared', {shared: true})
  const lower = await admin.subnet(shared, '10.50.0.0/24', {allocation_pools: [pool('10.50.0')]})
  await admin.subnet(shared, '10.51.0.0/24', {allocation_pools: [pool('10.51.0')]})
  evil = await bob.network('e2e-evil')
  const behind = await bob.subnet(evil, '10.51.0.0/25')
  const router = await bob.router('e2e-evil')
  const leg = await bob.port(shared, {fixed_ips: [{subnet_id: lower}]})
  await bob.join(router, {port_id: leg})
  await bob.join(router, {subnet_id: behind})
})
afterAll(async () => {
  await world?.stopService()
  for (const [user, id] of booted) {
    const {compute} = await world.cloud(user)
    await compute.deleteServer(id).catch(() => undefined)
    await eventually(
      () =>
        compute.server(id).then(
          () => false,
          () => true,
        ),
      Boolean,
    )
  }
  const {network, compute} = await world.cloud('admin')
  for (const port of await network.ports())
    if (port.name.startsWith('os-ssh-')) {
      await compute.detachPort(port.device_id, port.id).catch(() => undefined)
      await eventually(
        async () => (await network.port(port.id).catch(() => undefined))?.device_id,
        id => !id,
      )
      await network.deletePort(port.id).catch(() => undefined)
    }
  await ports?.close()
  await bob?.close()
  await admin?.close()
  await world?.close()
})

const pool = (start: string) => ({start: `${start}.100`, end: `${start}.200`})

/** A VM with that address; its id. */
async function boot(
  user: string,
  key: string,
  name: string,
  uuid: string,
  fixed_ip: string,
): Promise<string> {
  const cloud = await world.cloud(user)
  const [image] = await cloud.image.images({name: 'debian-12'})
  const project_id = (await cloud.identity.token()).project?.id
  const groups = await cloud.network.securityGroups({name: 'open', project_id})
  const port = await ports.port(uuid, {
    project_id,
    fixed_ips: [{ip_address: fixed_ip}],
    security_groups: groups.map(group => group.id),
  })
  const {id} = await cloud.compute.createServer({
    name,
    imageRef: image?.id,
    flavorRef: '1',
    key_name: key,
    networks: [{port}],
  })
  booted.push([user, id])
  await eventually(
    () => cloud.compute.server(id),
    server => server.status === 'ACTIVE',
    60_000,
  )
  return id
}

const name = async (user: 'alice' | 'bob', grant: Awaited<ReturnType<World['grant']>>) =>
  (await new GateClient(world, grant).vm(`${world.home}/.ssh/id_${user}`, ['uname', '-n'])).stdout.trim()
const groupsOf = async (network: string) =>
  (await (await world.cloud('admin')).network.ports({network_id: network}))
    .filter(port => port.name.startsWith('os-ssh-'))
    .flatMap(port => port.security_groups)

describe('on a network that a member’s router has a leg on', () => {
  it('paths of others stay on the link, also to its second subnet, whose addresses that member has behind the router', async () => {
    await boot('tenant2', 'bob', 'evil-1', evil, '10.51.0.50')
    await boot('tenant2', 'bob', 'evil-2', evil, '10.51.0.51')
    const bobs = await boot('tenant2', 'bob', 'bobs', shared, '10.50.0.60')
    // The attacker asks first: it is their view that the attachment is planned by.
    const first = await world.grant('tenant2', bobs)
    expect(await name('bob', first)).toBe('bobs')

    const alices = await boot('tenant1', 'alice', 'alices', shared, '10.51.0.50')
    const grant = await world.grant('tenant1', alices)
    expect(grant).toMatchObject({route: 'attached', address: '10.51.0.50'})
    expect(await name('alice', grant)).toBe('alices')
  })

  it('the gate’s port on the attacker’s network is in no group of the others', async () => {
    const {network} = await world.cloud('tenant1')
    const own = await network.securityGroups({name: 'open'})
    const ids = own.map(group => group.id)
    expect((await groupsOf(shared)).some(group => ids.includes(group))).toBe(true)
    expect((await groupsOf(evil)).filter(group => ids.includes(group))).toEqual([])
  })

  it('the attachment has an address in both subnets, and no way beyond', async () => {
    type Row = {network_id: string; addresses: string[]; reach: {via: string | null}[]}
    const {attachments} = await world.api<{attachments: Row[]}>('service', 'GET', '/v1/attachments')
    const row = attachments.find(one => one.network_id === shared)
    expect(row?.addresses.map(one => one.replace(/\.\d+\//, '.x/')).sort()).toEqual([
      '10.50.0.x/24',
      '10.51.0.x/24',
    ])
    expect(row?.reach.filter(one => one.via !== null)).toEqual([])
    expect(readFileSync(`${world.home}/service.log`, 'utf8')).not.toContain('"level":50')
  })
})
