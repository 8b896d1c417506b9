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
const servers = '/compute/v2.1/servers'
const version = (minor: number) => ({'openstack-api-version': `compute 2.${minor}`})

async function newPort(ask: Ask, network: string, more: object = {}): Promise<string> {
  const {body} = await ask('POST', '/network/v2.0/ports', {port: {network_id: lab.id(network), ...more}})
  return body.port.id
}

describe('who sees what', () => {
  test("another project's server looks exactly like an unknown one", async () => {
    const foreign = lab.id('t2-web')
    const unknown = '00000000-0000-0000-0000-000000000000'
    const [one, two] = [
      await alice('GET', `${servers}/${foreign}`),
      await alice('GET', `${servers}/${unknown}`),
    ]
    expect(one.status).toBe(404)
    expect(one.body).toEqual(JSON.parse(JSON.stringify(two.body).replaceAll(unknown, foreign)))
  })

  test('all projects are for admins', async () => {
    expect((await alice('GET', `${servers}/detail?all_tenants=1`)).body.forbidden.message).toBe(
      "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
    )
    const all = await admin('GET', `${servers}/detail?all_tenants=1`)
    expect(all.body.servers).toHaveLength(lab.cloud.servers.size)
    expect((await admin('GET', `${servers}/detail`)).body.servers).toEqual([])
  })

  test('where a server runs is for admins', async () => {
    const path = `${servers}/${lab.id('t1-web')}`
    expect((await alice('GET', path)).body.server).not.toHaveProperty('OS-EXT-SRV-ATTR:host')
    expect((await admin('GET', path)).body.server).toHaveProperty('OS-EXT-SRV-ATTR:host')
  })

  test('a reader reads, and changes nothing', async () => {
    const carol = await lab.as('reader')
    const path = `${servers}/${lab.id('t1-web')}`
    expect((await carol('GET', path)).status).toBe(200)
    expect((await carol('DELETE', path)).body.forbidden.message).toContain('servers:delete')
    expect((await carol('POST', `${path}/action`, {'os-stop': null})).status).toBe(403)
    expect((await carol('POST', `${path}/os-interface`, {interfaceAttachment: {}})).status).toBe(403)
  })
})

test('microversions decide the shape', async () => {
  const path = `${servers}/${lab.id('t1-web')}`
  expect((await alice('GET', path)).body.server.flavor).toHaveProperty('id', '1')
  const late = await alice('GET', path, undefined, version(93))
  expect(late.body.server.flavor).toHaveProperty('original_name', 'm1.tiny')
  expect(late.headers['openstack-api-version']).toBe('compute 2.93')
  const beyond = await alice('GET', path, undefined, version(999))
  expect(beyond.status).toBe(406)
  expect(beyond.body.computeFault.message).toBe(
    'Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is 2.93.',
  )
})

test('pages by marker until there is no next link', async () => {
  const names: string[] = []
  let url: string | undefined = `${servers}?limit=3`
  for (let pages = 0; url !== undefined && pages < 10; pages++) {
    const {body} = await alice('GET', url)
    names.push(...body.servers.map((server: {name: string}) => server.name))
    const next: string | undefined = body.servers_links?.[0].href
    url = next?.replace(lab.cloud.url, '')
  }
  expect(names.toSorted()).toEqual([
    'gate-t1',
    't1-app',
    't1-bare',
    't1-db',
    't1-default',
    't1-default2',
    't1-jump',
    't1-off',
    't1-six',
    't1-web',
  ])
})

