import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {login} from '../../openstack/identity.ts'
import type {Json, Rest} from '../../openstack/rest.ts'
import {GateClient} from '../../support/gate-client.ts'
import {eventually} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/*
 * Neutron gives the gate's port an address that another had a moment ago, and the VM remembers that one's MAC. It would not
 * learn better by itself: where Neutron's agents (l2population) or OVN answer ARP, the VM is never asked by the gate.
 */

jest.setTimeout(240_000)

let world: World
let alice: Rest
let admin: Rest
let subnet: Json
const made: string[] = []
beforeAll(async () => {
  world = await World.open('address', {flags: ['--grace', '1']})
  alice = await login('tenant1')
  admin = await login('admin')
  await admin.nova('PUT', `os-quota-sets/${alice.projectId}`, {quota_set: {instances: 20}})
  const {networks} = await alice.neutron('GET', 'networks?name=t1-iso')
  const {subnets} = await alice.neutron('GET', `subnets?network_id=${networks[0].id}`)
  subnet = subnets[0]
  await pools([ONLY])
})
afterAll(async () => {
  for (const id of made) await alice.nova('DELETE', `servers/${id}`)
  if (alice) await admin.nova('DELETE', `os-quota-sets/${alice.projectId}`)
  if (subnet) await pools(subnet.allocation_pools)
  await world?.close()
})

/** The one address that is left to give. */
const ONLY = {start: '10.0.1.200', end: '10.0.1.200'}
const pools = (allocation_pools: Json) =>
  alice.neutron('PUT', `subnets/${subnet.id}`, {subnet: {allocation_pools}})

/** A VM on another node than the gate's: on the same one they do ask each other. */
async function far(): Promise<string> {
  const host = async (id: string) =>
    (await admin.nova('GET', `servers/${id}`)).server['OS-EXT-SRV-ATTR:host'] as string
  const near = await host(world.site.gates[0]?.server_id ?? '')
  let id = world.server('t1-db')
  while ((await host(id)) === near) {
    if (made.length === 6) throw new Error(`all VMs are on ${near}`)
    const start = `10.0.1.${100 + made.length}`
    await pools([{start, end: start}])
    id = await world.throwaway()
    made.push(id)
    await pools([ONLY])
  }
  return id
}

it('reaches a VM by an address that the VM knows with another MAC', async () => {
  const id = await far()
  for (let n = 0; n < 3; n++) {
    // The first answer counts.
    const key = generateKeyPair('alice')
    const body = {server_id: id, public_key: key.publicKey}
    const grant = await world.api<Json>('tenant1', 'POST', '/v1/paths', body, 201)
    const client = new GateClient(world, {...grant, key})
    const said = await client.vm(`${world.home}/.ssh/id_alice`, ['sh', '-c', '"echo $SSH_CONNECTION"'])
    expect(said.stdout).toContain('10.0.1.200 ')
    await world.api('tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
    expect(
      await eventually(
        () => world.attachments(),
        found => found.length === 0,
        30_000,
      ),
    ).toEqual([])
  }
})
