import {describe, expect, it} from '@jest/globals'

import {
  ask,
  asked,
  audited,
  db,
  GATE,
  grant,
  hostKey,
  id,
  inject,
  KEYLESS,
  key,
  NETWORK,
  NOW,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'

/* Gates that operators register, and the audit. */

describe('gates', () => {
  const two = {name: 'two', host: '192.0.2.2', scope: 'shared'}

  it('are added with the key of their console, once', async () => {
    const added = await ask('operator', 'POST', '/v1/gates', {...two, server_id: VM})
    expect(added).toMatchObject({status: 201, body: {name: 'two', state: 'new', attachments: 0, paths: 0}})
    expect(await ask('operator', 'POST', '/v1/gates', {...two, server_id: VM})).toMatchObject(
      problemOf(400, 'USAGE', 'a gate of this name or server is registered already'),
    )
    expect(await ask('operator', 'POST', '/v1/gates', {...two, server_id: id(99)})).toMatchObject(
      problemOf(404, 'NOT_FOUND'),
    )
    expect(await ask('operator', 'POST', '/v1/gates', {...two, name: '$(reboot)'})).toMatchObject(
      problemOf(400, 'USAGE'),
    )
  })

  it('are what was said of them, where that was said, and what their server is, where not', async () => {
    const row = async (name: string) =>
      db.selectFrom('gates').selectAll().where('name', '=', name).executeTakeFirst()
    await ask('operator', 'POST', '/v1/gates', {...two, server_id: VM})
    const usual = {port: 22, login: 'root', keep_nics: '[]', host_key: hostKey, zone: 'az1'}
    expect(await row('two')).toMatchObject({...usual, project_id: 't1', scope: 'shared', created_at: NOW})
    const host_key = key.split(' ').slice(0, 2).join(' ')
    const said = {port: 2222, login: 'ubuntu', host_key}
    const {body} = await ask('operator', 'POST', '/v1/gates', {
      ...{server_id: KEYLESS, name: 'three', host: '2001:db8::3', scope: 'project'},
      ...{...said, keep_nics: ['eth1']},
    })
    expect(await row('three')).toMatchObject({
      ...said,
      keep_nics: '["eth1"]',
      zone: null,
      project_id: 'infra',
    })
    expect(asked.gates.at(-1)).toBe(`wake ${body.id}`)
    expect(await audited('gate-add')).toEqual([
      ['op', 'infra', 'three', KEYLESS, '127.0.0.1'],
      ['op', 'infra', 'two', VM, '127.0.0.1'],
    ])
  })

  it('are not added without a key that says who they are', async () => {
    expect(await ask('operator', 'POST', '/v1/gates', {...two, server_id: KEYLESS})).toMatchObject(
      problemOf(502, 'HOST_KEY', 'the console log of the gate shows no Ed25519 host key'),
    )
    expect([await db.selectFrom('gates').select('name').execute(), asked.gates]).toEqual([
      [{name: 'gate1'}],
      [],
    ])
  })

  it('are shown to whom they serve', async () => {
    const names = async (who: Who) =>
      (await ask(who, 'GET', '/v1/gates')).body.gates.map((gate: {name: string}) => gate.name)
    await db.updateTable('gates').set({scope: 'project', project_id: 't2'}).execute()
    expect([await names('operator'), await names('alice'), await names('bob')]).toEqual([
      ['gate1'],
      [],
      ['gate1'],
    ])
  })

  it('go when nothing is plugged into them any more', async () => {
    const {body} = await grant('alice')
    const one = `/v1/gates/${GATE}`
    asked.gates = []
    expect(await ask('operator', 'DELETE', one)).toMatchObject({status: 202, body: undefined})
    // Once to cut what went by it, and to let go of its networks.
    expect(asked.gates).toEqual([`wake ${GATE}`, `wake ${GATE}`])
    expect((await ask('alice', 'GET', `/v1/paths/${body.id}`)).body.state).toBe('ended')
    expect((await ask('operator', 'GET', '/v1/attachments')).body.attachments).toMatchObject([
      {gate_id: GATE, network_id: NETWORK, state: 'removing', groups: [], reach: [{cidr: '10.0.0.0/24'}]},
    ])
    await db.deleteFrom('attachments').execute()
    expect((await ask('operator', 'DELETE', one)).status).toBe(204)
    expect(asked.gates.at(-1)).toBe(`leave ${GATE}`)
    expect(await audited('gate-remove')).toEqual([['op', 'infra', 'gate1', null, '127.0.0.1']])
    expect(await ask('operator', 'DELETE', one)).toMatchObject(
      problemOf(404, 'NOT_FOUND', `there is no gate ${GATE}`),
    )
  })
})

it('the audit comes page by page', async () => {
  await grant('alice')
  await ask('operator', 'DELETE', '/v1/paths?user_id=alice')
  const first = (await ask('operator', 'GET', '/v1/audit?limit=1')).body
  expect(first.audit).toMatchObject([
    {action: 'revoke', user_name: 'alice', detail: 'op', path_id: expect.any(String)},
  ])
  const second = (await ask('operator', 'GET', `/v1/audit?limit=1&before=${first.next}`)).body
  expect(second.audit).toMatchObject([{action: 'grant', at: '2026-11-25T00:00:00.000Z', server_id: VM}])
  expect((await ask('operator', 'GET', `/v1/audit?before=${second.next}`)).body).toEqual({audit: []})
})

it('the audit is of whoever acted, from where the connection came, whatever their request says', async () => {
  const lies = {'x-forwarded-for': '198.51.100.1', 'x-real-ip': '198.51.100.1', forwarded: 'for=198.51.100.1'}
  const headers = {'x-auth-token': 'token-of-operator-0123456789', 'x-request-id': 'mine', ...lies}
  const answer = await inject('PUT', '/v1/gates/access', headers, {allow: ['192.0.2.0/24']})
  expect([answer.status, String(answer.headers['x-openstack-request-id'])]).toEqual([
    200,
    expect.stringMatching(/^req-[0-9a-f-]{36}$/),
  ])
  expect(await audited('gate-allow')).toEqual([['op', 'infra', '192.0.2.0/24', null, '127.0.0.1']])
})

it('the audit shows 100 entries where nobody says how many, and when a right ends', async () => {
  await grant('alice', {life: 600})
  const [entry] = await db.selectFrom('audit').selectAll().execute()
  const {id: _, ...like} = entry ?? ({} as NonNullable<typeof entry>)
  for (let n = 0; n < 100; n++) await db.insertInto('audit').values(like).execute()
  const {body} = await ask('operator', 'GET', '/v1/audit')
  expect([body.audit.length, body.next]).toEqual([100, body.audit.at(-1).id])
  expect(body.audit[0].until).toBe('2026-11-25T00:10:00.000Z')
  expect((await ask('operator', 'GET', '/v1/audit?limit=1000')).body.next).toBeUndefined()
})
