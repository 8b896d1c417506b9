import {describe, expect, test} from '@jest/globals'

import {client, fake} from './clients.ts'
import {type Answer, recorded} from './fake.ts'

const servers = '/v2.1/servers/detail'
const down: Answer = {
  status: 503,
  body: '<html><body>Service Unavailable</body></html>',
  headers: {'content-type': 'text/html'},
}

describe('retries', () => {
  test.each<[string, Answer]>([
    ['503', down],
    ['429', {status: 429, headers: {'retry-after': '0'}}],
    ['a lost connection', 'drop'],
  ])('a GET is repeated after %s', async (_, fault) => {
    fake.on('GET', servers, fault, fault, recorded('nova-servers-detail'))
    const cloud = client()
    expect(await cloud.compute.servers()).toHaveLength(3)
    expect(cloud.calls).toBe(4)
  })

  test.each<[string, Answer, string]>([
    ['503', down, 'server'],
    ['a lost connection', 'drop', 'unreachable'],
  ])('a POST is not repeated after %s', async (_, answer, fault) => {
    fake.on('POST', '/v2.0/ports', answer)
    await expect(client().network.createPort({network_id: 'n'})).rejects.toMatchObject({
      fault,
      service: 'network',
      method: 'POST',
    })
    expect(fake.to('/v2.0/ports')).toHaveLength(1)
  })

  test('a GET that goes on failing ends after four tries', async () => {
    fake.on('GET', servers, down)
    await expect(client().compute.servers()).rejects.toMatchObject({
      fault: 'server',
      status: 503,
      apiMessage: 'Service Unavailable',
    })
    expect(fake.to(servers)).toHaveLength(4)
  })

  test('a Retry-After of an hour is not waited for', async () => {
    fake.on('GET', servers, {status: 429, headers: {'retry-after': '3600'}})
    await expect(client().compute.servers()).rejects.toMatchObject({fault: 'server', status: 429})
    expect(fake.to(servers)).toHaveLength(1)
  })

  test('a DELETE whose answer was lost, and that then finds nothing, has succeeded; one that finds nothing at once has not', async () => {
    fake.on('DELETE', '/v2.0/ports/p1', 'drop', {status: 404})
    await client().network.deletePort('p1')
    fake.on('DELETE', '/v2.0/ports/p2', {status: 404})
    await expect(client().network.deletePort('p2')).rejects.toMatchObject({fault: 'not-found'})
  })

  test('no answer in time is unreachable', async () => {
    fake.on('POST', '/v2.0/ports', 'silence')
    await expect(client({}, {timeout: 300}).network.createPort({network_id: 'n'})).rejects.toMatchObject({
      fault: 'unreachable',
      message: expect.stringContaining('no answer within 0.3 s'),
    })
  })
})

describe('pages', () => {
  const one = (id: string) => ({id, name: id})

  test('Nova and Neutron: next links, without ever leaving the address of the catalog', async () => {
    const next = {rel: 'next', href: 'https://attacker.example/v2.0/networks?limit=1&marker=a'}
    fake.on('GET', '/v2.0/networks', asked =>
      asked.path.includes('marker=a')
        ? {body: {networks: [one('b')]}}
        : {body: {networks: [one('a')], networks_links: [next]}},
    )
    expect((await client().network.networks({limit: 1})).map(({id}) => id)).toEqual(['a', 'b'])
    expect(fake.to('/v2.0/networks').map(({path}) => path)).toEqual([
      '/v2.0/networks?limit=1',
      '/v2.0/networks?limit=1&marker=a',
    ])
  })

  test('Glance: next is a path', async () => {
    fake.on(
      'GET',
      '/v2/images',
      {body: {images: [one('a')], next: '/v2/images?marker=a'}},
      {body: {images: [one('b')]}},
    )
    expect((await client().image.images({name: 'x'})).map(({id}) => id)).toEqual(['a', 'b'])
    expect(fake.asked.at(-1)?.path).toBe('/v2/images?marker=a')
  })

  test('pages that go in a circle are nonsense', async () => {
    const links = [{rel: 'next', href: `${fake.url}/v2.0/ports?marker=a`}]
    fake.on('GET', '/v2.0/ports', {body: {ports: [one('a')], ports_links: links}})
    await expect(client().network.ports()).rejects.toMatchObject({
      fault: 'server',
      message: expect.stringContaining('circle'),
    })
  })

  test('a list too long for a URL becomes several requests', async () => {
    const ids = Array.from({length: 500}, (_, n) => `${n}`.padStart(36, '0'))
    fake.on('GET', '/v2.0/ports', asked => ({
      body: {ports: new URL(asked.path, fake.url).searchParams.getAll('device_id').map(one)},
    }))
    const ports = await client().network.ports({
      device_id: ids,
      fields: ['id', 'name'],
      admin_state_up: true,
      host: undefined,
    })
    expect(ports.map(({id}) => id)).toEqual(ids)
    for (const {path} of fake.to('/v2.0/ports')) {
      expect(path.length).toBeLessThan(8000)
      expect(path).toContain('fields=id&fields=name&admin_state_up=true')
      expect(path).not.toContain('host')
    }
  })
})

