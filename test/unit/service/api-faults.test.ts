import {describe, expect, it} from '@jest/globals'
import {sql} from 'kysely'

import {ask, db, deps, grant, id, inject, key, type Method, problemOf, VM} from '../../support/api.ts'

/* What is answered where something is wrong: with a request, or with us. */

describe('a request that cannot be read', () => {
  it.each([
    ['too long', 'application/json', `{"x": "${'x'.repeat(65_536)}"}`, /^Request body is too large$/],
    ['in no language', 'text/xml', '<path/>', /^Unsupported Media Type/],
    ['broken', 'application/json', '{"server_id":', /JSON/],
    ['nothing', 'application/json', '', /^Body cannot be empty/],
    ['more than it says', 'application/json', '{"__proto__": {"life": 60}}', /JSON/],
  ])('is the fault of whoever sent it: %s', async (_, type, payload, words) => {
    const headers = {'x-auth-token': 'token-of-alice-0123456789', 'content-type': type}
    const answer = await inject('POST', '/v1/paths', headers, payload)
    expect(answer).toMatchObject(problemOf(400, 'USAGE'))
    expect(answer.body.detail).toMatch(words)
  })

  it.each([
    ['GET', '/v1/paths?everybody=true'],
    ['GET', '/v1/paths?all=perhaps'],
    ['GET', '/v1/paths?user_id=a%20b'],
    ['GET', '/v1/paths?user_id=alice&user_id=bob'],
    ['DELETE', '/v1/paths?user_id=alice&user_id=bob'],
    ['DELETE', '/v1/paths?user_id='],
    ['DELETE', '/v1/paths?user_id=alice&all=true'],
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
    const payload = method === 'POST' ? {server_id: VM, public_key: key} : undefined
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
  // Its connection is closed in the next turn.
  await new Promise(resolve => setImmediate(resolve))
  expect(deps.activity.underWay).toBe(0)
})

it('counts requests by their routes, and says nothing of who or what was asked for', async () => {
  const {body} = await grant('alice')
  for (const path of [body.id, id(99)]) await ask('alice', 'GET', `/v1/paths/${path}`)
  await ask('alice', 'GET', '/v1/secret')
  const text = String((await ask(undefined, 'GET', '/metrics')).body)
  const counts = [...text.matchAll(/^os_ssh_request_seconds_count{(.*)} (\d+)$/gm)].map(([, what, n]) => [
    what,
    n,
  ])
  expect(counts).toEqual([
    ['method="POST",route="/v1/paths",status="201"', '1'],
    ['method="GET",route="/v1/paths/:id",status="200"', '1'],
    ['method="GET",route="/v1/paths/:id",status="404"', '1'],
    ['method="GET",route="none",status="404"', '1'],
  ])
  expect(text).toContain('os_ssh_paths{state="active"} 1')
  for (const word of [body.id, id(99), VM, 'alice', 'secret', '192.0.2.1']) expect(text).not.toContain(word)
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
