import {describe, expect, test} from '@jest/globals'

import {client, fake} from './clients.ts'
import {recorded} from './fake.ts'

/* What is asked and made to have servers of our own: flavors, limits, zones, groups, addresses. */

const flavor = {id: '1', name: 'm1.small', vcpus: 1, ram: 2048, disk: 20, 'OS-FLV-DISABLED:disabled': false}
const sent = (path: string) => fake.to(path).map(({method, body}) => ({method, body}))

describe('Nova', () => {
  test('flavors, with their extra specs where they are shown', async () => {
    const specs = {'hw:cpu_policy': 'dedicated'}
    const spaced = {...flavor, id: 'm1 small', extra_specs: specs}
    fake.on('GET', '/v2.1/flavors/detail', {body: {flavors: [flavor, spaced]}})
    const [plain, special] = await client().compute.flavors({is_public: true})
    expect(plain).toEqual(flavor)
    expect(special).toMatchObject({id: 'm1 small', extra_specs: specs})
    expect(fake.asked.at(-1)?.path).toBe('/v2.1/flavors/detail?is_public=true')
  })

  test.each([
    ['an ID with a path in it', {id: '../servers'}],
    ['RAM that is none', {ram: '2 GB'}],
    ['less than no disk', {disk: -1}],
    ['extra specs that are no texts', {extra_specs: {'resources:VGPU': 1}}],
  ])('a flavor with %s is nonsense', async (_, change) => {
    fake.on('GET', '/v2.1/flavors/detail', {body: {flavors: [{...flavor, ...change}]}})
    await expect(client().compute.flavors()).rejects.toMatchObject({fault: 'server'})
  })

  test('limits, of which no limit is -1', async () => {
    const absolute = {maxTotalInstances: -1, totalInstancesUsed: 3}
    fake.on(
      'GET',
      '/v2.1/limits',
      {body: {limits: {rate: [], absolute}}},
      {body: {limits: {rate: []}}},
      {body: {limits: {rate: [], absolute: {maxTotalInstances: 'many'}}}},
    )
    const {compute} = client()
    expect(await compute.limits()).toEqual(absolute)
    for (let n = 0; n < 2; n++) await expect(compute.limits()).rejects.toMatchObject({fault: 'server'})
  })

  test('zones that are available', async () => {
    const zone = (zoneName: string, available: boolean) => ({zoneName, zoneState: {available}, hosts: null})
    fake.on('GET', '/v2.1/os-availability-zone', {
      body: {availabilityZoneInfo: [zone('east', true), zone('west', false)]},
    })
    expect(await client().compute.availabilityZones()).toEqual(['east'])
  })

  test('server groups have one policy', async () => {
    const groups = '/v2.1/os-server-groups'
    const old = {id: 'g1', name: 'old', policies: ['anti-affinity'], members: [], metadata: {}}
    const now = {id: 'g2', name: 'now', policy: 'soft-anti-affinity', rules: {}, members: ['s1']}
    fake.on('GET', groups, {body: {server_groups: [old, now]}})
    fake.on('POST', groups, {body: {server_group: now}})
    fake.on('DELETE', `${groups}/g2`, {status: 204})
    const {compute} = client()
    expect((await compute.serverGroups()).map(group => group.policy)).toEqual([
      'anti-affinity',
      'soft-anti-affinity',
    ])
    const wanted = {name: 'now', policy: 'soft-anti-affinity'} as const
    expect(await compute.createServerGroup(wanted)).toMatchObject({id: 'g2'})
    await compute.deleteServerGroup('g2')
    await client({services: {compute: {microversion: '2.60'}}}).compute.createServerGroup(wanted)
    expect(sent(groups).filter(({method}) => method === 'POST')).toEqual([
      {method: 'POST', body: {server_group: wanted}},
      {method: 'POST', body: {server_group: {name: 'now', policies: ['soft-anti-affinity']}}},
    ])
  })

  test('a server is made with hints beside it', async () => {
    fake.on('POST', '/v2.1/servers', {status: 202, body: {server: {id: 's1', links: []}}})
    const volume = {boot_index: 0, uuid: 'i', volume_size: 3, delete_on_termination: true} as const
    const server = {
      name: 'gate',
      flavorRef: '1',
      networks: [{port: 'p1'}],
      user_data: 'I2Nsb3VkLWNvbmZpZwo=',
      config_drive: true,
      metadata: {'os-ssh': 'abc'},
      availability_zone: 'east',
      block_device_mapping_v2: [{...volume, source_type: 'image', destination_type: 'volume'}],
    } as const
    const {compute} = client()
    expect(await compute.createServer(server, {group: 'g1'})).toMatchObject({id: 's1'})
    await compute.createServer(server)
    expect(sent('/v2.1/servers').map(({body}) => body)).toEqual([
      {server, 'os:scheduler_hints': {group: 'g1'}},
      {server},
    ])
  })

  test('a server is started, stopped and rebooted; none of it is repeated', async () => {
    const action = '/v2.1/servers/s1/action'
    fake.on('POST', action, {status: 202}, {status: 202}, {status: 202}, {status: 503})
    const {compute} = client()
    await compute.startServer('s1')
    await compute.stopServer('s1')
    await compute.rebootServer('s1', 'SOFT')
    await expect(compute.rebootServer('s1', 'HARD')).rejects.toMatchObject({fault: 'server'})
    expect(sent(action).map(({body}) => body)).toEqual([
      {'os-start': null},
      {'os-stop': null},
      {reboot: {type: 'SOFT'}},
      {reboot: {type: 'HARD'}},
    ])
  })

  test('a server in ERROR says why', async () => {
    const fault = {code: 500, created: '2026-01-01T00:00:00Z', message: 'No valid host was found. '}
    const server = {id: 's1', name: 'gate', status: 'ERROR', addresses: {}, metadata: {}, fault}
    fake.on('GET', '/v2.1/servers/s1', {body: {server}}, {body: {server: {...server, fault: 'none'}}})
    const {compute} = client()
    expect((await compute.server('s1')).fault?.message).toBe('No valid host was found. ')
    await expect(compute.server('s1')).rejects.toMatchObject({fault: 'server'})
  })
})

