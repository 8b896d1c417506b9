import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals'

import {gateChoices} from '../../../src/service/store/gates.ts'
import type {Store} from '../../../src/service/store/open.ts'
import {cutPaths, endPaths, failPaths, releasePaths} from '../../../src/service/store/path-steps.ts'
import {liveOf, livePath, pathsOfUser, restedPaths} from '../../../src/service/store/paths.ts'
import {Collision, placePath, requestPath} from '../../../src/service/store/place.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'
import {dialects} from '../../support/stores.ts'

/* Accounts and aliases of a gate: how many are given, to whom, and when they are anybody's again. */

const NOW = 1_000_000
const FAULT = {code: 'VM_OFF', message: 'off'} as const
const limits = {maxLife: 9, defaultLife: 9, certLife: 9, attachments: 9, paths: 3}
const nic = {network_id: 'n1', address: '10.0.0.5', groups: ['sg', 'sg', 'other']}
const plan = (gate_id: string, attachment: object = {reuse: `of ${gate_id}`}) =>
  ({gate_id, route: 'attached', nic, attachment}) as never
const times = {created_at: NOW, expires_at: NOW + 9, certificate_until: NOW + 9}

describe.each(dialects)('on $name', ({open}) => {
  let db: Store
  beforeAll(async () => {
    db = await open()
    for (const id of ['g', 'h']) await gateRow(db, {id, name: id, server_id: id})
  })
  beforeEach(async () => {
    for (const table of ['attachments', 'paths', 'path_groups', 'holdings', 'audit'] as const)
      await db.deleteFrom(table).execute()
    for (const gate_id of ['g', 'h']) await attachmentRow(db, {id: `of ${gate_id}`, gate_id})
  })
  afterAll(() => db.destroy())

  const path = (id: string, project_id = 't', user_id = 'u') => ({
    ...{id, project_id, user_id, user_name: 'alice', server_id: 's1', server_name: 'web'},
    ...{public_key: 'k', fingerprint: id, ...times},
  })
  const ask = (...[id, project, user]: Parameters<typeof path>) =>
    requestPath(db, path(id, project, user), {nics: [nic]}, 0, {})
  const place = async (id: string, gate = 'g', project = 't', more = limits) => {
    const row = await ask(id, project)
    return placePath(db, plan(gate), more, row, NOW)
  }
  const counts = async () =>
    Object.fromEntries(
      (await gateChoices(db)).map(({id, paths, held}) => [id, {paths, ...Object.fromEntries(held)}]),
    )

  it('counts by gate and project what is placed, also while it rests, until it is released', async () => {
    for (const [id, gate, project] of [
      ['1', 'g', 't'],
      ['2', 'g', 't'],
      ['3', 'g', 'o'],
      ['4', 'h', 't'],
    ] as const)
      await place(id, gate, project)
    await ask('5')
    const full = {g: {paths: 3, t: 2, o: 1}, h: {paths: 1, t: 1}}
    expect(await counts()).toEqual(full)
    await endPaths(db, {ids: ['1']}, NOW, {action: 'revoke'})
    await failPaths(db, ['2'], FAULT, NOW)
    expect(await counts()).toEqual(full)
    await cutPaths(db, ['1', '2'], NOW)
    expect(await counts()).toEqual(full)
    // One of them is live and one rests at another gate: neither is anybody’s yet.
    await releasePaths(db, 'g', ['1', '2', '3'])
    expect(await counts()).toEqual({g: {paths: 1, o: 1}, h: {paths: 1, t: 1}})
    await releasePaths(db, 'g', ['1', '2'])
    expect(await counts()).toEqual({g: {paths: 1, o: 1}, h: {paths: 1, t: 1}})
  })

  it('gives no account that is live or rests, and says when there is none', async () => {
    const logins = []
    for (const id of ['1', '2', '3']) logins.push((await place(id)).login)
    expect(logins).toEqual(['osp0000', 'osp0001', 'osp0002'])
    await endPaths(db, {ids: ['1']}, NOW, {action: 'revoke'})
    await cutPaths(db, ['2'], NOW)
    const full = {code: 'GATE_FULL', message: 'all 3 accounts of the gate are in use'}
    await expect(place('4')).rejects.toMatchObject(full)
    await cutPaths(db, ['1'], NOW)
    await expect(place('5')).rejects.toMatchObject(full)
    // What was refused has left nothing behind: neither a count nor a row of a place.
    expect(await counts()).toEqual({g: {paths: 3, t: 3}, h: {paths: 0}})
    expect((await place('6', 'h')).login).toBe('osp0000')
    await releasePaths(db, 'g', ['1'])
    expect((await place('7')).login).toBe('osp0000')
  })

  it('finds the last free account of a crowd, and no number beyond the limit', async () => {
    for (let n = 0; n < 90; n++)
      if (n !== 41)
        await pathRow(db, {
          id: `p${n}`,
          fingerprint: `p${n}`,
          alias: `a${n}`,
          login: `osp00${String(n).padStart(2, '0')}`,
        })
    expect((await place('last', 'g', 't', {...limits, paths: 90})).login).toBe('osp0041')
    await expect(place('more', 'g', 't', {...limits, paths: 90})).rejects.toMatchObject({code: 'GATE_FULL'})
  })

  it('an alias that is taken is nobody else’s, by the family of the VM’s address', async () => {
    await pathRow(db, {id: 'old', state: 'cut', alias: '100.64.0.16', login: 'osp0077'})
    const {alias, ...first} = await place('1')
    // Any other one of the attachment's block.
    expect(alias).toMatch(/^100\.64\.\d+\.\d+$/)
    expect([first.login, alias === '100.64.0.16']).toEqual(['osp0000', false])
    const six = {...nic, address: 'fd00::5'}
    const row = await placePath(
      db,
      {...(plan('g') as object), nic: six} as never,
      limits,
      await ask('2'),
      NOW,
    )
    expect(row).toMatchObject({
      login: 'osp0001',
      alias: expect.stringMatching(/^fd[0-9a-f:]+$/),
      address: 'fd00::5',
    })
  })

  it('takes the slot that is free on this gate', async () => {
    await attachmentRow(db, {id: 'x', gate_id: 'h', slot: 1, network_id: 'x'})
    await attachmentRow(db, {id: 'y', gate_id: 'g', slot: 2, network_id: 'y'})
    const create = {network_id: 'new', project_id: 't', mtu: 1450, vms: 1, reach: []}
    await placePath(db, plan('g', {create}), limits, await ask('1'), NOW)
    expect(
      await db
        .selectFrom('attachments')
        .select(['slot', 'gate_id', 'state'])
        .where('network_id', '=', 'new')
        .execute(),
    ).toEqual([{slot: 1, gate_id: 'g', state: 'wanted'}])
  })

  it.each([
    ['the VM’s own network, whosever it is', {network_id: 'n1', project_id: 'stranger'}, ['other', 'sg']],
    ['another network of the VM’s project', {network_id: 'n9', project_id: 't'}, ['other', 'sg']],
    ['a stranger’s network', {network_id: 'n9', project_id: 'stranger'}, []],
  ])('the port joins the groups of the VM on %s', async (_, at, groups) => {
    await db.updateTable('attachments').set(at).where('id', '=', 'of g').execute()
    await place('1')
    const joined = await db.selectFrom('path_groups').selectAll().orderBy('group_id').execute()
    expect(joined).toEqual(groups.map(group_id => ({path_id: '1', group_id})))
  })

  it.each<[string, () => Promise<unknown>, string]>([
    [
      'the gate was removed',
      async () => placePath(db, plan('gone'), limits, await ask('1'), NOW),
      'the gate went away',
    ],
    [
      'the attachment is gone',
      async () => placePath(db, plan('g', {reuse: 'gone'}), limits, await ask('1'), NOW),
      'the attachment went away',
    ],
    [
      'it has its place',
      async () => placePath(db, plan('g'), limits, await place('1'), NOW),
      'the path has its place, or is over',
    ],
    [
      'somebody has the same',
      async () => [await ask('1'), await requestPath(db, {...path('1'), id: '2'}, {nics: []}, 0, {})],
      'the same path is being made elsewhere',
    ],
    [
      'the user has enough',
      async () => [await ask('1'), await requestPath(db, path('2'), {nics: []}, 1, {})],
      'no place among the user’s paths',
    ],
  ])('plans anew when %s, and nothing is written', async (_, run, message) => {
    const failed = await run().catch(error => error)
    expect(failed).toBeInstanceOf(Collision)
    expect(failed).toMatchObject({message})
    const [{n = 0} = {}] = await db.selectFrom('holdings').select('n').where('project_id', '=', '').execute()
    const placed = await db.selectFrom('paths').select('id').where('login', '<>', '').execute()
    expect(placed).toHaveLength(n)
    expect(await db.selectFrom('audit').select('action').execute()).toEqual([{action: 'grant'}])
  })

  it('a path is its user’s, to its VM, by its key', async () => {
    await pathRow(db, {state: 'active', user_id: 'u', server_id: 's1', fingerprint: 'f'})
    const mine = {user_id: 'u', server_id: 's1', fingerprint: 'f'}
    expect(await livePath(db, mine)).toMatchObject({id: 'path'})
    for (const other of [{user_id: 'v'}, {server_id: 's2'}, {fingerprint: 'g'}])
      expect(await livePath(db, {...mine, ...other})).toBeUndefined()
    expect([
      await liveOf(db, mine),
      await liveOf(db, {...mine, user_id: 'v'}),
      await liveOf(db, {...mine, server_id: 's2'}),
    ]).toEqual([1, 0, 0])
    for (const state of ['ended', 'cut'] as const) {
      await db.updateTable('paths').set({state}).execute()
      expect([await livePath(db, mine), await liveOf(db, mine), (await pathsOfUser(db, 'u')).length]).toEqual(
        [undefined, 0, 1],
      )
    }
    await db.updateTable('paths').set({state: 'released'}).execute()
    expect(await pathsOfUser(db, 'u')).toEqual([])
  })

  it.each([
    ['cut', NOW, true],
    ['cut', NOW + 1, false],
    ['ended', null, false],
    ['failed', null, false],
    ['released', NOW, false],
  ] as const)('one that is %s, cut at %p, has rested by then: %p', async (state, cut_at, is) => {
    await pathRow(db, {state, cut_at})
    expect((await restedPaths(db, 'g', NOW)).length).toBe(is ? 1 : 0)
    expect(await restedPaths(db, 'h', NOW)).toEqual([])
  })
})
