import {expect, test} from '@jest/globals'

import type {OpenStack} from '../../../src/openstack/index.ts'
import {outsideOf} from '../../../src/service/planner/facts.ts'
import {matches} from '../../support/fake-rows.ts'

const gate = {server_id: 'gate', project_id: 'infra'}
/** A gate on `management`, where its project's router leads to `public`, and a tenant has put theirs, too. */
const ports = [
  {id: 'p1', name: '', device_id: 'gate', device_owner: 'compute:nova', network_id: 'management'},
  {id: 'p2', name: 'os-ssh-a1', device_id: 'gate', device_owner: 'compute:nova', network_id: 'tenants'},
  {id: 'p3', name: 'renamed', device_id: 'gate', device_owner: 'compute:nova', network_id: 'plugged'},
  {id: 'p4', name: '', device_id: 'r1', device_owner: 'network:router_interface', network_id: 'management'},
  {id: 'p5', name: '', device_id: 'r2', device_owner: 'network:router_interface', network_id: 'management'},
  {id: 'p6', name: 'renamed', device_id: 'other', device_owner: 'compute:nova', network_id: 'plugged'},
  {
    ...{id: 'p7', name: 'os-ssh-gate-1', description: 'os-ssh gate 1'},
    ...{device_id: 'made', device_owner: 'compute:nova', network_id: 'management'},
  },
]
const routers = [
  {id: 'r1', project_id: 'infra', external_gateway_info: {network_id: 'public'}},
  {id: 'r2', project_id: 'mallory', external_gateway_info: {network_id: 'made-external'}},
]
/** As Neutron has it, an empty list is no filter at all. */
const listed = (rows: readonly object[]) => async (filter: object) =>
  rows.filter(row =>
    matches(row, Object.fromEntries(Object.entries(filter).filter(([, wanted]) => wanted.length > 0))),
  )
const cloud = {network: {ports: listed(ports), routers: listed(routers)}} as unknown as OpenStack

test('a gate’s own way out leads to its networks and its project’s external ones, and to no tenant’s', async () => {
  const outside = await outsideOf(cloud, gate, new Set(['p3']))
  // Any member can make a network of theirs external, with any prefix, and put a router on a network that is shared.
  expect([...outside].sort()).toEqual(['management', 'public'])
})

test('one that has only what is plugged in for tenants’ sake leads nowhere', async () => {
  const other = {...gate, server_id: 'other'}
  expect([...(await outsideOf(cloud, other, new Set(['p6'])))]).toEqual([])
})

test('a gate that the service has made has its own interface by its mark, whatever the name is', async () => {
  const made = {server_id: 'made', project_id: 'infra'}
  expect([...(await outsideOf(cloud, made, new Set()))].sort()).toEqual(['management', 'public'])
})
