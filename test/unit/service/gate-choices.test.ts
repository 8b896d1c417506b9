import {expect, test} from '@jest/globals'

import {gateChoices, gateUp, removeGate} from '../../../src/service/store/gates.ts'
import {bootMachine, retireMachine, runMachine, wantMachines} from '../../../src/service/store/machines.ts'
import {openStore} from '../../../src/service/store/open.ts'
import {path} from '../../../src/service/store/paths.ts'
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

test('a path that came while its gate was being removed ends with it: by whom, and from where', async () => {
  const db = await openStore(':memory:')
  await gateRow(db)
  await pathRow(db, {state: 'active', attachment_id: ''})
  const who = {id: 'op', name: 'Olga', project_id: 'infra', source: '192.0.2.7'}
  expect(await removeGate(db, {id: 'g', name: 'gate1'}, who, 5)).toBe(true)
  expect(await path(db, 'path')).toMatchObject({state: 'released', ended_at: 5, cut_at: 5})
  expect(await db.selectFrom('audit').selectAll().orderBy('id').execute()).toMatchObject([
    {
      action: 'revoke',
      path_id: 'path',
      user_name: 'alice',
      detail: 'gate removed by Olga',
      source: '192.0.2.7',
    },
    {action: 'gate-remove', path_id: null, user_name: 'Olga', detail: 'gate1', source: '192.0.2.7'},
  ])
  await db.destroy()
})