describe('attaching', () => {
  test("a port of another project than the server's is refused, by admin 400, by a member 404", async () => {
    const port = await newPort(alice, 't1-iso')
    const path = `${servers}/${lab.id('gate1')}/os-interface`
    const byAdmin = await admin('POST', path, {interfaceAttachment: {port_id: port}})
    expect(byAdmin.status).toBe(400)
    expect(byAdmin.body.badRequest.message).toBe(`Port ${port} not usable for instance ${lab.id('gate1')}.`)
    const bob = await lab.as('tenant2')
    const own = `${servers}/${lab.id('t2-web')}/os-interface`
    expect((await bob('POST', own, {interfaceAttachment: {port_id: port}})).status).toBe(404)
  })

  test('a port that admin made for the gate on a foreign network is attached by admin', async () => {
    const port = await newPort(admin, 't1-iso', {project_id: lab.id('infra')})
    const path = `${servers}/${lab.id('gate1')}/os-interface`
    const {status, body} = await admin('POST', path, {interfaceAttachment: {port_id: port}})
    expect([status, body.interfaceAttachment.port_state]).toEqual([200, 'DOWN'])
    // ACTIVE comes after the answer, as with a real agent
    let seen = await admin('GET', `/network/v2.0/ports/${port}`)
    for (let tries = 0; seen.body.port.status !== 'ACTIVE' && tries < 50; tries++) {
      await new Promise(setImmediate)
      seen = await admin('GET', `/network/v2.0/ports/${port}`)
    }
    expect(seen.body.port).toMatchObject({
      status: 'ACTIVE',
      device_owner: 'compute:nova',
      device_id: lab.id('gate1'),
    })
    expect((await admin('POST', path, {interfaceAttachment: {port_id: port}})).status).toBe(409)
  })

  test('a given port survives its detachment, one that Nova made does not', async () => {
    const path = `${servers}/${lab.id('t1-web')}/os-interface`
    const given = await newPort(alice, 't1-iso')
    await alice('POST', path, {interfaceAttachment: {port_id: given}})
    const made = (await alice('POST', path, {interfaceAttachment: {net_id: lab.id('t1-net2')}})).body
      .interfaceAttachment.port_id
    expect((await alice('GET', path)).body.interfaceAttachments).toHaveLength(3)
    for (const port of [given, made]) expect((await alice('DELETE', `${path}/${port}`)).status).toBe(202)
    expect((await alice('GET', `/network/v2.0/ports/${given}`)).body.port).toMatchObject({
      device_id: '',
      status: 'DOWN',
    })
    expect((await alice('GET', `/network/v2.0/ports/${made}`)).status).toBe(404)
  })
})

test('stops and starts, and refuses what does not fit the state', async () => {
  const path = `${servers}/${lab.id('t1-web')}`
  const status = async () => (await alice('GET', path)).body.server.status
  expect((await alice('POST', `${path}/action`, {'os-start': null})).status).toBe(409)
  expect((await alice('POST', `${path}/action`, {'os-stop': null})).status).toBe(202)
  expect(await status()).toBe('SHUTOFF')
  expect((await alice('POST', `${path}/action`, {'os-start': null})).status).toBe(202)
  expect(await status()).toBe('ACTIVE')
})

test('boots a server and forgets it', async () => {
  const image = [...lab.cloud.images.keys()][0]
  const server = {
    name: 'x',
    flavorRef: '1',
    imageRef: image,
    networks: [{uuid: lab.id('t1-net')}],
    key_name: 'alice',
  }
  const made = await alice('POST', servers, {server})
  expect(made.status).toBe(202)
  const {id} = made.body.server
  expect((await alice('GET', `${servers}/${id}`)).body.server.addresses['t1-net']).toHaveLength(1)
  expect((await alice('DELETE', `${servers}/${id}`)).status).toBe(204)
  expect((await alice('GET', `${servers}/${id}`)).status).toBe(404)
  expect((await alice('POST', servers, {server: {name: 'x'}})).status).toBe(400)
  expect((await alice('POST', servers, {server: {...server, key_name: 'nosuch'}})).status).toBe(400)
  lab.cloud.quotas.set(lab.id('tenant1'), {instances: 0})
  expect((await alice('POST', servers, {server})).body.forbidden.message).toContain(
    'Quota exceeded for instances',
  )
})

test('the console can be had by its last lines', async () => {
  const path = `${servers}/${lab.id('t1-web')}/action`
  const {body} = await alice('POST', path, {'os-getConsoleOutput': {}})
  expect(body.output).toContain('t1-web login:')
  const three = await alice('POST', path, {'os-getConsoleOutput': {length: 3}})
  expect(body.output.endsWith(three.body.output)).toBe(true)
  expect(three.body.output.trimEnd().split('\n')).toHaveLength(3)
})
