import {beforeEach, describe, expect, it} from '@jest/globals'

import {path as pathById} from '../../../src/service/store/paths.ts'
import {
  ask,
  asked,
  audited,
  db,
  deps,
  GATE,
  gate,
  grant,
  id,
  type Method,
  otherKeys,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'
import {pathRow} from '../../support/rows.ts'

/* Whose paths are whose: who sees, renews and ends them, when that is so, and what is written of it. */

const stateOf = async (path: string) => (await pathById(db, path))?.state

describe('what is somebody else’s', () => {
  const strangers: Who[] = ['carol', 'boss', 'reader', 'bob', 'unscoped']
  const requests: [Method, object?][] = [['GET'], ['DELETE'], ['PATCH', {}], ['PATCH', {life: 600}]]

  it.each(strangers)('is answered to %s to the letter as if it had never been', async who => {
    const {body} = await grant('alice')
    for (const [method, payload] of requests) {
      const one = await ask(who, method, `/v1/paths/${body.id}`, payload)
      const none = await ask(who, method, `/v1/paths/${id(99)}`, payload)
      const {request_id: _, ...said} = one.body
      expect([one.status, one.type, said]).toEqual([
        404,
        'application/problem+json; charset=utf-8',
        {
          ...{type: 'https://os-ssh.invalid/problems/not-found', title: 'NOT_FOUND', code: 'NOT_FOUND'},
          ...{status: 404, detail: `there is no path ${body.id}`, hint: 'see os-ssh paths list'},
        },
      ])
      const {request_id: __, ...unsaid} = none.body
      expect({...unsaid, detail: unsaid.detail.replace(id(99), body.id)}).toEqual(said)
      expect([none.status, Object.keys(none.headers)]).toEqual([404, Object.keys(one.headers)])
    }
    expect(await pathById(db, body.id)).toMatchObject({state: 'active', version: 1})
    expect(await audited('renew', 'revoke')).toEqual([])
  })

  it('is ended by an operator, and renewed by none', async () => {
    const {body} = await grant('alice')
    const one = `/v1/paths/${body.id}`
    expect(await ask('operator', 'PATCH', one, {life: 7200})).toMatchObject(
      problemOf(403, 'DENIED', 'only its user may renew a path'),
    )
    expect((await ask('operator', 'GET', one)).body).toMatchObject({
      ...{user_id: 'alice', state: 'active', expires_at: body.expires_at},
    })
    expect((await ask('operator', 'DELETE', one)).status).toBe(204)
    expect(await stateOf(body.id)).toBe('cut')
  })
})

describe('a list', () => {
  const there: [string, string, string, string][] = [
    ['a1', 'alice', 't1', VM],
    ['a2', 'alice', 't1', id(11)],
    ['c1', 'carol', 't1', VM],
    ['b1', 'bob', 't2', id(12)],
  ]
  beforeEach(async () => {
    for (const [n, [path, user_id, project_id, server_id]] of there.entries())
      await pathRow(db, {
        ...{id: path, user_id, project_id, server_id, state: 'active', gate_id: GATE, attachment_id: ''},
        ...{alias: `100.64.0.${n}`, login: `osp000${n}`, fingerprint: `f${n}`},
      })
  })

  it.each([
    ['alice', '', 'a1 a2'],
    ['alice', '?all=false', 'a1 a2'],
    ['alice', `?server_id=${VM}`, 'a1'],
    ['alice', `?server_id=${id(12)}`, ''],
    ['carol', '', 'c1'],
    ['boss', '', ''],
    ['bob', '', 'b1'],
    ['operator', '', ''],
    ['operator', `?server_id=${VM}`, ''],
    ['operator', '?all=true', 'a1 a2 c1 b1'],
    ['operator', '?user_id=alice', 'a1 a2'],
    ['operator', '?project_id=t1', 'a1 a2 c1'],
    ['operator', `?user_id=alice&server_id=${VM}`, 'a1'],
    ['operator', '?all=true&user_id=carol', 'c1'],
    ['operator', `?all=true&project_id=t1&server_id=${VM}`, 'a1 c1'],
    ['operator', '?user_id=alice&project_id=t2', ''],
  ] as [Who, string, string][])('for %s of %j: %s', async (who, query, ids) => {
    const {status, body} = await ask(who, 'GET', `/v1/paths${query}`)
    expect([status, body.paths.map((path: {id: string}) => path.id).join(' ')]).toEqual([200, ids])
  })
})

describe('an end', () => {
  it.each([
    ['its user', 'alice', 'alice'],
    ['an operator', 'operator', 'op'],
  ] as [string, Who, string][])(
    'by %s is written down with who it was, and from where',
    async (_, who, name) => {
      const {body} = await grant('alice')
      await ask(who, 'DELETE', `/v1/paths/${body.id}`)
      expect(await audited('revoke')).toEqual([['alice', 't1', name, VM, '127.0.0.1']])
    },
  )

  it.each([
    ['address', {address: '10.0.0.99'}],
    ['network', {network_id: id(98)}],
  ])('since its VM has another %s is, too, by whom that was found', async (_, old) => {
    const {body} = await grant('alice')
    await db.updateTable('paths').set(old).execute()
    asked.gates = []
    const again = await grant('alice')
    expect([again.status, again.body.id === body.id, await stateOf(body.id)]).toEqual([201, false, 'ended'])
    expect(await audited('revoke')).toEqual([
      ['alice', 't1', 'the VM has another address now', VM, '127.0.0.1'],
    ])
    expect(asked.gates).toEqual([`soon ${GATE}`, `soon ${GATE}`])
  })

  it('of many is, too, each of them', async () => {
    for (const who of ['alice', 'carol'] as const) await grant(who)
    expect((await ask('operator', 'DELETE', '/v1/paths?project_id=t1')).body).toEqual({revoked: 2})
    expect(await audited('revoke')).toEqual([
      ['Carol', 't1', 'op', VM, '127.0.0.1'],
      ['alice', 't1', 'op', VM, '127.0.0.1'],
    ])
  })

  it('by the removal of its gate is, too', async () => {
    await grant('alice')
    await ask('operator', 'DELETE', `/v1/gates/${GATE}`)
    expect(await audited('revoke')).toEqual([['alice', 't1', 'gate removed by op', VM, '127.0.0.1']])
  })

  it('is answered when it is one on the gate, and what has ended is no more to end', async () => {
    const {body} = await grant('alice')
    asked.gates = []
    const one = `/v1/paths/${body.id}`
    expect((await ask('alice', 'DELETE', one)).status).toBe(204)
    expect([asked.gates, await stateOf(body.id)]).toEqual([[`wake ${GATE}`], 'cut'])
    expect((await ask('alice', 'DELETE', one)).status).toBe(204)
    expect(await audited('revoke')).toHaveLength(1)
  })

  it('that the gate does not know is told as that, and is one all the same', async () => {
    const {body} = await grant('alice')
    gate.answers = false
    expect(await ask('alice', 'DELETE', `/v1/paths/${body.id}`)).toMatchObject(
      problemOf(
        503,
        'GATE_DOWN',
        'the path is revoked, but its gate does not answer: it is cut when its time is over or the gate is back',
      ),
    )
    expect([await stateOf(body.id), (await audited('revoke')).length]).toEqual(['ended', 1])
  })

  it.each([
    [true, 204, 'cut'],
    [false, 503, 'ended'],
  ])('is waited for where another replica has the gate: it answers %p', async (answers, status, state) => {
    const {body} = await grant('alice')
    Object.assign(gate, {elsewhere: true, answers})
    asked.waits = []
    expect((await ask('alice', 'DELETE', `/v1/paths/${body.id}`)).status).toBe(status)
    expect([await stateOf(body.id), asked.waits]).toEqual([state, [[body.id, 30_000]]])
  })

  it('of many is answered when all are on their gates, those that another replica has ended, too', async () => {
    const {body} = await grant('alice')
    const place = {gate_id: GATE, attachment_id: '', alias: '100.64.0.99', login: 'osp0099'}
    await pathRow(db, {...place, id: id(70), user_id: 'alice', state: 'ended', fingerprint: 'other'})
    gate.elsewhere = true
    asked.waits = []
    expect((await ask('operator', 'DELETE', '/v1/paths?user_id=alice')).body).toEqual({revoked: 1})
    expect(asked.waits.map(([path]) => path).sort()).toEqual([body.id, id(70)].sort())
    expect([await stateOf(body.id), await stateOf(id(70))]).toEqual(['cut', 'cut'])
  })
})

it('an end of many that a gate does not know is told as that, and bars all the same', async () => {
  const {body} = await grant('alice')
  gate.answers = false
  expect(await ask('operator', 'DELETE', '/v1/paths?user_id=alice')).toMatchObject(
    problemOf(
      503,
      'GATE_DOWN',
      'paths are revoked (1 just now), but not all gates answer: what goes by those is cut when its time is over or the gate is back',
    ),
  )
  expect([await stateOf(body.id), (await audited('revoke')).length]).toEqual(['ended', 1])
  expect((await grant('alice')).body.code).toBe('DENIED')
  gate.answers = true
  expect((await ask('operator', 'DELETE', '/v1/paths?user_id=alice')).body).toEqual({revoked: 0})
  expect(await stateOf(body.id)).toBe('cut')
})

describe('a refusal is written down: who, which VM, why', () => {
  const denials = async () => {
    const {body} = await ask('operator', 'GET', '/v1/audit?denials=true')
    return body.audit.map((entry: Record<string, unknown>) =>
      ['user_id', 'project_id', 'server_id', 'detail', 'source'].map(name => entry[name]),
    )
  }

  it.each([
    ['NOT_FOUND', 'alice', {server_id: id(99)}, id(99)],
    ['DENIED', 'bob', {}, VM],
    ['DENIED', 'reader', {}, VM],
    ['NO_GATE', 'alice', {}, VM],
  ] as [string, Who, object, string][])('%s, for %s', async (code, who, change, server) => {
    if (code === 'NO_GATE') await db.deleteFrom('gates').execute()
    const project = who === 'bob' ? 't2' : 't1'
    for (const _ of [1, 2]) expect((await grant(who, change)).body.code).toBe(code)
    const user = who === 'reader' ? 'rita' : who
    expect(await denials()).toEqual([[user, project, server, code, '127.0.0.1']])
  })

  it('too many paths of one user, who is told when to try again; others are not concerned', async () => {
    const fairness = {perVm: 0, perUser: 1, share: 0, waiting: new Map<string, number>()}
    deps.limits = {...deps.limits, fairness}
    await grant('alice')
    const other = {public_key: `${otherKeys.ed25519} another`}
    expect(await grant('alice', other)).toMatchObject({
      ...problemOf(429, 'RATE_LIMITED', 'you have 1 paths, as many as one user may'),
      headers: {'retry-after': '40'},
    })
    expect((await grant('alice')).status).toBe(201)
    expect((await grant('carol')).status).toBe(201)
    expect(await denials()).toEqual([['alice', 't1', VM, 'RATE_LIMITED', '127.0.0.1']])
  })

  it.each([
    ['elsewhere', 't2'],
    ['demoted', 't1'],
  ] as [Who, string][])(
    'at a renewal of one’s own by a token that gives no right to the VM: %s',
    async (who, project) => {
      const {body} = await grant('alice', {life: 600})
      const one = `/v1/paths/${body.id}`
      expect(await ask(who, 'PATCH', one, {life: 7200})).toMatchObject(
        problemOf(403, 'DENIED', 'your roles let you see this VM, but not log in to it'),
      )
      expect((await ask(who, 'GET', one)).body).toMatchObject({state: 'active', expires_at: body.expires_at})
      expect(await denials()).toEqual([['alice', project, VM, 'DENIED', '127.0.0.1']])
      // Less is no right that anybody lacks.
      expect((await ask(who, 'DELETE', one)).status).toBe(204)
    },
  )

  it('at a renewal, too, and for whom the path is barred', async () => {
    const {body} = await grant('alice')
    await ask('operator', 'DELETE', '/v1/paths?user_id=alice')
    expect(await ask('alice', 'PATCH', `/v1/paths/${body.id}`, {})).toMatchObject(problemOf(403, 'DENIED'))
    expect(await denials()).toEqual([['alice', 't1', VM, 'DENIED', '127.0.0.1']])
  })

  it('and what is nobody’s fault, or is no key, is not', async () => {
    for (const public_key of [otherKeys.rsa, otherKeys.ecdsa, otherKeys.sk])
      expect(await grant('alice', {public_key})).toMatchObject(
        problemOf(400, 'USAGE', 'the public key must be of type ssh-ed25519'),
      )
    gate.provision = async path => {
      await db.deleteFrom('paths').where('id', '=', path).execute()
    }
    expect((await grant('alice')).status).toBe(503)
    expect(await denials()).toEqual([])
  })
})
