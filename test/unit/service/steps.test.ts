import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import type {Plan} from '../../../src/service/planner/plan.ts'
import {
  loseAttachment,
  plugAttachment,
  readyAttachments,
  removeAttachment,
  retireAll,
  retireEarly,
  retireIdle,
  reuseAttachment,
} from '../../../src/service/store/attachment-steps.ts'
import {auditPage} from '../../../src/service/store/audit.ts'
import {lifecycle} from '../../../src/service/store/lifecycle.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {
  acknowledgePaths,
  activatePaths,
  cutPaths,
  endPaths,
  failPaths,
  prune,
  releasePaths,
  renewPath,
  withdrawPath,
} from '../../../src/service/store/path-steps.ts'
import {path} from '../../../src/service/store/paths.ts'
import {keepFacts, placePath} from '../../../src/service/store/place.ts'
import type {AttachmentRow, PathRow} from '../../../src/service/store/schema.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

/*
 * Each step of a path and of an attachment from each state: from a wrong one nothing of the row changes and nothing is written
 * down, from a right one just what belongs to the step. Beside it is one like it, which no step that names the first may touch.
 */

const NOW = 1_000_000
const FAULT = {code: 'VM_OFF', message: 'it is off', hint: 'start it'} as const
const ERROR = JSON.stringify(FAULT)
const again = {expires_at: NOW + 5, certificate_until: NOW + 3}
const limits = {maxLife: 9, defaultLife: 9, certLife: 9, attachments: 9, paths: 9}
const plan: Plan = {
  ...{gate_id: 'g', route: 'attached', attachment: {direct: true}},
  nic: {network_id: 'n1', address: '10.0.0.5', groups: []},
}
const states = (kind: 'path' | 'attachment') => [
  ...new Set(Object.values(lifecycle[kind]).flatMap(({from, to}) => [...from, to])),
]
const PATH = states('path').filter(state => state !== 'none') as PathRow['state'][]
const ATTACHMENT = states('attachment').filter(state => state !== 'none') as AttachmentRow['state'][]

/** What becomes of the row by the state that it was in; no entry: nothing. And how that is told. */
interface Step<State extends string, Row> {
  readonly run: (db: Store, row: Row & {readonly state: State}) => Promise<unknown>
  readonly becomes: Partial<Record<State, object | 'gone'>>
  readonly told?: {
    readonly action: string
    readonly source?: string
    readonly detail?: string
    readonly until?: number
  }
}

const withdrawn = {state: 'released', ended_at: NOW, cut_at: NOW}
const over = {ended_at: NOW, version: 2}
const pathSteps: Record<string, Step<PathRow['state'], PathRow>> = {
  place: {
    run: (db, row) => placePath(db, plan, limits, row, NOW).catch(() => undefined),
    becomes: {
      requested: {
        state: 'pending',
        attachment_id: '',
        alias: '100.127.240.18',
        login: 'osp0002',
        route: 'attached',
      },
    },
  },
  withdraw: {
    run: db => withdrawPath(db, 'path', FAULT, NOW),
    becomes: {requested: {...withdrawn, error: ERROR}},
    told: {action: 'fail', detail: 'it is off'},
  },
  activate: {run: db => activatePaths(db, ['path']), becomes: {pending: {state: 'active'}}},
  end: {
    run: db => endPaths(db, {ids: ['path']}, NOW, {action: 'revoke', source: '192.0.2.9', detail: 'why'}),
    becomes: {
      ...{requested: withdrawn, pending: {...over, state: 'ended'}, active: {...over, state: 'ended'}},
    },
    told: {action: 'revoke', source: '192.0.2.9', detail: 'why'},
  },
  fail: {
    run: db => failPaths(db, ['path'], FAULT, NOW),
    becomes: {
      requested: {...withdrawn, error: ERROR},
      pending: {...over, state: 'failed', error: ERROR},
      active: {...over, state: 'failed', error: ERROR},
    },
    told: {action: 'fail', detail: 'it is off'},
  },
  renew: {
    run: db => renewPath(db, 'path', again, NOW, {source: '192.0.2.9'}),
    becomes: {active: {...again, version: 2}},
    told: {action: 'renew', source: '192.0.2.9', until: NOW + 5},
  },
  cut: {
    run: db => cutPaths(db, ['path'], NOW),
    becomes: {ended: {state: 'cut', cut_at: NOW}, failed: {state: 'cut', cut_at: NOW}},
  },
  acknowledge: {
    run: (db, row) => acknowledgePaths(db, [row], NOW),
    becomes: {
      ...Object.fromEntries(PATH.map(state => [state, {applied: 1}])),
      ended: {state: 'cut', cut_at: NOW, applied: 1},
      failed: {state: 'cut', cut_at: NOW, applied: 1},
    },
  },
  release: {run: db => releasePaths(db, 'g', ['path']), becomes: {cut: {state: 'released'}}},
  prune: {run: db => prune(db, 7), becomes: {released: 'gone'}},
}

