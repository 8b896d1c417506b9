import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {login} from '../../openstack/identity.ts'
import type {Json, Rest} from '../../openstack/rest.ts'
import {GateClient} from '../../support/gate-client.ts'
import {eventually, World} from '../../support/world.ts'

/*
 * Neutron gives the gate's port an address that another had a moment ago, and the VM remembers that one's MAC. It would not
 * learn better by itself: where Neutron's agents (l2population) or OVN answer ARP, the VM is never asked by the gate.
 */

jest.setTimeout(240_000)

let world: World
let alice: Rest
let subnet: Json
beforeAll(async () => {
  world = await World.open('address', {flags: ['--grace', '1']})
  alice = await login('tenant1')
  const {networks} = await alice.neutron('GET', 'networks?name=t1-iso')
  const {subnets} = await alice.neutron('GET', `subnets?network_id=${networks[0].id}`)
  subnet = subnets[0]
  await pools([{start: '10.0.1.200', end: '10.0.1.200'}])
})
afterAll(async () => {
  if (subnet) await pools(subnet.allocation_pools)
  await world?.close()
})

const pools = (allocation_pools: Json) =>
  alice.neutron('PUT', `subnets/${subnet.id}`, {subnet: {allocation_pools}})

/** A VM on another node than the gate's: on the same one they do ask each other. */
async function far(): Promise<{id: string; drop: () => Promise<void>}> {
  const {compute} = await world.cloud('admin')
  const host = async (id: string) => (await compute.server(id))['OS-EXT-SRV-ATTR:host']
  const near = await host(world.site.gates[0]?.server_id ?? '')
  const made: string[] = [world.server('t1-db')]
  const drop = async () => {
    for (const id of made.slice(1)) await compute.deleteServer(id)
  }
  while (made.length < 6) {
    const id = made.at(-1) ?? ''
    if ((await host(id)) !== near) return {id, drop}
    await pools([{start: `10.0.1.${100 + made.length}`, end: `10.0.1.${100 + made.length}`}])
    made.push(await world.throwaway())
    await pools([{start: '10.0.1.200', end: '10.0.1.200'}])
  }
  throw new Error(`all VMs are on ${near}`)
}

const attachments = async () =>
  (await world.api<{attachments: Json[]}>('service', 'GET', '/v1/attachments')).attachments

it('reaches a VM by an address that the VM knows with another MAC', async () => {
  const {id, drop} = await far()
  try {
    for (let n = 0; n < 3; n++) {
      // The first answer counts.
      const key = generateKeyPair('alice')
      const body = {server_id: id, public_key: key.publicKey}
      const grant = await world.api<Json>('tenant1', 'POST', '/v1/paths', body, 201)
      const client = new GateClient(world, {...grant, key})
      const said = await client.vm(`${world.home}/.ssh/id_alice`, ['sh', '-c', '"echo $SSH_CONNECTION"'])
      expect(said.stdout).toContain('10.0.1.200 ')
      await world.api('tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
      expect(await eventually(attachments, found => found.length === 0, 30_000)).toEqual([])
    }
  } finally {
    await drop()
  }
})
