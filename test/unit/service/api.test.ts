import {describe, expect, it} from '@jest/globals'
import type {Static} from 'typebox'

import type * as Protocol from '../../../src/protocol/index.ts'
import type * as answers from '../../../src/service/api/answers.ts'
import type * as schemas from '../../../src/service/api/schemas.ts'
import {
  ask,
  asked,
  ca,
  deps,
  GATE,
  GATE_SERVER,
  id,
  inject,
  key,
  type Method,
  NOW,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'
import {expectGolden} from '../../support/golden.ts'

/* What all routes have in common. */

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