const plugged = {port_id: 'p2', mac: 'm2', addresses: ['10.0.0.9/24'], wired_at: NOW}
const columns = {port_id: 'p2', mac: 'm2', addresses: '["10.0.0.9/24"]', wired_at: NOW}
const going = {wanted: {state: 'removing'}, plugged: {state: 'removing'}, ready: {state: 'removing'}}
const attachmentSteps: Record<string, Step<AttachmentRow['state'], AttachmentRow>> = {
  reuse: {
    run: db => reuseAttachment(db, {reuse: 'a'}),
    becomes: {wanted: {idle_since: null}, plugged: {idle_since: null}, ready: {idle_since: null}},
  },
  plug: {
    run: db => plugAttachment(db, 'a', {...plugged, own: [], groups: []}),
    // Neutron's word is written down whatever the state is; only one that is wanted becomes plugged by it.
    becomes: {
      ...Object.fromEntries(ATTACHMENT.map(state => [state, columns])),
      wanted: {...columns, state: 'plugged'},
    },
  },
  ready: {run: db => readyAttachments(db, ['a']), becomes: {plugged: {state: 'ready'}}},
  'lose its port': {
    run: (db, row) => loseAttachment(db, row, true),
    becomes: {
      plugged: {state: 'wanted', mac: null, port_id: null},
      ready: {state: 'wanted', mac: null, port_id: null},
    },
  },
  'lose its place': {
    run: (db, row) => loseAttachment(db, row, false),
    becomes: {plugged: {state: 'wanted', mac: null}, ready: {state: 'wanted', mac: null}},
  },
  // As it was a moment ago: what has changed meanwhile is not undone.
  'lose late': {
    run: (db, row) => loseAttachment(db, {...row, state: row.state === 'ready' ? 'plugged' : 'ready'}, true),
    becomes: {},
  },
  'retire early': {run: db => retireEarly(db, 'a'), becomes: going},
  remove: {run: db => removeAttachment(db, 'a'), becomes: {removing: 'gone'}},
}