describe('Neutron', () => {
  test('floating IPs are made with their port, changed and deleted', async () => {
    const wanted = {floating_network_id: 'n', port_id: 'p', description: 'os-ssh-1'}
    const floatingip = {
      ...wanted,
      id: 'f',
      floating_ip_address: '203.0.113.9',
      project_id: 't',
      status: 'DOWN',
    }
    fake.on('POST', '/v2.0/floatingips', {status: 201, body: {floatingip}})
    fake.on('PUT', '/v2.0/floatingips/f', {body: {floatingip: {...floatingip, port_id: null}}})
    fake.on('DELETE', '/v2.0/floatingips/f', {status: 204})
    const {network} = client()
    expect(await network.createFloatingIp(wanted)).toMatchObject({id: 'f', description: 'os-ssh-1'})
    expect(await network.updateFloatingIp('f', {port_id: null})).toMatchObject({port_id: null})
    await network.deleteFloatingIp('f')
    expect([...sent('/v2.0/floatingips'), ...sent('/v2.0/floatingips/f')]).toEqual([
      {method: 'POST', body: {floatingip: wanted}},
      {method: 'PUT', body: {floatingip: {port_id: null}}},
      {method: 'DELETE', body: ''},
    ])
  })

  test('security groups are made, rule by rule', async () => {
    const recordedGroups = recorded('neutron-security-groups').body as {security_groups: object[]}
    const [group] = recordedGroups.security_groups as {security_group_rules: {id: string}[]}[]
    const [rule] = group?.security_group_rules ?? []
    fake.on('POST', '/v2.0/security-groups', {status: 201, body: {security_group: group}})
    fake.on('POST', '/v2.0/security-group-rules', {status: 201, body: {security_group_rule: rule}})
    fake.on('DELETE', `/v2.0/security-group-rules/${rule?.id}`, {status: 204})
    fake.on('DELETE', '/v2.0/security-groups/g', {status: 204})
    const {network} = client()
    const made = await network.createSecurityGroup({name: 'ssh', description: 'os-ssh-1'})
    expect(made.security_group_rules[0]).toMatchObject({direction: 'ingress', port_range_min: 22})
    const open = {
      security_group_id: 'g',
      direction: 'ingress',
      ethertype: 'IPv4',
      protocol: 'tcp',
      port_range_min: 22,
      port_range_max: 22,
    } as const
    expect(await network.createSecurityGroupRule(open)).toMatchObject({protocol: 'tcp'})
    await network.deleteSecurityGroupRule(rule?.id ?? '')
    await network.deleteSecurityGroup('g')
    expect([...sent('/v2.0/security-groups'), ...sent('/v2.0/security-group-rules')]).toEqual([
      {method: 'POST', body: {security_group: {name: 'ssh', description: 'os-ssh-1'}}},
      {method: 'POST', body: {security_group_rule: open}},
    ])
  })

  test.each([
    ['a direction that there is not', {direction: 'sideways'}],
    ['a prefix that is none', {remote_ip_prefix: '10.0.0.0/24; accept'}],
    ['a port that is a text', {port_range_min: '22'}],
  ])('a rule with %s is nonsense', async (_, change) => {
    const rule = {id: 'r', security_group_id: 'g', direction: 'ingress', ethertype: 'IPv4', ...change}
    const group = {id: 'g', name: 'g', security_group_rules: [rule]}
    fake.on('GET', '/v2.0/security-groups', {body: {security_groups: [group]}})
    await expect(client().network.securityGroups()).rejects.toMatchObject({fault: 'server'})
  })

  test('a quota whose limit is no number is nonsense', async () => {
    fake.on('GET', '/v2.0/quotas/p/details', {body: {quota: {port: {limit: 'many', used: 0, reserved: 0}}}})
    await expect(client().network.quotas('p')).rejects.toMatchObject({fault: 'server'})
  })
})

test('Glance: what decides whether an image fits', async () => {
  const image = {
    id: 'i',
    name: 'debian-12',
    status: 'active',
    visibility: 'community',
    owner: 't',
    disk_format: 'qcow2',
    size: 347_000_000,
    virtual_size: 2_147_483_648,
    min_ram: 512,
    min_disk: 2,
    created_at: '2026-01-01T00:00:00Z',
    os_version: '12',
    architecture: 'x86_64',
  }
  fake.on(
    'GET',
    '/v2/images',
    {body: {images: [image]}},
    {body: {images: [{...image, visibility: 'secret'}]}},
    {body: {images: [{...image, min_disk: null}]}},
  )
  const {image: glance} = client()
  expect(await glance.images({status: 'active', visibility: 'community'})).toEqual([image])
  expect(fake.asked.at(-1)?.path).toBe('/v2/images?status=active&visibility=community')
  for (let n = 0; n < 2; n++) await expect(glance.images()).rejects.toMatchObject({fault: 'server'})
})
