import {expect, test} from '@jest/globals'

import {gateChoices, gateUp} from '../../../src/service/store/gates.ts'
import {bootMachine, retireMachine, runMachine, wantMachines} from '../../../src/service/store/machines.ts'
import {openStore} from '../../../src/service/store/open.ts'

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