describe.each(dialects)('on $name', ({open}) => {
  let db: Store
  // Once: so many cases would wait for their databases only.
  beforeAll(async () => {
    db = await open()
    await gateRow(db)
    await gateRow(db, {id: 'g2', name: 'gate2', server_id: 'gs2'})
  })
  beforeEach(async () => {
    for (const table of ['attachments', 'paths', 'path_facts', 'holdings', 'audit'] as const)
      await db.deleteFrom(table).execute()
  })
  afterAll(() => db.destroy())

  const rows = (table: 'paths' | 'attachments') => db.selectFrom(table).selectAll().orderBy('id').execute()

  describe.each(Object.entries(pathSteps))('a path: %s', (_, {run, becomes, told}) => {
    it.each(PATH)('from %s', async state => {
      const place = {alias: '100.64.240.16', login: 'osp0001'}
      await pathRow(db, {state, ended_at: 6})
      await pathRow(db, {...place, id: 'other', state, user_id: 'v', ended_at: 7})
      const [other, before] = (await rows('paths')) as [object, object]
      await run(db, (await path(db, 'path')) as PathRow)
      const change = becomes[state]
      expect(await rows('paths')).toEqual([other, ...(change === 'gone' ? [] : [{...before, ...change}])])
      const audit = await auditPage(db, {limit: 9, denials: false})
      const what = {path_id: 'path', user_id: 'u', user_name: 'alice', project_id: 't', server_id: 's1'}
      const row = {...what, id: expect.any(Number), at: NOW, source: null, detail: null, until: 9e12}
      expect(audit).toEqual(told && change ? [{...row, ...told}] : [])
    })
  })

  describe.each(Object.entries(attachmentSteps))('an attachment: %s', (_, {run, becomes}) => {
    it.each(ATTACHMENT)('from %s', async state => {
      const port = {port_id: 'p1', mac: 'm1', addresses: [], idle_since: 1, state}
      await attachmentRow(db, port)
      await attachmentRow(db, {...port, id: 'other', slot: 1, network_id: 'n2', port_id: 'p0'})
      const [before, other] = (await rows('attachments')) as [object, object]
      await run(db, {id: 'a', state} as AttachmentRow)
      const change = becomes[state]
      expect(await rows('attachments')).toEqual([
        ...(change === 'gone' ? [] : [{...before, ...change}]),
        other,
      ])
    })
  })

  it.each(ATTACHMENT)('what is idle, or was of a gate that goes, goes from %s', async state => {
    const goes = state === 'removing' ? [] : ['removing']
    const now = async () => (await rows('attachments')).map(row => row.state)
    await attachmentRow(db, {state, idle_since: 0})
    await attachmentRow(db, {state: 'ready', id: 'b', gate_id: 'g2', slot: 1, network_id: 'n2'})
    await retireAll(db, 'g')
    expect(await now()).toEqual([goes[0] ?? state, 'ready'])
    await db.updateTable('attachments').set({state}).execute()
    await retireIdle(db, NOW, 10)
    // The other one has been idle for a moment only; one that never came to be is of no use to those who come back.
    expect(await now()).toEqual([goes[0] ?? state, state === 'ready' ? state : (goes[0] ?? state)])
  })

  it('what a path saw is kept while it has no place, and no longer', async () => {
    for (const id of ['a', 'b', 'c']) {
      await pathRow(db, {id, state: 'requested', fingerprint: id, gate_id: '', alias: '', login: ''})
      await keepFacts(db, id, {nics: []}, NOW)
    }
    const kept = async () =>
      (await db.selectFrom('path_facts').select('path_id').execute()).map(one => one.path_id)
    await placePath(db, plan, limits, {id: 'a', project_id: 't'}, NOW)
    expect(await kept()).toEqual(['b', 'c'])
    await endPaths(db, {ids: ['b']}, NOW, {action: 'expire'})
    expect(await kept()).toEqual(['c'])
    await failPaths(db, ['c'], FAULT, NOW)
    expect(await kept()).toEqual([])
  })

  it('a path ends by its own end, at that moment, and not by its certificate’s', async () => {
    const ends = {expires_at: NOW + 5, certificate_until: NOW}
    await pathRow(db, {...ends, state: 'active'})
    await pathRow(db, {...ends, id: 'later', expires_at: NOW + 6, alias: 'x', login: 'y', user_id: 'v'})
    const expired = async (at: number) =>
      (await endPaths(db, {expiredBy: at}, at, {action: 'expire'})).map(one => one.id)
    expect([await expired(NOW + 4), await expired(NOW + 5), await expired(NOW + 5)]).toEqual([
      [],
      ['path'],
      [],
    ])
    expect(await auditPage(db, {limit: 9, denials: false})).toMatchObject([
      {action: 'expire', path_id: 'path', at: NOW + 5},
    ])
  })

  it.each([
    ['user_id', 'u'],
    ['server_id', 's1'],
    ['project_id', 't'],
    ['gate_id', 'g'],
  ] as const)('those of one %s end, and nobody else’s', async (column, value) => {
    await pathRow(db, {state: 'active'})
    const place = {alias: 'x', login: 'y', fingerprint: 'x'}
    await pathRow(db, {...place, state: 'active', id: 'other', [column]: column === 'gate_id' ? 'g2' : 'z'})
    const ended = await endPaths(db, {of: {[column]: value}}, NOW, {action: 'revoke'})
    expect(ended.map(one => one.id)).toEqual(['path'])
  })

  it('none of none are ended or failed, and not all', async () => {
    await pathRow(db, {state: 'active'})
    expect(await endPaths(db, {ids: []}, NOW, {action: 'revoke'})).toEqual([])
    expect(await failPaths(db, [], FAULT, NOW)).toEqual([])
    expect((await path(db, 'path'))?.state).toBe('active')
  })

  it('of the audit goes what is older, and no more', async () => {
    await pathRow(db, {state: 'active'})
    for (const at of [6, 7]) await renewPath(db, 'path', again, at, {})
    await prune(db, 7)
    expect((await auditPage(db, {limit: 9, denials: false})).map(row => row.at)).toEqual([7])
  })

  it('an acknowledgement of what was read before it changed says nothing of the change', async () => {
    await pathRow(db, {state: 'active'})
    const read = (await path(db, 'path')) as PathRow
    await endPaths(db, {ids: ['path']}, NOW, {action: 'revoke'})
    await acknowledgePaths(db, [read], NOW)
    expect(await path(db, 'path')).toMatchObject({state: 'ended', version: 2, applied: 0, cut_at: null})
  })
})
