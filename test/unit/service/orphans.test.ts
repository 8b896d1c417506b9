import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {Port} from '../../../src/openstack/index.ts'
import type {ServiceContext} from '../../../src/service/context.ts'
import {sweepPorts} from '../../../src/service/orphans.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {attachmentRow, gateRow} from '../../support/rows.ts'

/* Ports of ours that no row names: what a replica that was paused in the middle may have made twice. */

let db: Store
let ports: Partial<Port>[]
/** What is asked of Nova and Neutron. */
let calls: string[]
beforeEach(async () => {
  db = await openStore(':memory:')
  await gateRow(db)
  await attachmentRow(db, {port_id: 'ours'})
  calls = []
  ports = [{...port, id: 'ours'}]
})
afterEach(() => db.destroy())

const port = {name: 'os-ssh-a', project_id: 'infra', device_id: 'gate-server'}
const cloud = {
  network: {
    async ports({description}: {description: string}) {
      calls.push(`list ${description}`)
      return ports
    },
    port: async (id: string) => ({...ports.find(one => one.id === id), device_id: ''}),
    deletePort: async (id: string) => calls.push(`delete ${id}`),
  },
  compute: {detachPort: async (server: string, id: string) => calls.push(`detach ${id} from ${server}`)},
}
const context = () =>
  ({
    db,
    cloud,
    serviceId: 'service',
    clock: Date.now,
    log: pino({level: 'silent'}),
  }) as unknown as ServiceContext
const sweep = async (suspects: ReadonlySet<string>) => {
  calls = []
  const found = await sweepPorts(context(), suspects)
  return {found: [...found], done: calls.slice(1)}
}

it('leaves what a row names, and asks for its own service’s only', async () => {
  expect(await sweep(new Set(['ours']))).toEqual({found: [], done: []})
  expect(calls).toEqual(['list os-ssh service service'])
})

it('one that was made twice goes at the second look, out of the gate first', async () => {
  ports.push({...port, id: 'twin'}, {...port, id: 'loose', device_id: ''})
  const first = await sweep(new Set())
  expect(first).toEqual({found: ['twin', 'loose'], done: []})
  expect((await sweep(new Set(first.found))).done).toEqual([
    'detach twin from gate-server',
    'delete twin',
    'delete loose',
  ])
})

it('leaves one that is just being made: its row does not name it yet', async () => {
  await db.updateTable('attachments').set({port_id: null}).execute()
  ports = [{...port, id: 'new'}]
  expect(await sweep(new Set(['new']))).toEqual({found: [], done: []})
})

it.each([
  ['of another project', {project_id: 'stranger'}],
  ['of another name', {name: 'web'}],
])('leaves a port %s, whatever it says of itself', async (_, change) => {
  ports = [{...port, id: 'theirs', ...change}]
  expect(await sweep(new Set(['theirs']))).toEqual({found: [], done: []})
})

it('leaves one that is plugged into another server than a gate', async () => {
  ports = [{...port, id: 'elsewhere', device_id: 'vm'}]
  expect(await sweep(new Set(['elsewhere']))).toEqual({found: ['elsewhere'], done: []})
})
