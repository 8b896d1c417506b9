import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {OpenStack, Port, ServerCreate} from '../../src/openstack/index.ts'
import {Contract} from '../support/contract.ts'
import {eventually} from '../support/run.ts'
import {testCloud} from '../support/site.ts'

/* What the service makes gates of, with a member's rights, on the lab and on the real cloud. */

jest.setTimeout(240_000)

const NONE = '00000000-0000-4000-8000-00000000dead'
let contract: Contract
let alice: OpenStack
let bob: OpenStack
let reader: OpenStack
beforeAll(async () => {
  contract = await Contract.open('contract-gates')
  ;({alice, bob, reader} = await contract.people())
})
afterAll(async () => {
  const ours = ({name}: {name: string}) => name.startsWith('contract-')
  for (const cloud of [alice, bob]) {
    if (cloud === undefined) continue
    const servers = (await cloud.compute.servers()).filter(ours)
    for (const {id} of servers) await cloud.compute.deleteServer(id)
    await eventually(
      () => cloud.compute.servers(),
      left => !left.some(ours),
      60_000,
    )
    for (const one of await cloud.network.floatingIps())
      if (one.description === 'contract') await cloud.network.deleteFloatingIp(one.id)
    for (const port of await cloud.network.ports()) if (ours(port)) await cloud.network.deletePort(port.id)
    for (const group of await cloud.network.securityGroups())
      if (ours(group)) await cloud.network.deleteSecurityGroup(group.id)
    for (const group of await cloud.compute.serverGroups())
      if (ours(group)) await cloud.compute.deleteServerGroup(group.id)
  }
  await contract?.close()
})

const network = async (cloud: OpenStack, name: string) => (await cloud.network.networks({name}))[0]?.id ?? ''
const project = async (cloud: OpenStack) => (await cloud.identity.token()).project?.id ?? ''
const fresh = () => `contract-${Date.now()}-${Math.random()}`
const made = async (cloud: OpenStack, on: string, ip_address?: string): Promise<Port> => {
  const wanted = {network_id: await network(cloud, on), name: fresh()}
  return cloud.network.createPort({...wanted, ...(ip_address && {fixed_ips: [{ip_address}]})})
}

describe('what there is to choose from', () => {
  it('flavors, zones, images that are fit for use', async () => {
    const flavors = await contract.holds('flavors', () => alice.compute.flavors())
    expect(flavors).toContainEqual(expect.objectContaining({id: '1', vcpus: 1, extra_specs: {}}))
    expect(await contract.holds('zones', () => alice.compute.availabilityZones())).toContain('nova')
    const images = () => alice.image.images({status: 'active', limit: 1000, name: 'debian-12'})
    expect((await contract.holds('images-active', images)).map(one => one.name)).toContain('debian-12')
  })

  it('limits of Nova, and of Neutron one’s own only', async () => {
    const limits = await contract.holds('limits', () => alice.compute.limits())
    expect(limits).toMatchObject({
      maxTotalInstances: expect.any(Number),
      totalInstancesUsed: (await alice.compute.servers()).length,
    })
    const foreign = await project(bob)
    await contract.holds('quota-foreign', () => alice.network.quotas(foreign), 'forbidden')
  })
})

describe('server groups', () => {
  it('are made, listed and deleted', async () => {
    const wanted = {name: fresh(), policy: 'soft-anti-affinity'} as const
    const group = await contract.holds('server-group-create', () => alice.compute.createServerGroup(wanted))
    expect(group).toMatchObject({...wanted, members: []})
    const listed = await contract.holds('server-groups', () => alice.compute.serverGroups())
    expect(listed).toContainEqual(expect.objectContaining({id: group.id}))
    expect(await bob.compute.serverGroups()).not.toContainEqual(expect.objectContaining({id: group.id}))
    const remove = () => alice.compute.deleteServerGroup(group.id)
    await contract.holds('server-group-delete', remove)
    await contract.holds('server-group-delete-again', remove, 'not-found')
  })

  it('are not a reader’s to make, nor of any policy', async () => {
    const wanted = {name: fresh(), policy: 'soft-anti-affinity'} as const
    const byReader = () => reader.compute.createServerGroup(wanted)
    await contract.holds('server-group-create-by-reader', byReader, 'forbidden')
    const unknown = {...wanted, policy: 'friendship' as 'affinity'}
    const odd = () => alice.compute.createServerGroup(unknown)
    await contract.holds('server-group-create-unknown-policy', odd, 'bad-request')
  })
})

