import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import type {OpenStack, Port} from '../../../src/openstack/index.ts'
import {forgetGrace, retireEarly, retireIdle} from '../../../src/service/store/attachment-steps.ts'
import {attachmentViews, wronglyGrouped} from '../../../src/service/store/attachments.ts'
import type {Store} from '../../../src/service/store/open.ts'
import type {AttachmentRow} from '../../../src/service/store/schema.ts'
import {survey} from '../../../src/service/survey.ts'
import {attachmentRow, gateRow, groupRows, pathRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

/* What the rows say against what Neutron says, on a real database. */

let db: Store
let ports: Partial<Port>[]
let networks: {id: string; shared?: boolean}[]
const at = (ip_address: string) => [{subnet_id: 'x', ip_address}]
const vmPort = {id: 'vm', device_id: 's1', network_id: 'n1', project_id: 't', fixed_ips: at('10.0.0.5')}
const gatePort = {id: 'ours', device_id: 'gate-server', network_id: 'n1', project_id: 'infra', fixed_ips: []}
const dhcpPort = {id: 'dhcp', device_id: 'dhcp', network_id: 'n1', project_id: 't', fixed_ips: at('10.0.0.2')}
const look = () => survey({db, cloud})
const cloud = {
  identity: {token: async () => ({project: {id: 'infra'}})},
  network: {
    ports: async (filter: Record<'id' | 'device_id' | 'network_id', string[] | undefined>) =>
      ports.filter(port =>
        (['id', 'device_id', 'network_id'] as const).every(
          key => filter[key]?.includes(port[key] ?? '') ?? true,
        ),
      ),
    networks: async ({id}: {id: string[]}) => networks.filter(network => id.includes(network.id)),
  },
} as unknown as OpenStack

describe.each(dialects)('on $name', ({open}) => {
  beforeEach(async () => {
    db = await open()
    ports = [vmPort, gatePort]
    networks = [{id: 'n1'}]
    await gateRow(db)
    await attachmentRow(db, {port_id: 'ours', mac: 'm', groups: {sg: 'vm'}, state: 'ready', wired_at: 1})
    await pathRow(db, {state: 'active'})
  })
  afterEach(() => db.destroy())

  const attachment = async () =>
    (await attachmentViews(db))[0] as AttachmentRow & {readonly groups: readonly string[]}

  it('finds nothing where all is as it was', async () => {
    expect(await look()).toEqual({gone: [], lost: []})
  })

  it.each([
    ['the VM was deleted', [gatePort]],
    ['its address was given to another VM', [gatePort, {...vmPort, device_id: 's2'}]],
    ['it has another address now', [gatePort, {...vmPort, fixed_ips: at('10.0.0.6')}]],
    ['it is on another network now', [gatePort, {...vmPort, network_id: 'n2'}]],
  ])('a path is gone when %s', async (_, after) => {
    ports = after
    expect((await look()).gone).toMatchObject([{id: 'path', attachment_id: 'a'}])
  })

  describe('not seen is not gone', () => {
    it('for an account that sees tenants’ networks no more', async () => {
      ports = [gatePort]
      networks = []
      expect(await look()).toEqual({gone: [], lost: []})
    })

    it('on a shared network, which everybody sees, unless somebody’s port on it is seen', async () => {
      ports = [gatePort]
      networks = [{id: 'n1', shared: true}]
      expect((await look()).gone).toEqual([])
      ports = [gatePort, dhcpPort]
      expect((await look()).gone).toMatchObject([{id: 'path'}])
    })

    it('but it is in the account’s own project', async () => {
      await db.updateTable('paths').set({project_id: 'infra'}).execute()
      ports = [gatePort]
      networks = []
      expect((await look()).gone).toMatchObject([{id: 'path'}])
    })

    it('but it is when the network and our port on it are not there either', async () => {
      ports = []
      networks = []
      expect((await look()).gone).toMatchObject([{id: 'path'}])
    })

    it('for the ports of another project’s gates, when none of them is seen', async () => {
      await db.updateTable('gates').set({project_id: 'other'}).execute()
      ports = [vmPort]
      expect((await look()).lost).toEqual([])
    })
  })

  it('a port that is gone is to be made anew', async () => {
    ports = [vmPort]
    expect((await look()).lost).toMatchObject([{id: 'a', gate_id: 'g'}])
    expect(await attachment()).toMatchObject({state: 'wanted', port_id: null, mac: null, groups: []})
  })

  it('a port that was plugged out is to be plugged in again', async () => {
    ports = [vmPort, {...gatePort, device_id: ''}]
    expect((await look()).lost).toMatchObject([{id: 'a', gate_id: 'g'}])
    expect(await attachment()).toMatchObject({state: 'wanted', port_id: 'ours', groups: ['sg']})
  })

  it('an attachment that is wanted is pursued until it is there', async () => {
    await db.updateTable('attachments').set({state: 'wanted'}).execute()
    expect((await look()).lost).toMatchObject([{id: 'a'}])
  })

  it.each([
    ['of a VM that no path leads to any more', {left: 'vm', own: 'own', sg: 'vm'}, 1],
    ['that a live path needs', {own: 'own'}, 1],
    ['none', {own: 'own', sg: 'vm'}, 0],
  ] as const)(
    'a port is put right that is in other groups than it shall be: %s',
    async (_, groups, found) => {
      await groupRows(db, groups)
      await db.insertInto('path_groups').values({path_id: 'path', group_id: 'sg'}).execute()
      expect(await wronglyGrouped(db)).toHaveLength(found)
    },
  )

  it('one that is being removed is left alone', async () => {
    await db.updateTable('attachments').set({state: 'removing'}).execute()
    ports = []
    expect((await look()).lost).toEqual([])
  })

  describe('a network', () => {
    const now = 1_000_000
    const state = async () => (await attachment()).state

    it('waits for its grace, but not when its VMs are gone, and never before the paths are cut', async () => {
      await retireIdle(db, now, 1000)
      expect((await attachment()).idle_since).toBeNull()
      await db.updateTable('paths').set({state: 'ended'}).execute()
      await forgetGrace(db, ['a'])
      await retireIdle(db, now, 1000)
      expect(await state()).toBe('ready') // its path is not cut yet
      await db.updateTable('paths').set({state: 'cut', cut_at: now}).execute()
      await retireIdle(db, now, 1000)
      expect(await state()).toBe('removing')
    })

    it('has its grace from when the last path was cut until somebody comes back', async () => {
      for (const uncut of ['ended', 'failed'] as const) {
        await db.updateTable('paths').set({state: uncut}).execute()
        await retireIdle(db, now - 5000, 1000)
        expect(await attachment()).toMatchObject({state: 'ready', idle_since: null})
      }
      await db.updateTable('paths').set({state: 'cut', cut_at: now}).execute()
      await retireIdle(db, now, 1000)
      await retireIdle(db, now + 999, 1000)
      expect(await attachment()).toMatchObject({state: 'ready', idle_since: now})
      await db.updateTable('paths').set({state: 'active'}).execute()
      await retireIdle(db, now + 2000, 1000)
      expect(await attachment()).toMatchObject({state: 'ready', idle_since: null})
    })

    it('goes when its grace is over, and not a moment before', async () => {
      await db.updateTable('paths').set({state: 'cut', cut_at: now}).execute()
      for (const [at, is] of [
        [now, 'ready'],
        [now + 999, 'ready'],
        [now + 1000, 'removing'],
      ] as const) {
        await retireIdle(db, at, 1000)
        expect(await state()).toBe(is)
      }
    })

    it.each([
      ['active', null, false],
      // Somebody came back at this moment.
      ['active', now, false],
      ['cut', null, false],
      ['cut', now, true],
    ] as const)('gives way early with a path that is %s, idle since %p: %p', async (path, idle_since, is) => {
      await db.updateTable('paths').set({state: path}).execute()
      await db.updateTable('attachments').set({idle_since}).execute()
      expect([await retireEarly(db, 'a'), await state()]).toEqual([is, is ? 'removing' : 'ready'])
    })

    it('keeps its grace while a path needs it, whichever VMs are gone', async () => {
      await forgetGrace(db, ['a'])
      expect((await attachment()).idle_since).toBeNull()
      await forgetGrace(db, [])
      await db.updateTable('paths').set({state: 'cut', cut_at: now}).execute()
      expect((await attachment()).idle_since).toBeNull()
      await forgetGrace(db, ['a'])
      expect((await attachment()).idle_since).toBe(0)
    })

    it('is not held by a gate that is down and cannot say that it has cut the paths', async () => {
      await db.updateTable('gates').set({state: 'down'}).execute()
      await db.updateTable('paths').set({state: 'ended'}).execute()
      await retireIdle(db, now, 1000)
      await retireIdle(db, now + 1001, 1000)
      expect(await state()).toBe('removing')
    })
  })
})
