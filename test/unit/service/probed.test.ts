import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {ServiceContext} from '../../../src/service/context.ts'
import type {GateConnection} from '../../../src/service/gates/connection.ts'
import {Prober} from '../../../src/service/gates/prober.ts'
import type {Probe} from '../../../src/service/gates/render.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {endPaths} from '../../../src/service/store/path-steps.ts'
import {path as pathById} from '../../../src/service/store/paths.ts'
import type {PathRow} from '../../../src/service/store/schema.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* What becomes of a path by what its VM answers, and by what has become of it meanwhile. */

type Said = 'open' | 'refused' | 'silent'

let db: Store
/** Answers of sshd to the connections that are under way. */
let asked: {readonly alias: string; readonly ms: number; answer(said: Said): void}[]
let told: string[]
let failed: number
let prober: Prober

const link = {
  reach(alias: string, _: number, ms: number) {
    const {promise, resolve} = Promise.withResolvers<Said>()
    asked.push({alias, ms, answer: resolve})
    return promise
  },
  run: async () => Promise.reject(new Error('no shell')),
} as unknown as GateConnection

beforeEach(async () => {
  db = await openStore(':memory:')
  ;[asked, told, failed] = [[], [], 0]
  const context = {
    ...{db, log: pino({level: 'silent'}), clock: () => 1000},
    events: {emit: (id: string) => told.push(id)},
  }
  prober = new Prober(context as unknown as ServiceContext, () => failed++)
  await gateRow(db)
  await attachmentRow(db, {state: 'ready'})
})
afterEach(() => db.destroy())

async function probed(given: Parameters<typeof pathRow>[1] = {}): Promise<Probe> {
  await pathRow(db, given)
  const probe = {path: (await pathById(db, given.id ?? 'path')) as PathRow, seconds: 5}
  prober.probe(link, [probe])
  return probe
}
const state = async () => (await pathById(db, 'path'))?.state
const acts = () => db.selectFrom('audit').select(['action', 'detail']).orderBy('id').execute()
/** Until what was answered has been written down. */
async function written() {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}
async function answer(said: Said) {
  asked.shift()?.answer(said)
  await written()
}

it('one whose VM answers may be used, and who waits is told', async () => {
  await probed()
  expect([asked[0]?.alias, asked[0]?.ms, await state()]).toEqual(['100.64.0.16', 5000, 'pending'])
  await answer('open')
  expect([await state(), told, failed]).toEqual(['active', ['path'], 0])
})

const attached = 'asked from its own network'
it.each([
  [
    'refused',
    'attached',
    `refuses the connection on 10.0.0.5, TCP port 22, ${attached}`,
    'is sshd running in',
  ],
  [
    'silent',
    'attached',
    `does not answer within 5 s on 10.0.0.5, TCP port 22, ${attached}`,
    'is sshd running in',
  ],
  [
    'refused',
    'direct',
    'refuses the connection on 10.0.0.5, TCP port 22, asked from the gate itself',
    'gate’s',
  ],
] as const)('one whose VM is %s, %s, fails with the words for it', async (said, route, words, hint) => {
  await probed({route})
  await answer(said)
  expect(await pathById(db, 'path')).toMatchObject({
    state: 'failed',
    error: {code: 'VM_UNREACHABLE', message: `the VM ${words}`, hint: expect.stringContaining(hint)},
  })
  expect([told, failed, await acts()]).toEqual([
    ...[['path'], 1],
    [{action: 'fail', detail: `the VM ${words}`}],
  ])
})

it.each(['open', 'refused', 'silent'] as const)(
  'one that was revoked during its probe stays ended, when the VM then is %s',
  async said => {
    await probed()
    await endPaths(db, {ids: ['path']}, 1000, {action: 'revoke', detail: 'alice'})
    await answer(said)
    expect(await pathById(db, 'path')).toMatchObject({state: 'ended', ended_at: 1000, error: undefined})
    expect([failed, await acts()]).toEqual([0, [{action: 'revoke', detail: 'alice'}]])
  },
)

it('nor is one activated by what its VM has answered to another path just before', async () => {
  const {path} = await probed()
  await answer('open')
  await db.updateTable('paths').set({state: 'pending'}).execute()
  await endPaths(db, {ids: ['path']}, 1000, {action: 'revoke'})
  prober.probe(link, [{path, seconds: 5}])
  await written()
  expect([asked, await state()]).toEqual([[], 'ended'])
})

it('an answer counts for that VM alone: by its attachment, its id and its address', async () => {
  await probed()
  await answer('open')
  const others = [{attachment_id: 'b'}, {server_id: 's2'}, {address: '10.0.0.6'}]
  for (const [n, other] of others.entries())
    await probed({
      ...other,
      id: `other${n}`,
      fingerprint: `f${n}`,
      alias: `100.64.1.${n}`,
      login: `osp001${n}`,
    })
  await probed({id: 'same', fingerprint: 'same', alias: '100.64.2.1', login: 'osp0020'})
  await written()
  expect(asked.map(one => one.alias)).toEqual(['100.64.1.0', '100.64.1.1', '100.64.1.2'])
  expect((await pathById(db, 'same'))?.state).toBe('active')
})
