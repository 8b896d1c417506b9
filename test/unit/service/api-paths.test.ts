import {spawnSync} from 'node:child_process'

import {describe, expect, it, jest} from '@jest/globals'

import {activatePaths, cutPaths, endPaths, failPaths} from '../../../src/service/store/path-steps.ts'
import {pathsOfGate} from '../../../src/service/store/paths.ts'
import {Turns} from '../../../src/service/turns.ts'
import {
  ask,
  asked,
  audited,
  ca,
  db,
  deps,
  GATE,
  gate,
  grant,
  hostKey,
  id,
  key,
  NETWORK,
  NOW,
  problemOf,
  VM,
  type Who,
} from '../../support/api.ts'
import {pathRow} from '../../support/rows.ts'

/* /v1/paths and /v1/host-keys as a client meets them. */

/** A gate that answers, and one that does not. */
const answers = (path: string) => activatePaths(db, [path])
const fails = async (path: string) => {
  await failPaths(db, [path], {code: 'GATE_DOWN', message: 'the gate does not answer', hint: 'wait'}, NOW)
}

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

  it('has a certificate for its own account, by the key that was given, of whoever was named', async () => {
    const {id: path, certificate} = (await grant('carol')).body
    const {stdout} = spawnSync('ssh-keygen', ['-L', '-f', '-'], {input: certificate, env: {TZ: 'UTC'}})
    const [, ...lines] = String(stdout)
      .split('\n')
      .map(line => line.trim())
    expect(lines.filter(line => !/^(Signing CA|Public key|Type)/.test(line))).toEqual([
      ...[
        `Key ID: "Carol path-${path}"`,
        'Serial: 1',
        'Valid: from 2026-11-24T23:59:00 to 2026-11-25T00:10:00',
      ],
      ...[
        'Principals:',
        `path-${path}`,
        'Critical Options: (none)',
        'Extensions:',
        'permit-port-forwarding',
        '',
      ],
    ])
    const given = spawnSync('ssh-keygen', ['-l', '-f', '-'], {input: key, encoding: 'utf8'}).stdout
    expect(lines.find(line => line.startsWith('Public key'))).toContain(given.split(' ')[1])
  })

  it.each([
    ['', 60_000],
    ['?wait=0', 0],
    ['?wait=120', 120_000],
  ])('is waited for as long as its client says: %j', async (query, ms) => {
    const {body} = await ask('alice', 'POST', `/v1/paths${query}`, {server_id: VM, public_key: key})
    expect(asked).toEqual({gates: [`soon ${GATE}`], waits: [[body.id, ms]]})
  })

  it('lives no longer than the service lets any', async () => {
    const {body} = await grant('alice', {life: 999_999})
    expect([body.expires_at, body.certificate_until]).toEqual([
      '2026-11-25T02:00:00.000Z',
      '2026-11-25T00:10:00.000Z',
    ])
  })

  it.each([
    ['ended', async (path: string) => void (await endPaths(db, {ids: [path]}, NOW, {action: 'revoke'}))],
    [
      'forgotten',
      async (path: string) => void (await db.deleteFrom('paths').where('id', '=', path).execute()),
    ],
  ])('that is %s while it is made is no path', async (_, end) => {
    gate.provision = end
    expect(await grant('alice')).toMatchObject(
      problemOf(503, 'BUSY', 'the path was revoked while it was being made'),
    )
  })

  it('whose gate fails meanwhile is asked for once more, and no more often', async () => {
    const how = [fails, answers]
    gate.provision = async path => (how.shift() ?? answers)(path)
    const {status, body} = await grant('alice')
    expect([status, body.state, asked.waits.map(([path]) => path === body.id)]).toEqual([
      ...[201, 'active', [false, true]],
    ])
    asked.waits = []
    gate.provision = fails
    expect(await grant('carol')).toMatchObject(problemOf(503, 'GATE_DOWN', 'the gate does not answer'))
    expect(asked.waits).toHaveLength(2)
  })

  it('that waits for a gate says so, and one that has its place does not', async () => {
    await ask('operator', 'POST', '/v1/gates/deploy', {scope: 'shared'})
    const place = {gate_id: GATE, attachment_id: '', user_id: 'alice', project_id: 't1'}
    await pathRow(db, {...place, id: id(70), state: 'requested', gate_id: ''})
    await pathRow(db, {...place, id: id(71), state: 'pending', fingerprint: 'other'})
    const [waits, placed] = [
      (await ask('alice', 'GET', `/v1/paths/${id(70)}`)).body,
      (await ask('alice', 'GET', `/v1/paths/${id(71)}`)).body,
    ]
    expect([waits.state, waits.progress]).toEqual(['pending', expect.stringMatching(/^a gate is being /)])
    expect([placed.state, placed.progress]).toEqual(['pending', undefined])
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
    ['an RSA key that is none', {public_key: `ssh-rsa ${'A'.repeat(300)}`}],
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

  it('is renewed when the gate knows of it: at once, or when another replica has told it', async () => {
    const {body} = await grant('alice', {life: 600})
    asked.gates = []
    asked.waits = []
    const renew = (life: number) => ask('alice', 'PATCH', `/v1/paths/${body.id}`, {life})
    expect((await renew(3600)).status).toBe(200)
    expect(asked).toEqual({gates: [`wake ${GATE}`], waits: [[body.id, 60_000]]})
    gate.elsewhere = true
    asked.waits = []
    expect((await renew(7200)).status).toBe(200)
    expect(asked.waits).toEqual([1, 2].map(() => [body.id, 60_000]))
  })

  it('that is not made yet is not renewed, but waited for', async () => {
    gate.provision = async () => undefined
    const {body} = await ask('alice', 'POST', '/v1/paths?wait=0', {server_id: VM, public_key: key})
    expect(await ask('alice', 'PATCH', `/v1/paths/${body.id}`, {life: 7200})).toMatchObject({
      status: 202,
      body: {id: body.id, state: 'pending', expires_at: body.expires_at},
    })
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

describe('turns', () => {
  const busy = problemOf(429, 'RATE_LIMITED', 'too many requests of this project wait already')

  it('are of projects: whoever is of the same one waits, and others do not', async () => {
    deps.turns = new Turns({perProject: 1, total: 9, waiting: 0})
    const {promise, resolve: go} = Promise.withResolvers<void>()
    const {promise: began, resolve: begin} = Promise.withResolvers<void>()
    gate.provision = async path => {
      begin()
      await promise
      await answers(path)
    }
    const first = grant('alice')
    await began
    expect(await grant('carol')).toMatchObject({...busy, headers: {'retry-after': '5'}})
    expect((await grant('bob')).status).toBe(403)
    go()
    expect((await first).status).toBe(201)
    expect((await grant('carol')).status).toBe(201)
  })

  it('end with a refusal, too', async () => {
    deps.turns = new Turns({perProject: 1, total: 1, waiting: 0})
    expect((await grant('alice', {server_id: id(99)})).status).toBe(404)
    expect((await grant('bob')).status).toBe(403)
    expect((await grant('alice')).status).toBe(201)
  })

  it('end after two seconds, whatever is still waited for', async () => {
    const turns = new Turns({perProject: 1, total: 9, waiting: 0})
    deps.turns = turns
    const {promise, resolve: go} = Promise.withResolvers<void>()
    const {promise: began, resolve: begin} = Promise.withResolvers<void>()
    gate.provision = async () => {
      begin()
      await promise
    }
    jest.useFakeTimers({doNotFake: ['nextTick', 'setImmediate', 'queueMicrotask']})
    try {
      const first = grant('alice')
      await began
      jest.advanceTimersByTime(1999)
      await expect(turns.take('t1')).rejects.toMatchObject({code: 'RATE_LIMITED'})
      jest.advanceTimersByTime(1)
      await expect(turns.take('t1')).resolves.toBeInstanceOf(Function)
      go()
      expect((await first).status).toBe(202)
    } finally {
      jest.useRealTimers()
    }
  })
})

describe('host keys', () => {
  it('are those that were pinned at the first grant, until they are forgotten on purpose', async () => {
    const one = `/v1/host-keys/${VM}`
    expect((await ask('alice', 'GET', one)).body).toEqual({server_id: VM, host_keys: []})
    await grant('alice')
    expect((await ask('alice', 'GET', one)).body).toEqual({server_id: VM, host_keys: [hostKey]})
    expect(await ask('bob', 'GET', one)).toMatchObject(problemOf(403, 'DENIED'))
    for (const who of ['reader', 'boss', 'bob', 'unscoped'] as const)
      expect(await ask(who, 'DELETE', one)).toMatchObject(
        problemOf(403, 'DENIED', 'your roles let you see this VM, but not log in to it'),
      )
    for (const method of ['GET', 'DELETE'] as const)
      expect(await ask('alice', method, `/v1/host-keys/${id(99)}`)).toMatchObject(
        problemOf(404, 'NOT_FOUND', `there is no VM ${id(99)} that you may see`),
      )
    expect(await audited('forget-host-keys')).toEqual([])
    expect((await ask('alice', 'DELETE', one)).status).toBe(204)
    expect(await audited('forget-host-keys')).toEqual([['alice', 't1', null, VM, '127.0.0.1']])
    expect((await ask('alice', 'GET', one)).body.host_keys).toEqual([])
  })
})
