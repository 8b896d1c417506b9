import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {CompiledQuery, type KyselyPlugin} from 'kysely'

import type {Plan} from '../../../src/service/planner/plan.ts'
import {forgetGrace, retireEarly, retireIdle} from '../../../src/service/store/attachment-steps.ts'
import {
  addressesOnLink,
  pendingBy,
  portGroups,
  wronglyGrouped,
} from '../../../src/service/store/attachments.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {
  acknowledgePaths,
  cutPaths,
  endPaths,
  failPaths,
  prune,
  releasePaths,
} from '../../../src/service/store/path-steps.ts'
import {
  changedPaths,
  gatesWithChanges,
  gatesWithEnded,
  gatesWithPending,
  heldBy,
  liveOf,
  livePath,
  livePaths,
  livePathsBy,
  pathsOfGate,
  pathsOfUser,
  pendingDirect,
  requestedPaths,
  restedPaths,
} from '../../../src/service/store/paths.ts'
import {placePath} from '../../../src/service/store/place.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* What SQLite does for the questions of every grant, round and tick: none of them reads the paths of the last ninety days. */

let db: Store
beforeEach(async () => {
  db = await openStore(':memory:')
  await gateRow(db)
  await attachmentRow(db, {state: 'ready'})
  await pathRow(db)
})
afterEach(() => db.destroy())

const nic = {network_id: 'n1', address: '10.0.0.9', groups: []}
const plan: Plan = {gate_id: 'g', route: 'attached', nic, attachment: {reuse: 'a'}}
const limits = {maxLife: 9, defaultLife: 9, certLife: 9, attachments: 9, paths: 50}
const owner = {user_id: 'u', server_id: 's1', fingerprint: 'f'}
const row = {id: 'a', network_id: 'n1', addresses: []}
const asked: [string, (db: Store) => Promise<unknown>][] = [
  ['the live path of a key', db => livePath(db, owner)],
  ['live paths to a VM', db => liveOf(db, owner)],
  ['live paths', db => livePaths(db)],
  ['live paths of a user', db => livePaths(db, {user_id: 'u'})],
  ['live paths by an attachment', db => livePathsBy(db, ['a'])],
  ['paths of a gate', db => pathsOfGate(db, 'g')],
  ['paths of a user', db => pathsOfUser(db, 'u')],
  ['changed paths of a gate', db => changedPaths(db, 'g')],
  ['paths whose accounts have rested', db => restedPaths(db, 'g', 1)],
  ['paths by an attachment', db => heldBy(db, ['a'])],
  ['paths without a place', db => requestedPaths(db)],
  ['gates with changes', db => gatesWithChanges(db)],
  ['gates with work', db => gatesWithEnded(db, 1)],
  ['grants left half done', db => gatesWithPending(db, 1)],
  ['pending paths without an attachment', db => pendingDirect(db, 'g')],
  ['a place', db => placePath(db, plan, limits, {id: 'new', project_id: 't'}, 1).catch(() => undefined)],
  ['what a gate has taken', db => acknowledgePaths(db, [{id: 'path', version: 1, state: 'ended'}], 1)],
  ['pending paths of attachments', db => pendingBy(db, [row as never])],
  ['groups of a port', db => portGroups(db, 'a')],
  ['addresses on a link', db => addressesOnLink(db, row)],
  ['ports in wrong groups', db => wronglyGrouped(db)],
  ['idle networks', db => retireIdle(db, 1, 1)],
  ['an idle network', db => retireEarly(db, 'a')],
  ['networks of VMs that are gone', db => forgetGrace(db, ['a'])],
  ['expiry', db => endPaths(db, {expiredBy: 1}, 1, {action: 'expire'})],
  ['revocation', db => endPaths(db, {of: {user_id: 'u'}}, 1, {action: 'revoke'})],
  ['a failure', db => failPaths(db, ['path'], {code: 'BUSY', message: 'm'}, 1)],
  ['a cut', db => cutPaths(db, ['path'], 1)],
  ['release', db => releasePaths(db, 'g', ['path'])],
  ['pruning', db => prune(db, 1)],
]

it.each(asked)('%s', async (_, ask) => {
  const queries: CompiledQuery[] = []
  const listen: KyselyPlugin = {
    transformQuery({node, queryId}) {
      queries.push(db.getExecutor().compileQuery(node, queryId))
      return node
    },
    transformResult: async ({result}) => result,
  }
  await ask(db.withPlugin(listen))
  for (const {sql, parameters} of queries) {
    const plan = await db.executeQuery<{detail: string}>(
      CompiledQuery.raw(`explain query plan ${sql}`, [...parameters]),
    )
    const whole = plan.rows.map(({detail}) => detail).filter(detail => /^SCAN paths(?! USING)/.test(detail))
    expect({sql, whole}).toEqual({sql, whole: []})
  }
  expect(queries.length).toBeGreaterThan(0)
})
