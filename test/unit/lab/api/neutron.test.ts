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
const base = '/network/v2.0'
const names = (rows: {name: string}[]) => rows.map(row => row.name).toSorted()

describe('who sees what', () => {
  test('a member sees own and external networks, without provider fields', async () => {
    const {networks} = (await alice('GET', `${base}/networks`)).body
    expect(names(networks)).toEqual(['public', 't1-gates', 't1-iso', 't1-net', 't1-net2', 't1-v6'])
    expect(networks[0]).not.toHaveProperty('provider:network_type')
    expect((await admin('GET', `${base}/networks`)).body.networks).toHaveLength(lab.cloud.networks.size)
  })

  test('distributed, ha, agents and the binding are for admins', async () => {
    const path = `${base}/routers/${lab.id('t1-router')}`
    expect((await alice('GET', path)).body.router).not.toHaveProperty('distributed')
    expect((await admin('GET', path)).body.router).toMatchObject({distributed: false, ha: false})
    expect((await alice('GET', `${base}/agents`)).body).toEqual({agents: []})
    expect((await alice('GET', `${path}/l3-agents`)).status).toBe(403)
    expect((await admin('GET', `${path}/l3-agents`)).body.agents[0].host).toBe('network1')
    const port = (await alice('GET', `${base}/ports?device_id=${lab.id('t1-web')}`)).body.ports[0]
    expect(port).not.toHaveProperty('binding:host_id')
  })

  test("a network's owner lists others' ports on it, but gets 404 with the whole port for one", async () => {
    const infra = lab.id('infra')
    const made = await admin('POST', `${base}/ports`, {
      port: {network_id: lab.id('t1-iso'), project_id: infra, name: 'gate port'},
    })
    const {id} = made.body.port
    const listed = (await alice('GET', `${base}/ports?network_id=${lab.id('t1-iso')}`)).body.ports
    expect(listed.find((port: {id: string}) => port.id === id)).toMatchObject({name: '', project_id: infra})
    const shown = await alice('GET', `${base}/ports/${id}`)
    expect([shown.status, shown.body.port.id]).toEqual([404, id])
    expect((await alice('DELETE', `${base}/ports/${id}`)).status).toBe(404)
  })

  test("another tenant's network does not exist for a member", async () => {
    const {status, body} = await alice('POST', `${base}/ports`, {port: {network_id: lab.id('t2-iso')}})
    expect([status, body.NeutronError.type]).toEqual([404, 'NetworkNotFound'])
    const router = await alice('GET', `${base}/routers/${lab.id('t2-router')}`)
    expect(router.body.NeutronError.message).toBe(`Router ${lab.id('t2-router')} could not be found`)
  })

  test('a reader creates nothing', async () => {
    const carol = await lab.as('reader')
    const {status, body} = await carol('POST', `${base}/ports`, {port: {network_id: lab.id('t1-net')}})
    expect([status, body.NeutronError.message]).toEqual([403, 'rule:create_port is disallowed by policy'])
  })
})

describe('listing', () => {
  test('a repeated key means any of them', async () => {
    const owners = ['network:router_gateway', 'network:router_interface']
    const query = owners.map(owner => `device_owner=${owner}`).join('&')
    const {ports} = (await admin('GET', `${base}/ports?${query}`)).body
    expect(ports).toHaveLength(8)
    expect(new Set(ports.map((port: {device_owner: string}) => port.device_owner))).toEqual(new Set(owners))
  })

  test('fields= cuts, tags and fixed_ips filter', async () => {
    const row = (await alice('GET', `${base}/ports?fixed_ips=ip_address=10.0.0.10&fields=id&fields=status`))
      .body.ports
    expect(row).toEqual([{id: expect.any(String), status: 'ACTIVE'}])
    const path = `${base}/ports/${row[0].id}/tags`
    expect((await alice('PUT', path, {tags: ['os-ssh', 'os-ssh']})).body).toEqual({tags: ['os-ssh']})
    expect((await alice('GET', `${base}/ports?tags=os-ssh`)).body.ports).toHaveLength(1)
    expect((await alice('GET', `${base}/ports?tags=other`)).body.ports).toHaveLength(0)
  })

  test('pages by marker give every row once', async () => {
    const seen: string[] = []
    let url: string | undefined = `${base}/ports?limit=4`
    for (let pages = 0; url !== undefined && pages < 20; pages++) {
      const {body} = await admin('GET', url)
      seen.push(...body.ports.map((port: {id: string}) => port.id))
      const links: {rel: string; href: string}[] = body.ports_links ?? []
      url = links.find(link => link.rel === 'next')?.href.replace(lab.cloud.url, '')
    }
    expect(seen).toHaveLength(lab.cloud.ports.size)
    expect(new Set(seen).size).toBe(seen.length)
  })

  test('an unknown filter is refused', async () => {
    const {status, body} = await alice('GET', `${base}/ports?nonsense=1`)
    expect([status, body.NeutronError.message]).toEqual([
      400,
      "['nonsense'] is invalid attribute for filtering",
    ])
  })
})

test('the port quota ends in 409 OverQuota, and is told by quotas/details', async () => {
  const project = lab.id('tenant1')
  const used = (await alice('GET', `${base}/quotas/${project}/details`)).body.quota.port.used
  expect((await alice('PUT', `${base}/quotas/${project}`, {quota: {port: 1}})).status).toBe(403)
  expect((await admin('PUT', `${base}/quotas/${project}`, {quota: {port: used}})).status).toBe(200)
  const {status, body} = await alice('POST', `${base}/ports`, {port: {network_id: lab.id('t1-net')}})
  expect(status).toBe(409)
  expect(body.NeutronError).toEqual({
    type: 'OverQuota',
    message: "Quota exceeded for resources: ['port'].",
    detail: '',
  })
})

test('a network with ports and a router with interfaces are not deleted', async () => {
  expect((await alice('DELETE', `${base}/networks/${lab.id('t1-iso')}`)).body.NeutronError.type).toBe(
    'NetworkInUse',
  )
  expect((await alice('DELETE', `${base}/routers/${lab.id('t1-router')}`)).body.NeutronError.type).toBe(
    'RouterInUse',
  )
})

test('a port may carry groups of two projects when admin makes it', async () => {
  const groups = [...lab.cloud.security_groups.values()].filter(group => group.name === 'ssh')
  const of = (project: string) => groups.find(group => group.project_id === lab.id(project))?.id ?? ''
  const port = {
    network_id: lab.id('t1-iso'),
    project_id: lab.id('infra'),
    security_groups: [of('infra'), of('tenant1')],
  }
  expect((await admin('POST', `${base}/ports`, {port})).status).toBe(201)
  const own = {network_id: lab.id('t1-iso'), security_groups: [of('infra')]}
  expect((await alice('POST', `${base}/ports`, {port: own})).body.NeutronError.type).toBe(
    'SecurityGroupNotFound',
  )
})