describe('security groups', () => {
  const ssh = (security_group_id: string, remote_ip_prefix: string) => ({
    ...({security_group_id, direction: 'ingress', ethertype: 'IPv4', remote_ip_prefix} as const),
    ...{protocol: 'tcp', port_range_min: 22, port_range_max: 22},
  })

  it('and their rules are made and deleted', async () => {
    const wanted = {name: fresh(), description: 'gates of os-ssh'}
    const make = () => alice.network.createSecurityGroup(wanted)
    const {id, security_group_rules} = await contract.holds('security-group-create', make)
    expect(security_group_rules.map(rule => rule.direction)).toEqual(['egress', 'egress'])
    const open = () => alice.network.createSecurityGroupRule(ssh(id, '0.0.0.0/0'))
    const rule = await contract.holds('security-group-rule-create', open)
    expect(rule).toMatchObject(ssh(id, '0.0.0.0/0'))
    await contract.holds('security-group-rule-create-again', open, 'conflict')
    const wrong = () => alice.network.createSecurityGroupRule(ssh(id, '2001:db8::/64'))
    await contract.holds('security-group-rule-create-other-family', wrong, 'bad-request')
    const close = () => alice.network.deleteSecurityGroupRule(rule.id)
    await contract.holds('security-group-rule-delete', close)
    await contract.holds('security-group-rule-delete-again', close, 'not-found')
    const remove = () => alice.network.deleteSecurityGroup(id)
    await contract.holds('security-group-delete', remove)
    await contract.holds('security-group-delete-again', remove, 'not-found')
  })

  it('in use are not deleted', async () => {
    const group = await alice.network.createSecurityGroup({name: fresh()})
    const port = await made(alice, 't1-iso')
    await alice.network.updatePort(port.id, {security_groups: [group.id]})
    const remove = () => alice.network.deleteSecurityGroup(group.id)
    await contract.holds('security-group-delete-in-use', remove, 'conflict')
    await alice.network.deletePort(port.id)
    await remove()
  })

  it('are not a reader’s to make, and others’ are not there', async () => {
    const byReader = () => reader.network.createSecurityGroup({name: fresh()})
    await contract.holds('security-group-create-by-reader', byReader, 'forbidden')
    const group = await alice.network.createSecurityGroup({name: fresh()})
    const remove = () => bob.network.deleteSecurityGroup(group.id)
    await contract.holds('security-group-delete-foreign', remove, 'not-found')
    await alice.network.deleteSecurityGroup(group.id)
  })
})

describe('floating IPs', () => {
  const wanted = async (port_id?: string) => ({
    floating_network_id: (await alice.network.networks({'router:external': true}))[0]?.id ?? '',
    ...{description: 'contract', ...(port_id && {port_id})},
  })

  it('are made for a port, led to another, to none, and deleted', async () => {
    const [port, other] = [await made(alice, 't1-net', '10.0.0.77'), await made(alice, 't1-net')]
    const body = await wanted(port.id)
    const floating = await contract.holds('floating-ip-create', () => alice.network.createFloatingIp(body))
    expect(floating).toMatchObject({port_id: port.id, fixed_ip_address: port.fixed_ips[0]?.ip_address})
    const again = () => alice.network.createFloatingIp(body)
    await contract.holds('floating-ip-create-again', again, 'conflict')
    const move = (port_id: string | null) => () => alice.network.updateFloatingIp(floating.id, {port_id})
    expect(await contract.holds('floating-ip-move', move(other.id))).toMatchObject({port_id: other.id})
    expect(await contract.holds('floating-ip-take', move(null))).toMatchObject({port_id: null})
    const foreign = () => bob.network.updateFloatingIp(floating.id, {port_id: null})
    await contract.holds('floating-ip-update-foreign', foreign, 'not-found')
    const remove = () => alice.network.deleteFloatingIp(floating.id)
    await contract.holds('floating-ip-delete', remove)
    await contract.holds('floating-ip-delete-again', remove, 'not-found')
    for (const {id} of [port, other]) await alice.network.deletePort(id)
  })

  it('do not lead to a network without a router, nor to a port that there is not', async () => {
    const port = await made(alice, 't1-iso')
    const body = await wanted(port.id)
    const isolated = () => alice.network.createFloatingIp(body)
    await contract.holds('floating-ip-create-isolated', isolated, 'not-found')
    await alice.network.deletePort(port.id)
    await contract.holds('floating-ip-create-unknown-port', isolated, 'not-found')
  })

  it('are not a reader’s to make, nor anybody’s beyond the quota', async () => {
    const body = await wanted()
    const byReader = () => reader.network.createFloatingIp(body)
    await contract.holds('floating-ip-create-by-reader', byReader, 'forbidden')
    const id = await project(bob)
    const set = (floatingip: number) =>
      contract.raw('admin', 'network', 'PUT', `quotas/${id}`, {quota: {floatingip}})
    await set(0)
    try {
      const over = () => bob.network.createFloatingIp(body)
      await contract.holds('floating-ip-create-over-quota', over, 'quota')
    } finally {
      await set(50)
    }
  })
})

