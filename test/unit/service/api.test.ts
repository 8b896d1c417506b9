import {describe, expect, it} from '@jest/globals'
import {sql} from 'kysely'
import type {Static} from 'typebox'

import type * as Protocol from '../../../src/protocol/index.ts'
import type * as answers from '../../../src/service/api/answers.ts'
import type * as schemas from '../../../src/service/api/schemas.ts'
import {
  ask,
  asked,
  audited,
  ca,
  db,
  deps,
  GATE,
  GATE_SERVER,
  grant,
  hostKey,
  id,
  inject,
  KEYLESS,
  key,
  type Method,
  NETWORK,
  NOW,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'
import {expectGolden} from '../../support/golden.ts'
import {eventually} from '../../support/run.ts'

/* What all routes have in common, and those of operators. */

type Mutable<T> = T extends object ? {-readonly [K in keyof T]: Mutable<T[K]>} : T
type Same<A, B> = [Mutable<A>, Mutable<B>] extends [Mutable<B>, Mutable<A>] ? true : never

it('answers what src/protocol says, both ways: the compiler compares', () => {
  const agreed = [
    true satisfies Same<Static<typeof answers.Path>, Protocol.Path>,
    true satisfies Same<Static<typeof answers.PathGrant>, Protocol.PathGrant>,
    true satisfies Same<Static<typeof answers.HostKeys>, Protocol.HostKeys>,
    true satisfies Same<Static<typeof answers.Gate>, Protocol.Gate>,
    true satisfies Same<Static<typeof answers.Problem>, Protocol.Problem>,
    true satisfies Same<Static<typeof answers.Deployed>, Protocol.Deployed>,
    true satisfies Same<Static<typeof answers.GateAccess>, Protocol.GateAccess>,
    true satisfies Same<Static<typeof answers.Service>, Protocol.ServiceStatus>,
    true satisfies Same<Static<typeof schemas.DeployBody>, Protocol.DeployRequest>,
  ]
  expect(agreed).toHaveLength(9)
})

it('says what runs here to whoever has a token, and leaves for nobody', async () => {
  expect(await ask('alice', 'GET', '/v1/service')).toMatchObject({
    status: 200,
    body: {
      ...{id: 'service', version: '1.2.3', since: new Date(NOW).toISOString()},
      ...{project_id: 'infra', project_name: 'the infrastructure', limits: {paths: 9, networks: 9}},
    },
  })
  expect(await ask('operator', 'POST', '/v1/service/leave')).toMatchObject({status: 404})
})

it('says it when all gates were asked anew, and not what another runs by then', async () => {
  expect(await ask('alice', 'GET', '/v1/service')).toMatchObject({status: 200})
  expect(asked.gates).toEqual([])
  expect(await ask('alice', 'GET', '/v1/service?fresh=true')).toMatchObject({status: 200})
  expect(asked.gates).toEqual([`forget ${GATE}`, `wake ${GATE}`])
  await deps.context.copy.taken('bob on b')
  expect(await ask('alice', 'GET', '/v1/service?fresh=true')).toMatchObject(
    problemOf(409, 'MOVED', 'the gates of this service are run by bob on b now'),
  )
})

it('describes itself: the golden document', async () => {
  const {status, body} = await ask(undefined, 'GET', '/openapi.json')
  expect(status).toBe(200)
  expectGolden('openapi.json', `${JSON.stringify(body, undefined, 2)}\n`)
})

const routes: [Method, string][] = [
  ['POST', '/v1/paths'],
  ['GET', '/v1/paths'],
  ['DELETE', `/v1/paths?user_id=alice`],
  ['GET', `/v1/paths/${id(7)}`],
  ['PATCH', `/v1/paths/${id(7)}`],
  ['DELETE', `/v1/paths/${id(7)}`],
  ['GET', `/v1/host-keys/${VM}`],
  ['DELETE', `/v1/host-keys/${VM}`],
  ['GET', '/v1/service'],
  ['GET', '/v1/gates'],
  ['POST', '/v1/gates'],
  ['DELETE', `/v1/gates/${GATE}`],
  ['POST', '/v1/gates/deploy'],
  ['POST', `/v1/gates/${GATE}/drain`],
  ['GET', '/v1/gates/access'],
  ['PUT', '/v1/gates/access'],
  ['DELETE', '/v1/gates/access'],
  ['GET', '/v1/attachments'],
  ['GET', '/v1/audit'],
]
const bodies: Record<string, object> = {
  'POST /v1/paths': {server_id: VM, public_key: key},
  [`PATCH /v1/paths/${id(7)}`]: {},
  'POST /v1/gates': {server_id: GATE_SERVER, name: 'two', host: '192.0.2.2', scope: 'shared'},
  'POST /v1/gates/deploy': {scope: 'shared'},
  [`POST /v1/gates/${GATE}/drain`]: {drain: true},
  'PUT /v1/gates/access': {allow: ['192.0.2.0/24']},
}

describe('whoever they are', () => {
  it('all routes are in these tables', async () => {
    const {paths} = (await ask(undefined, 'GET', '/openapi.json')).body
    const documented = Object.entries<object>(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
    )
    const open = ['GET /healthz', 'GET /readyz', 'GET /v1/ca']
    const tested = routes.map(
      ([method, url]) => `${method} ${url.replace(/\?.*/, '').replace(/0{8}-[^/]*/, '{id}')}`,
    )
    expect(documented.sort()).toEqual([...open, ...tested].sort())
  })

  it.each(routes)('%s %s wants a token, and a good one', async (method, url) => {
    const payload = bodies[`${method} ${url}`]
    expect(await ask(undefined, method, url, payload)).toMatchObject({
      ...problemOf(401, 'NOT_LOGGED_IN', 'this needs a Keystone token in X-Auth-Token'),
      headers: {'www-authenticate': 'Keystone'},
    })
    const stale = {'x-auth-token': 'token-of-nobody-0123456789'}
    expect(await inject(method, url, stale, payload)).toMatchObject(
      problemOf(401, 'NOT_LOGGED_IN', 'the token is not valid any more'),
    )
  })

  it.each([
    ['GET', '/v1/attachments'],
    ['GET', '/v1/audit'],
    ['POST', '/v1/gates'],
    ['DELETE', `/v1/gates/${GATE}`],
    ['POST', '/v1/gates/deploy'],
    ['POST', `/v1/gates/${GATE}/drain`],
    ['GET', '/v1/gates/access'],
    ['PUT', '/v1/gates/access'],
    ['DELETE', '/v1/gates/access'],
    ['GET', '/v1/paths?all=true'],
    ['GET', '/v1/paths?user_id=alice'],
    ['GET', '/v1/paths?project_id=t1'],
    ['GET', '/v1/paths?all=false&user_id=alice'],
    ['DELETE', '/v1/paths?project_id=t1'],
    ['DELETE', '/v1/paths?user_id=alice'],
    ['DELETE', `/v1/paths?server_id=${VM}`],
  ] as [Method, string][])(
    '%s %s is for operators, and a refusal is written down once for each who asks',
    async (method, url) => {
      const others: Who[] = ['alice', 'boss', 'reader', 'bob', 'unscoped']
      for (const who of [...others, ...others])
        expect(await ask(who, method, url, bodies[`${method} ${url}`])).toMatchObject(
          problemOf(403, 'DENIED', 'this is for operators of the SSH service'),
        )
      const {body} = await ask('operator', 'GET', '/v1/audit?denials=true')
      const route = url.replace(/\?.*/, '').replace(/0{8}-[^/]*/, ':id')
      expect(body.audit.map(({id: _, ...entry}: {id: number}) => entry)).toEqual(
        [
          ['una', ''],
          ['bob', 't2'],
          ['rita', 't1'],
          ['boss', 't1'],
          ['alice', 't1'],
        ].map(([name, project_id]) => ({
          ...{at: new Date(NOW).toISOString(), action: 'deny', user_id: name, user_name: name, project_id},
          ...{server_id: null, path_id: null, source: '127.0.0.1', until: null},
          detail: `DENIED ${method} ${route}`,
        })),
      )
    },
  )

  it('needs no token to be seen alive, and for the public keys', async () => {
    expect(await ask(undefined, 'GET', '/healthz')).toMatchObject({
      ...{status: 200, body: {status: 'ok', version: '1.2.3'}},
    })
    expect(await ask(undefined, 'GET', '/readyz')).toMatchObject({status: 200, body: {status: 'ready'}})
    expect((await ask(undefined, 'GET', '/v1/ca')).body).toEqual({
      ...{user_ca: ca.userCas[0], user_cas: ca.userCas},
      ...{host_ca: ca.hostCas[0], host_cas: ca.hostCas},
    })
    expect((await ask(undefined, 'GET', '/v1/nothing')).status).toBe(404)
  })
})

describe('gates', () => {
  const two = bodies['POST /v1/gates'] as object

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

describe('a request that cannot be read', () => {
  const said = (status: number, headers: Record<string, string>, payload?: string) =>
    expect(
      inject('POST', '/v1/paths', {'x-auth-token': 'token-of-alice-0123456789', ...headers}, payload),
    ).resolves.toMatchObject(problemOf(status, 'USAGE'))

  it.each([
    ['too long', 'application/json', JSON.stringify({server_id: VM, public_key: 'x'.repeat(65_536)})],
    ['in no language', 'text/xml', '<path/>'],
    ['broken', 'application/json', '{"server_id":'],
    ['nothing', 'application/json', ''],
  ])('is the fault of whoever sent it: %s', async (_, type, payload) => {
    await said(400, {'content-type': type}, payload)
  })

  it.each([
    ['GET', '/v1/paths?everybody=true'],
    ['GET', '/v1/paths?all=perhaps'],
    ['GET', '/v1/paths?user_id=a%20b'],
    ['GET', '/v1/paths?server_id=web'],
    ['GET', '/v1/paths/web'],
    ['DELETE', '/v1/paths/web'],
    ['POST', '/v1/paths?wait=121'],
    ['GET', '/v1/audit?limit=1001'],
    ['GET', '/v1/audit?before=0'],
    ['GET', '/v1/audit?denials=perhaps'],
    ['DELETE', '/v1/gates/gate1'],
    ['GET', '/v1/service?fresh=perhaps'],
  ] as [Method, string][])('asks for what there is not: %s %s', async (method, url) => {
    const payload = bodies[`${method} ${url.replace(/\?.*/, '')}`]
    expect(await ask('operator', method, url, payload)).toMatchObject(problemOf(400, 'USAGE'))
  })
})

it('a fault is a problem document: its kind, what to do next, and by which id it is found in the log', async () => {
  const {body, headers} = await ask('operator', 'DELETE', `/v1/gates/${id(99)}`)
  expect(body).toEqual({
    ...{
      type: 'https://os-ssh.invalid/problems/not-found',
      title: 'NOT_FOUND',
      code: 'NOT_FOUND',
      status: 404,
    },
    ...{detail: `there is no gate ${id(99)}`, hint: 'see os-ssh gate list'},
    request_id: headers['x-openstack-request-id'],
  })
  expect([headers['cache-control'], headers['retry-after']]).toEqual(['no-store', undefined])
})

it('is asked something from a request’s beginning to its end', async () => {
  const {authenticate} = deps
  let during = 0
  deps.authenticate = request => {
    during = deps.activity.underWay
    return authenticate(request)
  }
  expect(await ask('alice', 'GET', '/v1/audit')).toMatchObject({status: 403})
  expect(during).toBe(1)
  await eventually(
    async () => deps.activity.underWay,
    n => n === 0,
  )
})

it('is not ready without its database', async () => {
  await db.schema.dropTable('gates').execute()
  expect(await ask(undefined, 'GET', '/readyz')).toMatchObject(problemOf(500, 'BUG'))
  expect((await ask(undefined, 'GET', '/healthz')).status).toBe(200)
})

it('a mistake of the service is told without its words', async () => {
  await db.schema.dropTable('audit').execute()
  const answer = await ask('operator', 'GET', '/v1/audit')
  expect(answer).toMatchObject(problemOf(500, 'BUG'))
  expect(JSON.stringify(answer.body)).not.toMatch(/audit|sqlite/i)
})

it('a disk that keeps nothing is said to be that', async () => {
  await sql`pragma query_only = 1`.execute(db)
  const answer = await grant('alice')
  await sql`pragma query_only = 0`.execute(db)
  const reason = 'the service cannot keep its state: attempt to write a readonly database'
  expect(answer).toMatchObject(problemOf(500, 'LOCAL_FILE', reason))
  expect(answer.body.hint).toBe('it must be writable and not full')
})
