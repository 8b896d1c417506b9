import {afterEach, beforeEach, expect, it} from '@jest/globals'

import type {OpenStack, Port} from '../../../src/openstack/index.ts'
import {forgetGrace, retireIdle} from '../../../src/service/store/attachments.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {survey} from '../../../src/service/survey.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* What the rows say against what Neutron says, on a real database. */

let db: Store
let ports: Partial<Port>[]
let networks: string[]
let now = 1_000_000
const vmPort = {
  id: 'vm',
  device_id: 's1',
  network_id: 'n1',
  fixed_ips: [{subnet_id: 'x', ip_address: '10.0.0.5'}],
}
const gatePort = {id: 'ours', device_id: 'gate-server', network_id: 'n1', fixed_ips: []}
const look = () => survey({db, clock: () => now, cloud})
const cloud = {
  network: {
    ports: async (filter: {id?: string[]; network_id?: string[]}) =>
      ports.filter(p => filter.id?.includes(p.id ?? '') ?? filter.network_id?.includes(p.network_id ?? '')),
    networks: async ({id}: {id: string[]}) =>
      id.filter(one => networks.includes(one)).map(one => ({id: one})),
  },
} as unknown as OpenStack

beforeEach(async () => {
  db = await openStore(':memory:')
  now = 1_000_000
  ports = [vmPort, gatePort]
  networks = ['n1']
  await gateRow(db)
  await attachmentRow(db, {port_id: 'ours', mac: 'm', groups: '["sg"]', state: 'ready', wired_at: 1})
  await pathRow(db, {state: 'active'})
})
afterEach(() => db.destroy())

const attachment = () => db.selectFrom('attachments').selectAll().executeTakeFirstOrThrow()

it('finds nothing where all is as it was, and remembers that the VM was seen', async () => {
  expect(await look()).toEqual({gone: [], lost: []})
  expect(await db.selectFrom('paths').select('seen_at').executeTakeFirst()).toEqual({seen_at: now})
})

it('says nothing of a VM whose port this account never saw', async () => {
  ports = [gatePort]
  expect((await look()).gone).toEqual([])
})

it.each([
  ['the VM was deleted', [gatePort]],
  ['its address was given to another VM', [gatePort, {...vmPort, device_id: 's2'}]],
  [
    'it has another address now',
    [gatePort, {...vmPort, fixed_ips: [{subnet_id: 'x', ip_address: '10.0.0.6'}]}],
  ],
  ['it is on another network now', [gatePort, {...vmPort, network_id: 'n2'}]],
])('a path is gone when %s', async (_, after) => {
  await look()
  ports = after
  expect((await look()).gone).toMatchObject([{id: 'path', attachment_id: 'a'}])
})

it('an account that sees tenants’ networks no more says nothing of their VMs', async () => {
  await look()
  ports = [gatePort]
  networks = []
  expect(await look()).toEqual({gone: [], lost: []})
})

it('a path is gone when its whole network is, and our port with it', async () => {
  await look()
  ports = []
  networks = []
  expect((await look()).gone).toMatchObject([{id: 'path'}])
})

it('a port that is gone is to be made anew', async () => {
  ports = [vmPort]
  expect((await look()).lost).toMatchObject([{id: 'a', gate_id: 'g'}])
  expect(await attachment()).toMatchObject({state: 'wanted', port_id: null, mac: null, groups: '[]'})
})

it('a port that was plugged out is to be plugged in again', async () => {
  ports = [vmPort, {...gatePort, device_id: ''}]
  expect((await look()).lost).toMatchObject([{id: 'a', gate_id: 'g'}])
  expect(await attachment()).toMatchObject({state: 'wanted', port_id: 'ours', groups: '["sg"]'})
})

it('an attachment that is wanted is pursued until it is there', async () => {
  await db.updateTable('attachments').set({state: 'wanted'}).execute()
  expect((await look()).lost).toMatchObject([{id: 'a'}])
})

it('one that is being removed is left alone', async () => {
  await db.updateTable('attachments').set({state: 'removing'}).execute()
  ports = []
  expect((await look()).lost).toEqual([])
})

it('a network waits for its grace, but not when its VMs are gone, and never before the paths are cut', async () => {
  const state = async () => (await attachment()).state
  await retireIdle(db, now, 1000)
  expect((await attachment()).idle_since).toBeNull()
  await db.updateTable('paths').set({state: 'ended'}).execute()
  await forgetGrace(db, ['a'])
  await retireIdle(db, now, 1000)
  expect(await state()).toBe('ready') // its path is not cut yet
  await db.updateTable('paths').set({killed_at: now}).execute()
  await retireIdle(db, now, 1000)
  expect(await state()).toBe('removing')
})

it('the grace begins when the last path has been cut, and ends when somebody comes back', async () => {
  await db.updateTable('paths').set({state: 'ended', killed_at: now}).execute()
  await retireIdle(db, now, 1000)
  await retireIdle(db, now + 999, 1000)
  expect(await attachment()).toMatchObject({state: 'ready', idle_since: now})
  await db.updateTable('paths').set({state: 'active'}).execute()
  await retireIdle(db, now + 2000, 1000)
  expect(await attachment()).toMatchObject({state: 'ready', idle_since: null})
})