describe('microversions', () => {
  test('2.67 is asked for; an older cloud gets its own maximum, learnt once', async () => {
    fake.on('GET', servers, asked => {
      const older = recorded('nova-microversion-406')
      const wanted = asked.headers['openstack-api-version']
      if (wanted === 'compute 2.60') return recorded('nova-servers-detail')
      return {...older, body: JSON.parse(JSON.stringify(older.body).replace('2.93', '2.60'))}
    })
    const {compute} = client()
    await compute.servers()
    await compute.servers()
    expect(fake.to(servers).map(({headers}) => headers['openstack-api-version'])).toEqual([
      'compute 2.67',
      'compute 2.60',
      'compute 2.60',
    ])
  })

  test('one that is configured is used as it is', async () => {
    fake.on('GET', servers, recorded('nova-microversion-406'))
    const cloud = client({services: {compute: {microversion: '2.999'}}})
    await expect(cloud.compute.servers()).rejects.toMatchObject({status: 406, fault: 'bad-request'})
    expect(fake.to(servers)[0]?.headers['openstack-api-version']).toBe('compute 2.999')
  })
})

describe('faults, as recorded', () => {
  test.each([
    ['nova-404-server', 'not-found', /Nova answered 404: Instance .* could not be found/],
    ['nova-403-instance-quota', 'quota', /Quota exceeded for instances/],
    ['nova-403-reader-deletes', 'forbidden', /Policy doesn't allow/],
    ['nova-400-bad-body', 'bad-request', /Nova answered 400: ./],
    ['neutron-409-port-quota', 'quota', /Quota exceeded for resources: \['port'\]/],
    ['neutron-409-ip-in-use', 'conflict', /Nova answered 409: ./],
    ['keystone-403-member-lists-users', 'forbidden', /not authorized/],
    ['placement-403-member', 'forbidden', /Access was denied to this resource\. Policy does not allow/],
    ['glance-404', 'not-found', /404: No image found with ID 00000000-0000-0000-0000-000000000000$/],
    ['glance-401', 'unauthorized', /401: This server could not verify/],
  ])('%s', async (name, fault, message) => {
    const answer = recorded(name)
    fake.on('GET', '/v2.1/servers/s1', answer)
    const error = await client()
      .compute.server('s1')
      .catch(caught => caught)
    expect(error).toMatchObject({
      name: 'OpenStackError',
      fault,
      status: answer.status,
      service: 'compute',
      method: 'GET',
    })
    expect(error.message).toMatch(message)
    expect(error.requestId).toBe(answer.headers['x-openstack-request-id'])
    expect(error.url).toBe(`${fake.url}/v2.1/servers/s1`)
  })

  test("404 with the whole port in its body (Neutron's quirk) is not found", async () => {
    fake.on('GET', '/v2.0/ports/p1', {...recorded('neutron-gate-port-as-seen-by-tenant1'), status: 404})
    await expect(client().network.port('p1')).rejects.toMatchObject({fault: 'not-found', status: 404})
  })

  test('a network without a free address will not have one in a moment', async () => {
    const message = 'No more IP addresses available on network n1.'
    const NeutronError = {type: 'IpAddressGenerationFailure', message, detail: ''}
    fake.on('GET', '/v2.0/ports/p1', {status: 409, body: {NeutronError}})
    await expect(client().network.port('p1')).rejects.toMatchObject({fault: 'exhausted', status: 409})
  })

  test('a redirection is not followed', async () => {
    fake.on('GET', servers, {status: 302, headers: {location: 'https://user:pw@elsewhere.example/'}})
    const error = await client()
      .compute.servers()
      .catch(caught => caught)
    expect(error).toMatchObject({fault: 'server', status: 302})
    expect(error.message).toContain('a redirection to https://elsewhere.example/')
  })

  test('no text of an answer can steer a terminal', async () => {
    fake.on('GET', servers, {status: 400, body: {badRequest: {message: 'a\u001b[2Jb\r\n\u202ec'}}})
    await expect(client().compute.servers()).rejects.toMatchObject({apiMessage: 'a [2Jb c'})
  })

  test('no server at all, and no such name', async () => {
    const auth = {auth_url: 'http://127.0.0.1:1', username: 'a', password: 'very-secret'}
    const error = await client({auth})
      .identity.token()
      .catch(caught => caught)
    expect(error).toMatchObject({
      fault: 'unreachable',
      service: 'identity',
      message: expect.stringContaining('127.0.0.1:1'),
    })
    expect(JSON.stringify(error) + error.message).not.toContain('very-secret')
  })
})

describe('nonsense', () => {
  test.each<[string, Answer]>([
    ['HTML with 200 (a captive portal)', {body: '<html>log in</html>'}],
    ['no list', {body: {servers: 'none'}}],
    ['an ID with a path in it', {body: {servers: [{id: '../../etc', name: 'x'}]}}],
    ['an address that is none', {body: {servers: [{id: 'a', addresses: {n: [{addr: '$(reboot)'}]}}]}}],
  ])('%s', async (_, answer) => {
    fake.on('GET', servers, answer)
    await expect(client().compute.servers()).rejects.toMatchObject({fault: 'server'})
  })

  test('an ID from outside stays one segment of the path', async () => {
    const {compute} = client()
    await expect(compute.server('../flavors?x#y')).rejects.toMatchObject({fault: 'not-found'})
    expect(fake.asked.at(-1)?.path).toBe('/v2.1/servers/..%2Fflavors%3Fx%23y')
    for (const id of ['', '.', '..'])
      await expect(compute.server(id)).rejects.toMatchObject({fault: 'bad-request'})
  })
})

describe('typed calls, on recorded answers', () => {
  test('Nova', async () => {
    const {compute} = client()
    fake.on('POST', '/v2.1/servers/s/os-interface', recorded('nova-os-interface-attach-by-port'))
    fake.on('GET', '/v2.1/servers/s/os-interface', recorded('nova-os-interface-list'))
    fake.on('DELETE', '/v2.1/servers/s/os-interface/p', {status: 202})
    fake.on('POST', '/v2.1/servers/s/action', {body: {output: 'boot\n'}})
    fake.on('GET', '/v2.1/os-keypairs', {
      body: {keypairs: [{keypair: {name: 'a b', public_key: 'ssh-ed25519 AAAA', fingerprint: '00:11'}}]},
    })
    fake.on('GET', '/v2.1/servers/v', {
      body: {server: {id: 'v', name: 'v', status: 'ACTIVE', image: '', addresses: {}, metadata: {}}},
    })
    expect(await compute.attachPort('s', 'p')).toMatchObject({
      port_state: 'DOWN',
      fixed_ips: [{ip_address: '10.0.1.18'}],
    })
    expect((await compute.interfaces('s'))[0]).toHaveProperty('mac_addr')
    await compute.detachPort('s', 'p')
    expect(await compute.consoleLog('s', 50)).toBe('boot\n')
    expect(fake.to('/v2.1/servers/s/action')[0]?.body).toEqual({'os-getConsoleOutput': {length: 50}})
    expect((await compute.keyPairs()).map(({name}) => name)).toEqual(['a b'])
    expect(await compute.server('v')).toMatchObject({image: null, key_name: null})
  })

  test('Neutron', async () => {
    const {network} = client()
    fake.on('GET', '/v2.0/networks', recorded('neutron-networks-admin'))
    fake.on('GET', '/v2.0/subnets', recorded('neutron-subnets'))
    fake.on('GET', '/v2.0/agents', recorded('neutron-agents'))
    fake.on('GET', '/v2.0/extensions', recorded('neutron-extensions'))
    fake.on('GET', '/v2.0/security-groups', recorded('neutron-security-groups'))
    fake.on('GET', '/v2.0/routers/r', recorded('neutron-router-t2-dvr-admin'))
    fake.on('GET', '/v2.0/routers/r/l3-agents', recorded('neutron-router-t1-legacy-l3-agents'))
    fake.on('GET', '/v2.0/quotas/p/details', recorded('neutron-quota-details'))
    fake.on('POST', '/v2.0/ports', recorded('neutron-port-create'))
    fake.on('PUT', '/v2.0/ports/p/tags', {body: {tags: ['os-ssh']}})
    expect((await network.networks()).length).toBeGreaterThan(2)
    expect((await network.subnets())[0]).toHaveProperty('cidr')
    expect((await network.agents()).map(({alive}) => alive)).toEqual([true, true])
    expect((await network.extensions()).map(({alias}) => alias)).toContain('address-scope')
    expect((await network.securityGroups()).length).toBe(2)
    expect(await network.router('r')).toMatchObject({distributed: true})
    expect(await network.routerAgents('r')).toMatchObject([{host: 'network1', ha_state: null}])
    expect(await network.quotas('p')).toMatchObject({port: {limit: 500, used: 9, reserved: 0}})
    expect(await network.createPort({network_id: 'n', name: 'os-ssh'})).toHaveProperty('mac_address')
    expect(fake.to('/v2.0/ports')[0]?.body).toEqual({port: {network_id: 'n', name: 'os-ssh'}})
    await network.tagPort('p', ['os-ssh'])
    expect(fake.to('/v2.0/ports/p/tags')[0]?.body).toEqual({tags: ['os-ssh']})
  })
})
