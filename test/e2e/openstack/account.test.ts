import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {Asked, documented} from '../../openstack/asked.ts'
import {login} from '../../openstack/identity.ts'
import {eventually} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* docs/service-account.md lists the calls of the service's account: held against what the real services have logged. */

jest.setTimeout(240_000)

let world: World
let asked: Asked
beforeAll(async () => {
  asked = new Asked()
  world = await World.open('account', {flags: ['--grace', '1']})
})
afterAll(() => world?.close())

it('makes the calls that are documented, and no other', async () => {
  const grants = await Promise.all([
    world.grant('tenant1', 't1-web'),
    world.grant('tenant1', 't1-default'),
    world.grant('tenant2', 't2-db'),
  ])
  // A survey that finds all there, and one that misses a VM.
  const vm = await world.throwaway()
  const {id} = await world.grant('tenant1', vm)
  await world.surveyed()
  await (await world.cloud('tenant1')).compute.deleteServer(vm)
  const look = () => world.api<{state: string}>('tenant1', 'GET', `/v1/paths/${id}`)
  expect(await eventually(look, path => path.state === 'failed', 60_000)).toMatchObject({state: 'failed'})
  for (const [index, grant] of grants.entries())
    await world.api(index === 2 ? 'tenant2' : 'tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
  await eventually(
    () => world.attachments(),
    found => found.length === 0,
    60_000,
  )
  await world.stopService()

  const {userId} = await login('service')
  for (const service of ['Nova', 'Neutron'] as const)
    expect(asked.of(service, userId)).toEqual(documented('## Exactly these calls', service))
})
