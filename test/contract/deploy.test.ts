import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import type {OpenStack} from '../../src/openstack/index.ts'
import {choose} from '../../src/service/deploy/choice/choose.ts'
import {look} from '../../src/service/deploy/choice/look.ts'
import {Contract} from '../support/contract.ts'

/* What a new gate is chosen by, seen with the rights of a member, on the lab and on the real cloud. Nothing is made. */

jest.setTimeout(180_000)

/** What both clouds have. */
const FLAVOR = '1'
const WISH = {image: 'debian-12', flavor: FLAVOR}
let contract: Contract
let service: OpenStack
let alice: OpenStack
beforeAll(async () => {
  contract = await Contract.open('contract-deploy')
  ;({service, alice} = await contract.people())
})
afterAll(() => contract?.close())

it('the service’s account sees what it needs, and no tenant’s network', async () => {
  const project = (await service.identity.token()).project?.id
  const seen = await look(service)
  expect(seen.project).toBe(project)
  expect(seen.images).toContainEqual(expect.objectContaining({name: 'debian-12', os_distro: 'debian'}))
  expect(seen.flavors).toContainEqual(expect.objectContaining({id: FLAVOR, vcpus: 1}))
  expect(seen.zones).toContain('nova')
  expect(seen.limits).toMatchObject({
    maxTotalInstances: expect.any(Number),
    totalCoresUsed: expect.any(Number),
  })
  expect(seen.quotas['floatingip']).toEqual({
    limit: expect.any(Number),
    used: expect.any(Number),
    reserved: expect.any(Number),
  })
  // Its role shows it tenants' networks, too.
  expect(await service.network.networks({name: 't1-net'})).toHaveLength(1)
  expect(seen.networks.map(network => network.name)).not.toContain('t1-net')
  expect(seen.networks.some(network => network['router:external'])).toBe(true)
})

it('a plan for the service comes of it, within its own project or outside', async () => {
  const plan = choose(await look(service), WISH)
  expect(plan).toMatchObject({image: {name: 'debian-12'}, flavor: {id: FLAVOR}, count: 1})
  expect(plan.quota.map(({resource}) => resource)).toEqual(
    expect.arrayContaining(['instances', 'cores', 'ram', 'port', 'security_group']),
  )
  if (plan.address.kind === 'direct') expect(plan.subnet).toBeUndefined()
  else expect(plan.subnet).toMatch(/^[0-9a-f-]{36}$/)
})

it('a tenant’s gate stands behind its own router, with a floating IP from there', async () => {
  const seen = await look(alice)
  const [router] = await alice.network.routers({name: 't1-router'})
  expect(choose(seen, {...WISH, network: 't1-net'})).toMatchObject({
    network: {name: 't1-net'},
    subnet: (await alice.network.subnets({name: 't1-net'}))[0]?.id,
    address: {kind: 'floating', network: {id: router?.external_gateway_info?.network_id}},
  })
  expect(() => choose(seen, {...WISH, network: 't1-iso'})).toThrow('nothing leads to the network "t1-iso"')
})

it('an image that no listing shows is found by its id', async () => {
  const [image] = await service.image.images({name: 'debian-12'})
  const seen = await look(service, {image: image?.id ?? ''})
  expect(seen.images.filter(({id}) => id === image?.id)).toHaveLength(1)
  const none = '00000000-0000-4000-8000-00000000dead'
  const without = await look(service, {image: none})
  expect(() => choose(without, {image: none})).toThrow(expect.objectContaining({code: 'USAGE'}))
})