describe('servers as gates are booted', () => {
  const spec = async (more: Partial<ServerCreate>): Promise<ServerCreate> => {
    const [image] = await alice.image.images({name: 'debian-12'})
    return {name: fresh(), imageRef: image?.id, flavorRef: '1', networks: 'none', ...more}
  }
  const is = (id: string, status: string) =>
    eventually(
      () => alice.compute.server(id),
      server => server.status === status,
      60_000,
    )
  /** Until it is gone, and takes none of the quota any more. */
  const remove = async (id: string) => {
    await alice.compute.deleteServer(id)
    const gone = () =>
      alice.compute.server(id).then(
        () => false,
        error => error.status === 404,
      )
    expect(await eventually(gone, Boolean, 60_000)).toBe(true)
  }

  it('have a port, user data, metadata and neighbours, and are stopped, started, rebooted', async () => {
    const group = await alice.compute.createServerGroup({name: fresh(), policy: 'soft-anti-affinity'})
    const port = await made(alice, 't1-iso')
    const body = await spec({
      ...{networks: [{port: port.id}], config_drive: true, metadata: {'os-ssh': 'contract'}},
      user_data: Buffer.from('#!/bin/sh\n').toString('base64'),
    })
    const create = () => alice.compute.createServer(body, {group: group.id})
    const {id} = await contract.holds('gate-create', create)
    await is(id, 'ACTIVE')
    const server = await contract.holds('gate', () => alice.compute.server(id))
    expect(server).toMatchObject({metadata: {'os-ssh': 'contract'}, config_drive: 'True'})
    expect((await alice.compute.serverGroups()).find(one => one.id === group.id)?.members).toEqual([id])
    const inUse = async () => alice.compute.createServer(await spec({networks: [{port: port.id}]}))
    await contract.holds('gate-create-port-in-use', inUse, 'conflict')

    const start = () => alice.compute.startServer(id)
    await contract.holds('start-running', start, 'conflict')
    await contract.holds('stop-by-reader', () => reader.compute.stopServer(id), 'forbidden')
    await contract.holds('stop-foreign', () => bob.compute.stopServer(id), 'not-found')
    await contract.holds('stop', () => alice.compute.stopServer(id))
    await is(id, 'SHUTOFF')
    await contract.holds('stop-stopped', () => alice.compute.stopServer(id), 'conflict')
    await contract.holds('start', start)
    await is(id, 'ACTIVE')
    await contract.holds('reboot', () => alice.compute.rebootServer(id, 'HARD'))
    await eventually(
      () => alice.compute.instanceActions(id),
      actions => actions.some(one => one.action === 'reboot'),
    )
    await is(id, 'ACTIVE')
    await remove(id)
  })

  it('are refused in a zone or a group that there is not, and on a port that there is not', async () => {
    const nowhere = await spec({availability_zone: 'nowhere'})
    await contract.holds('gate-create-no-zone', () => alice.compute.createServer(nowhere), 'bad-request')
    const body = await spec({})
    const alone = () => alice.compute.createServer(body, {group: NONE})
    await contract.holds('gate-create-no-group', alone, 'bad-request')
    const unplugged = await spec({networks: [{port: NONE}]})
    await contract.holds('gate-create-no-port', () => alice.compute.createServer(unplugged), 'bad-request')
  })

  it('for which there is no host are in ERROR, and say so', async () => {
    const flavorRef = await tooLarge()
    const {id} = await alice.compute.createServer(await spec({flavorRef}))
    await is(id, 'ERROR')
    const server = await contract.holds('gate-error', () => alice.compute.server(id))
    expect(server.fault?.message).toContain('No valid host was found.')
    await remove(id)
    if (testCloud === 'openstack') await contract.raw('admin', 'compute', 'DELETE', `flavors/${flavorRef}`)
  })

  /** A flavor that no host has room for; in the lab any, whose next boot finds none. @returns its id */
  async function tooLarge(): Promise<string> {
    if (testCloud === 'openstack') {
      const flavor = {name: fresh(), vcpus: 1, ram: 512, disk: 1_000_000}
      const body = {flavor}
      return (await contract.raw<{flavor: {id: string}}>('admin', 'compute', 'POST', 'flavors', body)).flavor
        .id
    }
    const admin = await contract.as('admin')
    const answer = await fetch(`${contract.site.api}/lab/faults`, {
      method: 'POST',
      headers: {'x-auth-token': (await admin.identity.token()).id, 'content-type': 'application/json'},
      body: JSON.stringify({match: 'POST /compute/v2.1/servers$', effect: 'no-host', times: 1}),
    })
    expect(answer.ok).toBe(true)
    return '1'
  }
})

it('a token that was revoked makes nothing', async () => {
  const gone = await contract.as('tenant1', () => ({}))
  const dead = alice.as(await gone.identity.token())
  await gone.identity.revoke()
  const write = () => dead.network.createSecurityGroup({name: fresh()})
  await contract.holds('security-group-create-revoked-token', write, 'unauthorized')
})
