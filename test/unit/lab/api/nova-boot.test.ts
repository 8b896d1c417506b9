import {beforeEach, describe, expect, test} from '@jest/globals'

import {type Ask, paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
let alice: Ask
let admin: Ask
beforeEach(async () => {
  lab = await paperLab()
  alice = await lab.as('tenant1')
  admin = await lab.as('admin')
})
const compute = '/compute/v2.1'
const version = (minor: number) => ({'openstack-api-version': `compute 2.${minor}`})
const image = (name = 'debian-12') => [...lab.cloud.images.values()].find(one => one.name === name)?.id ?? ''

const boot = (change: object = {}, rest: object = {}, minor = 93) =>
  alice(
    'POST',
    `${compute}/servers`,
    {server: {name: 'gate', flavorRef: '1', imageRef: image(), networks: 'none', ...change}, ...rest},
    version(minor),
  )
/** Boots, which on paper is done with the answer, and gives the server as its owner sees it. */
async function booted(change: object = {}, rest: object = {}) {
  const {status, body} = await boot(change, rest)
  expect(status).toBe(202)
  return (await alice('GET', `${compute}/servers/${body.server.id}`, undefined, version(93))).body.server
}
const refusal = async (change: object, rest: object = {}) => {
  const {status, body} = await boot(change, rest)
  return [status, Object.values(body as Record<string, {message: string}>)[0]?.message]
}
const act = (id: string, body: object, minor = 93) =>
  alice('POST', `${compute}/servers/${id}/action`, body, version(minor))

describe('a boot is refused', () => {
  test('for user_data that is no base64, or too much of it', async () => {
    expect(await refusal({user_data: 'no base64!'})).toEqual([
      400,
      "Invalid input for field/attribute user_data. Value: no base64!. 'no base64!' is not a 'base64'",
    ])
    const long = Buffer.alloc(50_000).toString('base64')
    expect((await refusal({user_data: long}))[1]).toMatch(/'A{100}.*' is too long$/)
    expect((await boot({user_data: Buffer.from('#cloud-config\n').toString('base64')})).status).toBe(202)
  })

  test('for a zone, an image or a flavor that is not there, or does not fit', async () => {
    expect(await refusal({availability_zone: 'moon'})).toEqual([
      400,
      'The requested availability zone is not available',
    ])
    expect((await refusal({imageRef: 'x'}))[1]).toBe('Invalid imageRef provided.')
    expect((await refusal({imageRef: lab.id('t1-net')}))[1]).toBe('Can not find requested image')
    expect((await refusal({imageRef: image('ubuntu-22.04')}))[1]).toBe(
      `Image ${image('ubuntu-22.04')} is not active.`,
    )
    expect((await refusal({imageRef: image('ubuntu-24.04')}))[1]).toBe(
      "Flavor's memory is too small for requested image.",
    )
    expect(await refusal({flavorRef: '4'})).toEqual([
      403,
      'Only volume-backed servers are allowed for flavors with zero disk.',
    ])
  })

  test('for a port that is in use, is unknown, or another’s, and no port is left behind', async () => {
    const before = lab.cloud.ports.size
    const used = lab.cloud.servers.get(lab.id('t1-web'))?.ports[0]
    const foreign = lab.cloud.servers.get(lab.id('t2-web'))?.ports[0]
    const with_ = (port: unknown) => ({networks: [{uuid: lab.id('t1-net')}, {port}]})
    expect(await refusal(with_(used))).toEqual([409, `Port ${used} is still in use.`])
    expect(await refusal(with_(foreign))).toEqual([400, `Port id ${foreign} could not be found.`])
    expect(lab.cloud.ports.size).toBe(before)
  })

  test('over quota, with every number', async () => {
    const set = (quota_set: object) =>
      admin('PUT', `${compute}/os-quota-sets/${lab.id('tenant1')}`, {quota_set})
    const have = [...lab.cloud.servers.values()].filter(one => one.tenant_id === lab.id('tenant1')).length
    await set({instances: have, cores: have})
    expect(await refusal({})).toEqual([
      403,
      `Quota exceeded for cores, instances: Requested 1, 1, but already used ${have}, ${have} of ${have}, ${have} cores, instances`,
    ])
    await set({instances: -1, cores: -1, ram: 64 * have})
    expect((await refusal({}))[1]).toBe(
      `Quota exceeded for ram: Requested 64, but already used ${64 * have} of ${64 * have} ram`,
    )
    const {absolute} = (await alice('GET', `${compute}/limits`, undefined, version(93))).body.limits
    expect(absolute).toMatchObject({
      maxTotalInstances: -1,
      totalInstancesUsed: have,
      totalCoresUsed: have,
      totalRAMUsed: 64 * have,
      maxTotalRAMSize: 64 * have,
      maxServerGroups: 10,
      totalServerGroupsUsed: 0,
    })
    expect(absolute).not.toHaveProperty('maxPersonality')
    expect((await alice('PUT', `${compute}/os-quota-sets/${lab.id('tenant1')}`, {})).status).toBe(403)
  })

  test('without networks, from microversion 2.37 on', async () => {
    const server = {name: 'x', flavorRef: '1', imageRef: image()}
    const {status, body} = await alice('POST', `${compute}/servers`, {server}, version(37))
    expect([status, body.badRequest.message]).toEqual([
      400,
      expect.stringContaining("'networks' is a required property"),
    ])
  })
})

describe('a server shows', () => {
  test('its zone, config drive and metadata', async () => {
    const server = await booted({
      availability_zone: 'az2',
      config_drive: true,
      metadata: {'os-ssh': 'x'},
    })
    expect(server).toMatchObject({
      'OS-EXT-AZ:availability_zone': 'az2',
      config_drive: 'True',
      metadata: {'os-ssh': 'x'},
      status: 'ACTIVE',
    })
    const path = `${compute}/servers/${server.id}/metadata`
    expect((await alice('POST', path, {metadata: {b: 'c'}})).body.metadata).toEqual({'os-ssh': 'x', b: 'c'})
    expect((await alice('DELETE', `${path}/b`)).status).toBe(204)
    expect((await alice('GET', path)).body.metadata).toEqual({'os-ssh': 'x'})
    const zones = (await alice('GET', `${compute}/os-availability-zone`)).body.availabilityZoneInfo
    expect(zones.map((zone: {zoneName: string}) => zone.zoneName)).toEqual(['nova', 'az2'])
  })

  test('no image when it boots from a volume', async () => {
    const bdm = {boot_index: 0, uuid: image(), source_type: 'image', destination_type: 'volume'}
    const volume = {...bdm, volume_size: 10, delete_on_termination: true}
    const server = await booted({
      imageRef: '',
      flavorRef: '4',
      block_device_mapping_v2: [volume],
    })
    expect(server).toMatchObject({
      image: '',
      'os-extended-volumes:volumes_attached': [{id: expect.any(String), delete_on_termination: true}],
    })
    expect((await refusal({imageRef: '', block_device_mapping_v2: [bdm]}))[1]).toBe(
      "Images with destination_type 'volume' need to have a non-zero size specified",
    )
    const small = {...volume, uuid: image('ubuntu-24.04'), volume_size: 2}
    expect((await refusal({imageRef: '', flavorRef: '4', block_device_mapping_v2: [small]}))[1]).toMatch(
      /^Volume is smaller than the minimum size/,
    )
  })

  test('why there is none: no host had what it asked for, and its port is still free', async () => {
    const {id} = (await alice('POST', '/network/v2.0/ports', {port: {network_id: lab.id('t1-net')}})).body
      .port
    const server = await booted({flavorRef: '5', networks: [{port: id}]})
    expect(server).toMatchObject({
      status: 'ERROR',
      'OS-EXT-STS:vm_state': 'error',
      addresses: {},
      hostId: '',
      fault: {code: 500, message: 'No valid host was found. There are not enough hosts available.'},
    })
    expect((await alice('GET', `/network/v2.0/ports/${id}`)).body.port.device_id).toBe('')
    expect((await booted({imageRef: image('ubuntu-24.04-arm64'), flavorRef: '2'})).status).toBe('ERROR')
    expect((await alice('DELETE', `${compute}/servers/${server.id}`)).status).toBe(204)
  })
})

describe('server groups', () => {
  const groups = `${compute}/os-server-groups`
  const create = (body: object, minor = 93) => alice('POST', groups, {server_group: body}, version(minor))

  test('have a policy from 2.64 on, policies before', async () => {
    const {server_group: made} = (await create({name: 'g', policy: 'anti-affinity'})).body
    expect(made).toMatchObject({policy: 'anti-affinity', rules: {}, members: []})
    expect((await create({name: 'g', policies: ['anti-affinity']}, 63)).body.server_group).toMatchObject({
      policies: ['anti-affinity'],
      metadata: {},
    })
    expect((await create({name: 'g', policies: ['soft-affinity']}, 14)).status).toBe(400)
    expect((await create({name: 'g', policy: 'none'})).status).toBe(400)
    const bob = await lab.as('tenant2')
    expect((await bob('GET', `${groups}/${made.id}`)).body.itemNotFound.message).toBe(
      `Instance group ${made.id} could not be found.`,
    )
    expect((await bob('GET', groups)).body).toEqual({server_groups: []})
    expect((await alice('GET', groups)).body.server_groups).toHaveLength(2)
    expect((await alice('DELETE', `${groups}/${made.id}`)).status).toBe(204)
  })

  test('spread their servers, as far as there are hosts', async () => {
    const {id} = (await create({name: 'g', policy: 'anti-affinity'})).body.server_group
    const hint = {'os:scheduler_hints': {group: id}}
    const made = [await booted({}, hint), await booted({}, hint), await booted({}, hint)]
    expect(made.map(one => one.status)).toEqual(['ACTIVE', 'ACTIVE', 'ERROR'])
    expect(new Set(made.slice(0, 2).map(one => one.hostId)).size).toBe(2)
    expect(made[0].server_groups).toEqual([id])
    expect((await alice('GET', `${groups}/${id}`)).body.server_group.members).toHaveLength(3)
    await alice('DELETE', `${compute}/servers/${made[0].id}`)
    expect((await booted({}, hint)).status).toBe('ACTIVE')
    const none = '00000000-0000-4000-8000-00000000dead'
    expect((await refusal({}, {'os:scheduler_hints': {group: none}}))[1]).toBe(
      `Instance group ${none} could not be found.`,
    )
  })

  test('are limited, and so are their members', async () => {
    await admin('PUT', `${compute}/os-quota-sets/${lab.id('tenant1')}`, {
      quota_set: {server_groups: 1, server_group_members: 1},
    })
    const {id} = (await create({name: 'g', policy: 'soft-anti-affinity'})).body.server_group
    expect((await create({name: 'h', policy: 'affinity'})).body.forbidden.message).toBe(
      'Quota exceeded, too many server groups.',
    )
    const hint = {'os:scheduler_hints': {group: id}}
    await booted({}, hint)
    expect(await refusal({}, hint)).toEqual([403, 'Quota exceeded, too many servers in group'])
  })
})

describe('actions', () => {
  test('need a fitting state', async () => {
    const {id} = await booted()
    const conflict = async (body: object) => (await act(id, body)).body?.conflictingRequest?.message
    expect(await conflict({'os-start': null})).toBe(
      `Cannot 'start' instance ${id} while it is in vm_state active`,
    )
    expect((await act(id, {'os-stop': null})).status).toBe(202)
    expect(await conflict({'os-stop': null})).toBe(
      `Cannot 'stop' instance ${id} while it is in vm_state stopped`,
    )
    expect(await conflict({reboot: {type: 'SOFT'}})).toBe(
      `Cannot 'reboot' instance ${id} while it is in vm_state stopped`,
    )
    const gate = Promise.withResolvers<void>()
    lab.fabric.shutdown = () => gate.promise
    expect((await act(id, {reboot: {type: 'HARD'}})).status).toBe(202)
    expect((await alice('GET', `${compute}/servers/${id}`)).body.server.status).toBe('HARD_REBOOT')
    expect(await conflict({rebuild: {imageRef: image()}})).toBe(
      `Cannot 'rebuild' instance ${id} while it is in task_state rebooting_hard`,
    )
    gate.resolve()
    await gate.promise
    expect((await alice('GET', `${compute}/servers/${id}`)).body.server.status).toBe('ACTIVE')
    expect((await act(id, {reboot: {type: 'soon'}})).status).toBe(400)
  })

  test('an administrator may say that a server is in ERROR', async () => {
    const {id} = await booted()
    const reset = (state: string) =>
      admin('POST', `${compute}/servers/${id}/action`, {'os-resetState': {state}})
    expect((await act(id, {'os-resetState': {state: 'error'}})).status).toBe(403)
    expect((await reset('gone')).status).toBe(400)
    expect((await reset('error')).status).toBe(202)
    expect((await alice('GET', `${compute}/servers/${id}`)).body.server.status).toBe('ERROR')
    expect((await reset('active')).status).toBe(202)
    expect((await alice('GET', `${compute}/servers/${id}`)).body.server.status).toBe('ACTIVE')
  })

  test('a rebuild may bring other boot data, key and image', async () => {
    const {id} = await booted()
    const user_data = Buffer.from('#!/bin/sh\n').toString('base64')
    const {status, body} = await act(id, {rebuild: {imageRef: image(), user_data, key_name: 'alice'}})
    expect([status, body.server]).toEqual([
      202,
      expect.objectContaining({status: 'REBUILD', user_data, key_name: 'alice'}),
    ])
    expect((await act(id, {rebuild: {imageRef: image('ubuntu-22.04')}})).status).toBe(400)
    expect((await act(id, {rebuild: {imageRef: image(), user_data: '?'}})).status).toBe(400)
  })
})

describe('injected faults of a boot', () => {
  const fault = (body: object) => admin('POST', '/lab/faults', {times: 1, ...body})
  const match = `POST ${compute}/servers$`

  test('no valid host', async () => {
    await fault({match, effect: 'no-host'})
    expect((await booted()).fault.message).toMatch(/^No valid host was found\./)
    expect((await booted()).status).toBe('ACTIVE')
  })

  test('ACTIVE, but nobody there until it is rebooted', async () => {
    const started: string[] = []
    lab.fabric.boot = async server => void started.push(server.name)
    await fault({match, effect: 'deaf'})
    const server = await booted({name: 'deaf'})
    expect([server.status, started]).toEqual(['ACTIVE', []])
    await act(server.id, {reboot: {type: 'HARD'}})
    expect(started).toEqual(['deaf'])
  })

  test('boot data that say nothing', async () => {
    await fault({match, effect: 'no-user-data'})
    const asked = Buffer.from('#!/bin/sh\n').toString('base64')
    const {id} = await booted({user_data: asked})
    expect(Buffer.from(lab.cloud.servers.get(id)?.user_data ?? '', 'base64').toString()).toBe(
      '#cloud-config\n{}\n',
    )
  })

  test('an answer that is lost after the server was made', async () => {
    await fault({match, effect: 'after', status: 504, body: '<html>'})
    expect((await boot({name: 'twice'})).status).toBe(504)
    const {servers} = (await alice('GET', `${compute}/servers?name=^twice$`)).body
    expect(servers).toHaveLength(1)
  })

  test('an empty console', async () => {
    const id = lab.id('t1-web')
    await fault({match: `POST ${compute}/servers/*/action`, effect: 'no-console'})
    expect((await act(id, {'os-getConsoleOutput': {}})).body.output).toBe('')
    expect((await act(id, {'os-getConsoleOutput': {}})).body.output).not.toBe('')
  })
})

test('flavors have extra_specs from 2.61 on, and are filtered by size', async () => {
  const flavors = async (query: string, minor: number) =>
    (await alice('GET', `${compute}/flavors/detail${query}`, undefined, version(minor))).body.flavors
  const gpu = (await flavors('', 61)).find((one: {id: string}) => one.id === '5')
  expect(gpu.extra_specs).toEqual({'pci_passthrough:alias': 'gpu:1'})
  expect((await flavors('', 60))[0]).not.toHaveProperty('extra_specs')
  expect((await flavors('?minRam=512&minDisk=1', 1)).map((one: {name: string}) => one.name)).toEqual([
    'm1.mini',
    'm1.small',
    'g1.small',
  ])
})
