import {spawnSync} from 'node:child_process'

import {describe, expect, it} from '@jest/globals'

import {cutPaths, failPaths} from '../../../src/service/store/path-steps.ts'
import {pathsOfGate} from '../../../src/service/store/paths.ts'
import {
  ask,
  ca,
  db,
  GATE,
  gate,
  grant,
  hostKey,
  id,
  key,
  type Method,
  NETWORK,
  NOW,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'

/* /v1/paths and /v1/host-keys as a client meets them. */

describe('a path', () => {
  it('is granted with all that its user needs, and nothing of the database’s', async () => {
    const {status, body, headers} = await grant('alice')
    expect(status).toBe(201)
    expect(headers['cache-control']).toBe('no-store')
    expect(headers['x-openstack-request-id']).toMatch(/^req-/)
    expect(body).toEqual({
      ...{
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        state: 'active',
        user_id: 'alice',
        user_name: 'alice',
      },
      ...{project_id: 't1', server_id: VM, server_name: 'web', network_id: NETWORK, route: 'attached'},
      ...{address: '10.0.0.10', alias: '100.64.0.16', port: 22, login: 'osp0000'},
      gate: {id: GATE, name: 'gate1', host: '192.0.2.1', port: 22},
      created_at: '2026-11-25T00:00:00.000Z',
      expires_at: '2026-11-25T01:00:00.000Z',
      certificate_until: '2026-11-25T00:10:00.000Z',
      certificate: expect.stringMatching(/^ssh-ed25519-cert-v01@openssh.com /),
      host_ca: ca.hostCas[0],
      host_cas: ca.hostCas,
      host_keys: [hostKey],
    })
  })

  it('has a certificate by the clock of its gate', async () => {
    await db.updateTable('gates').set({clock_skew: 3_600_000}).execute()
    const {certificate, certificate_until} = (await grant('alice')).body
    const {stdout} = spawnSync('ssh-keygen', ['-L', '-f', '-'], {input: certificate, env: {TZ: 'UTC'}})
    expect(String(stdout)).toContain('Valid: from 2026-11-25T00:59:00 to 2026-11-25T01:10:00')
    expect(certificate_until).toBe('2026-11-25T00:10:00.000Z')
  })

  it('is said to be pending when it takes longer than the client waits', async () => {
    gate.provision = async () => undefined
    const {status, body} = await ask('alice', 'POST', '/v1/paths?wait=0', {server_id: VM, public_key: key})
    expect([status, body.state, 'certificate' in body]).toEqual([202, 'pending', false])
  })

  it('that fails says why, at the request and whenever it is looked at', async () => {
    const fault = {
      code: 'VM_UNREACHABLE',
      message: 'the VM refuses the connection',
      hint: 'start sshd',
    } as const
    gate.provision = async path => {
      await failPaths(db, [path], fault, NOW)
    }
    expect(await grant('alice')).toMatchObject(problemOf(503, 'VM_UNREACHABLE', fault.message))
    const [row] = await pathsOfGate(db, GATE)
    const seen = async () => (await ask('alice', 'GET', `/v1/paths/${row?.id}`)).body
    expect(await seen()).toMatchObject({state: 'failed', error: {detail: fault.message, hint: 'start sshd'}})
    await cutPaths(db, [row?.id ?? ''], NOW)
    expect(await seen()).toMatchObject({state: 'failed', error: {detail: fault.message}})
  })

  it.each([
    ['no key at all', {public_key: 'x'.repeat(20)}],
    ['an RSA key', {public_key: `ssh-rsa ${'A'.repeat(300)}`}],
    ['a life of no time', {life: 1}],
    ['a server that is no id', {server_id: '../flavors'}],
    ['what it does not know', {sudo: true}],
  ])('wants what it can use: not %s', async (_, change) => {
    expect(await grant('alice', change)).toMatchObject(problemOf(400, 'USAGE'))
  })

  it.each([
    ['a VM that is not there', 'alice', {server_id: id(99)}, 404, 'NOT_FOUND'],
    ['a network that the VM is not on', 'alice', {network_id: id(98)}, 404, 'NOT_FOUND'],
    ['another project’s VM', 'bob', {}, 403, 'DENIED'],
    ['a VM that one may only read', 'reader', {}, 403, 'DENIED'],
  ] as [string, Who, object, number, string][])('is refused for %s', async (_, who, change, status, code) => {
    expect(await grant(who, change)).toMatchObject(problemOf(status, code))
  })

  it('without a gate is refused with the words for it', async () => {
    await db.deleteFrom('gates').execute()
    expect(await grant('alice')).toMatchObject(
      problemOf(503, 'NO_GATE', 'no gate serves the project of this VM'),
    )
  })

  it('is listed to its user, and to an operator; others see none', async () => {
    const {body} = await grant('alice')
    const ids = async (who: Who, query = '') =>
      (await ask(who, 'GET', `/v1/paths${query}`)).body.paths.map((path: {id: string}) => path.id)
    expect(await ids('alice')).toEqual([body.id])
    expect(await ids('alice', `?server_id=${id(99)}`)).toEqual([])
    expect(await ids('bob')).toEqual([])
    expect(await ids('operator')).toEqual([])
    expect(await ids('operator', '?all=true')).toEqual([body.id])
    expect(await ids('operator', '?project_id=t2')).toEqual([])
  })

  it('looks as if it were not there to who may not see it', async () => {
    const {body} = await grant('alice')
    const one = `/v1/paths/${body.id}`
    for (const [method, payload] of [['GET'], ['DELETE'], ['PATCH', {}]] as [Method, object?][])
      expect(await ask('bob', method, one, payload)).toMatchObject(
        problemOf(404, 'NOT_FOUND', `there is no path ${body.id}`),
      )
    expect((await ask('operator', 'GET', one)).status).toBe(200)
    expect(await ask('operator', 'PATCH', one, {})).toMatchObject(
      problemOf(403, 'DENIED', 'only its user may renew a path'),
    )
  })

  it('is renewed by its user, who is asked for again', async () => {
    const {body} = await grant('alice', {life: 600})
    const again = await ask('alice', 'PATCH', `/v1/paths/${body.id}`, {life: 7200})
    expect(again).toMatchObject({status: 200, body: {id: body.id, expires_at: '2026-11-25T02:00:00.000Z'}})
    const {audit} = (await ask('operator', 'GET', '/v1/audit')).body
    expect(audit.map((entry: {action: string; source: string}) => [entry.action, entry.source])).toEqual([
      ['renew', '127.0.0.1'],
      ['grant', '127.0.0.1'],
    ])
  })

  it('is ended when the gate says so, and not before', async () => {
    const {body} = await grant('alice')
    gate.answers = false
    const one = `/v1/paths/${body.id}`
    expect(await ask('alice', 'DELETE', one)).toMatchObject(problemOf(503, 'GATE_DOWN'))
    gate.answers = true
    expect(await ask('alice', 'DELETE', one)).toMatchObject({status: 204, body: undefined})
    expect((await ask('alice', 'GET', one)).body).toMatchObject({state: 'ended'})
  })

  it('is revoked by an operator, and refused for a while', async () => {
    await grant('alice')
    expect(await ask('operator', 'DELETE', '/v1/paths?user_id=alice')).toMatchObject({
      status: 200,
      body: {revoked: 1},
    })
    expect(await grant('alice')).toMatchObject(problemOf(403, 'DENIED'))
    for (const query of ['', '?user_id=a&project_id=b', '?user_id=a%20b'])
      expect(await ask('operator', 'DELETE', `/v1/paths${query}`)).toMatchObject(problemOf(400, 'USAGE'))
  })
})

describe('host keys', () => {
  it('are those that were pinned at the first grant, until they are forgotten on purpose', async () => {
    const one = `/v1/host-keys/${VM}`
    expect((await ask('alice', 'GET', one)).body).toEqual({server_id: VM, host_keys: []})
    await grant('alice')
    expect((await ask('alice', 'GET', one)).body).toEqual({server_id: VM, host_keys: [hostKey]})
    expect(await ask('bob', 'GET', one)).toMatchObject(problemOf(403, 'DENIED'))
    expect(await ask('reader', 'DELETE', one)).toMatchObject(problemOf(403, 'DENIED'))
    expect((await ask('alice', 'DELETE', one)).status).toBe(204)
    expect((await ask('alice', 'GET', one)).body.host_keys).toEqual([])
  })
})
