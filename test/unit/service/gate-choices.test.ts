import {expect, test} from '@jest/globals'

import {gateChoices, gateUp} from '../../../src/service/store/gates.ts'
import {bootMachine, retireMachine, runMachine, wantMachines} from '../../../src/service/store/machines.ts'
import {openStore} from '../../../src/service/store/open.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

const self = {id: 's', name: 'the SSH service', project_id: 'infra'}
const id = '00000000-0000-4000-8000-000000000001'

test('a gate whose machine goes is given no paths, even while it answers', async () => {
  const db = await openStore(':memory:')
  const common = {id, name: 'gate-1', scope: 'shared', zone: null, serves: null, created_at: 1} as const
  await wantMachines(db, [{...common, wish: {}, automatic: true}], () => undefined, self)
  await bootMachine(db, id, {server_id: 'server-1', host: '192.0.2.1'}, 2)
  const reached = {host: '192.0.2.1', port: 22, login: 'root', host_key: 'ssh-ed25519 AAAA', keep_nics: []}
  await runMachine(db, {...common, ...reached, server_id: 'server-1', project_id: 'infra'}, self)
  await gateUp(db, id)
  expect(await gateChoices(db)).toMatchObject([{state: 'ready', draining: false}])
  await retireMachine(db, {id, name: 'gate-1', server_id: 'server-1'}, 'gate-delete', self, 4)
  expect(await gateChoices(db)).toMatchObject([{state: 'ready', draining: true}])
  await db.destroy()
})

test('the planner sees each gate with what is its own', async () => {
  const db = await openStore(':memory:')
  await gateRow(db, {zone: 'z', serves: 't', scope: 'project', state: 'down'})
  await gateRow(db, {id: 'h', name: 'gate2', server_id: 'h', drained_at: 5})
  const reach = [{network_id: 'n1', cidr: '10.0.0.0/24', via: null}]
  await attachmentRow(db, {reach, state: 'removing', idle_since: 3})
  await attachmentRow(db, {id: 'b', gate_id: 'h', state: 'ready'})
  await pathRow(db)
  await pathRow(db, {id: 'other', project_id: 'o', alias: '100.64.0.17', login: 'osp0001', fingerprint: 'x'})
  const attachment = {network_id: 'n1', project_id: 't'}
  const gates = [
    {
      ...{
        id: 'g',
        project_id: 'infra',
        scope: 'project',
        serves: 't',
        zone: 'z',
        draining: false,
        state: 'down',
      },
      ...{paths: 2, attachments: [{...attachment, id: 'a', idle_since: 3, reach, removing: true}]},
      held: new Map([
        ['t', 1],
        ['o', 1],
      ]),
    },
    {
      ...{
        id: 'h',
        project_id: 'infra',
        scope: 'shared',
        serves: null,
        zone: null,
        draining: true,
        state: 'ready',
      },
      ...{paths: 0, attachments: [{...attachment, id: 'b', idle_since: null, reach: [], removing: false}]},
      held: new Map(),
    },
  ]
  expect(await gateChoices(db)).toEqual(gates)
  await db.destroy()
})
