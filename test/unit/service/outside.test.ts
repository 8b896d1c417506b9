import {expect, test} from '@jest/globals'

import type {OpenStack} from '../../../src/openstack/index.ts'
import {outsideOf} from '../../../src/service/planner/facts.ts'

const gate = {server_id: 'gate', project_id: 'infra'}
/** A gate on `management`, where its project's router leads to `public`, and a tenant has put theirs, too. */
const ports = [
  {id: 'p1', name: '', device_id: 'gate', device_owner: 'compute:nova', network_id: 'management'},
  {id: 'p2', name: 'os-ssh-a1', device_id: 'gate', device_owner: 'compute:nova', network_id: 'tenants'},
  {id: 'p3', name: 'renamed', device_id: 'gate', device_owner: 'compute:nova', network_id: 'plugged'},
  {id: 'p4', name: '', device_id: 'r1', device_owner: 'network:router_interface', network_id: 'management'},
  {id: 'p5', name: '', device_id: 'r2', device_owner: 'network:router_interface', network_id: 'management'},
]
const routers = [
  {id: 'r1', project_id: 'infra', external_gateway_info: {network_id: 'public'}},
  {id: 'r2', project_id: 'mallory', external_gateway_info: {network_id: 'made-external'}},
]
const cloud = {
  network: {
    ports: async ({device_id, network_id = []}: {device_id?: string; network_id?: readonly string[]}) =>
      ports.filter(port =>
        device_id === undefined
          ? network_id.includes(port.network_id) && port.device_owner.startsWith('network:')
          : port.device_id === device_id,
      ),
    routers: async ({id}: {id: readonly string[]}) => routers.filter(router => id.includes(router.id)),
  },
} as unknown as OpenStack

test('a gate’s own way out leads to its networks and its project’s external ones, and to no tenant’s', async () => {
  const outside = await outsideOf(cloud, gate, new Set(['p3']))
  // Any member can make a network of theirs external, with any prefix, and put a router on a network that is shared.
  expect([...outside].sort()).toEqual(['management', 'public'])
})
