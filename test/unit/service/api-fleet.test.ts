import {describe, expect, it} from '@jest/globals'

import {OpenStackError} from '../../../src/openstack/index.ts'
import {gate as gateById, type NewGate} from '../../../src/service/store/gates.ts'
import {
  bootMachine,
  clearMachine,
  failMachine,
  forgetMachines,
  machines,
  runMachine,
} from '../../../src/service/store/machines.ts'
import {
  admitted,
  ask,
  audited,
  db,
  GATE,
  hostKey,
  id,
  NOW,
  problemOf,
  refusal,
  type Who,
} from '../../support/api.ts'

/* The routes by which operators have gates made, drained and deleted, and say who may reach them. */

const deploy = (body: object) => ask('operator', 'POST', '/v1/gates/deploy', body)
const audit = async (...actions: string[]) => {
  const {body} = await ask('operator', 'GET', '/v1/audit')
  const entries = body.audit as {action: string; user_name: string; detail: string; source: string}[]
  return entries
    .filter(one => actions.includes(one.action))
    .map(({action, user_name, source}) => [action, user_name, source])
}
const names = async (who: Who) =>
  (await ask(who, 'GET', '/v1/gates')).body.gates.map((gate: {name: string}) => gate.name)
const usage = problemOf(400, 'USAGE')

/** A gate that the service has made, and runs; its id. */
async function made(): Promise<string> {
  const {body} = await deploy({scope: 'shared'})
  const [gate] = body.gates
  return run(gate.id, {name: gate.name, scope: 'shared'})
}

/** A machine boots, and is a gate. */
async function run(gate: string, what: Pick<NewGate, 'name' | 'scope' | 'serves'>): Promise<string> {
  await bootMachine(db, gate, {server_id: id(50), host: '203.0.113.9'}, NOW)
  const address = {host: '203.0.113.9', port: 22, login: 'root', host_key: hostKey}
  const row = {...what, id: gate, server_id: id(50), project_id: 'infra'}
  await runMachine(
    db,
    {...row, ...address, keep_nics: [], created_at: NOW},
    {id: 's', name: 's', project_id: ''},
  )
  return gate
}

describe('deploy', () => {
  it('wants gates, and says of what they will be', async () => {
    const {status, body} = await deploy({scope: 'shared', count: 2, zone: 'nova', flavor: 'small'})
    expect(status).toBe(202)
    expect(body.plan).toMatchObject({
      ...{image: {id: 'ubuntu'}, flavor: {id: 'small'}, zone: 'nova', count: 2, network: {id: 'net'}},
      ...{address: {kind: 'floating', network: {id: 'public'}}},
    })
    expect(body.plan.quota).toContainEqual({resource: 'floatingip', needs: 2, used: 1, limit: 50})
    const gate = {state: 'wanted', scope: 'shared', zone: 'nova', deployed: true, paths: 0, attachments: 0}
    expect(body.gates).toMatchObject([gate, gate])
    expect((await machines(db)).map(row => row.id).sort()).toEqual(
      body.gates.map((one: {id: string}) => one.id).sort(),
    )
    expect(await audit('gate-deploy')).toEqual([1, 2].map(() => ['gate-deploy', 'op', '127.0.0.1']))
  })

  it('as a dry run wants none, and is not audited', async () => {
    const {status, body} = await deploy({scope: 'project', count: 3, dry_run: true})
    expect([status, body.plan.count, body.gates]).toEqual([200, 3, []])
    expect([await machines(db), await audit('gate-deploy')]).toEqual([[], []])
  })

  it('for a project: its members see that gate as soon as it is one, and others do not', async () => {
    const {body} = await deploy({scope: 'project', project_id: 't2'})
    const [{id: one, name, serves}] = body.gates
    expect(serves).toBe('t2')
    await db.updateTable('gates').set({scope: 'project', project_id: 'infra'}).execute()
    const seen = async () => [await names('bob'), await names('alice'), await names('operator')]
    const all = [name, 'gate1'].sort()
    expect(await seen()).toEqual([[], [], all])
    await run(one, {name, scope: 'project', serves: 't2'})
    expect(await seen()).toEqual([[name], [], all])
  })

  it.each([
    {},
    {scope: 'all'},
    ...[0, 17, 1.5, 'two'].map(count => ({scope: 'shared', count})),
    ...['', 'a\nb', 'x'.repeat(300), 7].map(zone => ({scope: 'shared', zone})),
    {scope: 'project', project_id: '../t2'},
    {scope: 'shared', address: 'any'},
    {scope: 'shared', dry_run: 'maybe'},
    {scope: 'shared', user_data: 'evil'},
  ])('takes no %j', async body => {
    expect(await deploy(body)).toMatchObject(usage)
    expect(await machines(db)).toEqual([])
  })

  it('says what does not fit', async () => {
    expect(await deploy({scope: 'shared', image: 'none'})).toMatchObject({
      status: 400,
      body: {code: 'USAGE', detail: expect.stringContaining('none')},
    })
    expect(await deploy({scope: 'shared', count: 5})).toMatchObject(
      problemOf(400, 'USAGE', 'this service makes 4 gates at most'),
    )
    expect(await machines(db)).toEqual([])
  })
})

describe('a fault of the cloud is told', () => {
  it.each([
    ['unreachable', 'CLOUD_DOWN'],
    ['server', 'CLOUD_DOWN'],
    ['forbidden', 'CLOUD_REFUSED'],
    ['quota', 'QUOTA'],
  ] as const)('%s', async (fault, code) => {
    const there = await made()
    refusal.fault = new OpenStackError(fault, 'the cloud has said this')
    for (const dry_run of [true, false]) {
      const {body} = await deploy({scope: 'shared', dry_run})
      const detail = 'what the gates would be made of cannot be looked up: the cloud has said this'
      expect(body).toMatchObject({code, detail})
    }
    const {body} = await ask('operator', 'PUT', '/v1/gates/access', {allow: ['192.0.2.0/24']})
    const detail = 'the security group of the gates could not be changed: the cloud has said this'
    expect(body).toMatchObject({code, detail})
    expect((await machines(db)).map(row => row.id)).toEqual([there])
  })

  it('but none of ours', async () => {
    refusal.fault = new TypeError('secret') as OpenStackError
    expect(await deploy({scope: 'shared'})).toMatchObject({
      status: 500,
      body: {code: 'BUG', detail: expect.not.stringContaining('secret')},
    })
  })
})

describe('drain', () => {
  const drain = (gate: string, body: object) => ask('operator', 'POST', `/v1/gates/${gate}/drain`, body)

  it('and undo it, once each', async () => {
    for (const _ of [1, 2])
      expect(await drain(GATE, {drain: true})).toMatchObject({
        status: 200,
        body: {id: GATE, state: 'draining'},
      })
    expect(await audit('gate-drain')).toEqual([['gate-drain', 'op', '127.0.0.1']])
    for (const _ of [1, 2])
      expect(await drain(GATE, {drain: false})).toMatchObject({status: 200, body: {id: GATE, state: 'ready'}})
    expect(await audit('gate-drain')).toHaveLength(2)
  })

  it('one that is down is shown as down', async () => {
    await db.updateTable('gates').set({state: 'down'}).execute()
    expect(await drain(GATE, {drain: true})).toMatchObject({body: {state: 'down'}})
  })

  it('not what is no gate', async () => {
    expect(await drain(id(99), {drain: true})).toMatchObject(
      problemOf(404, 'NOT_FOUND', `there is no gate ${id(99)}`),
    )
  })

  it.each([
    ['wanted', 503, 'BUSY', 'is wanted: it takes no paths yet'],
    ['booting', 503, 'BUSY', 'is booting: it takes no paths yet'],
    ['failed', 400, 'USAGE', 'could not be made: it takes no paths'],
  ] as const)('not one that is %s, which is said', async (state, status, code, words) => {
    const {body} = await deploy({scope: 'shared'})
    const [{id: one, name}] = body.gates
    await db.updateTable('machines').set({state}).execute()
    for (const word of [true, false])
      expect(await drain(one, {drain: word})).toMatchObject(problemOf(status, code, `${name} ${words}`))
    expect(await audit('gate-drain')).toEqual([])
  })

  it('nor one that is being deleted, and it stays drained', async () => {
    const one = await made()
    await ask('operator', 'DELETE', `/v1/gates/${one}`)
    for (const word of [true, false])
      expect(await drain(one, {drain: word})).toMatchObject({
        status: 503,
        body: {code: 'BUSY', detail: expect.stringContaining('is being deleted')},
      })
    const {drained_at} = (await gateById(db, one)) ?? {}
    expect([drained_at, await audit('gate-drain')]).toEqual([NOW, []])
  })

  it.each([{}, {drain: 'perhaps'}, {drain: true, more: 1}])('takes no %j', async body => {
    expect(await drain(GATE, body)).toMatchObject(usage)
    expect((await ask('operator', 'GET', '/v1/gates')).body.gates).toMatchObject([{state: 'ready'}])
  })
})

describe('access', () => {
  const usual = ['0.0.0.0/0', '::/0']
  const allow = (...prefixes: string[]) => ask('operator', 'PUT', '/v1/gates/access', {allow: prefixes})
  const allowed = async () => (await ask('operator', 'GET', '/v1/gates/access')).body

  it('is what is configured until somebody changes it, which is written down', async () => {
    expect(await allowed()).toEqual({allow: usual})
    const mine = ['192.0.2.0/24', '2001:db8::/32', '198.51.100.7/32']
    expect(await allow(...mine)).toMatchObject({status: 200, body: {allow: mine}})
    expect(await allowed()).toEqual({allow: mine})
    expect(await audit('gate-allow')).toEqual([['gate-allow', 'op', '127.0.0.1']])
  })

  it('is again what is configured, whatever that is by then', async () => {
    await allow('192.0.2.0/24')
    await made()
    expect(await ask('operator', 'DELETE', '/v1/gates/access')).toMatchObject({
      status: 200,
      body: {allow: usual},
    })
    expect([await allowed(), admitted]).toEqual([{allow: usual}, usual])
    expect((await db.selectFrom('service').select('allow').executeTakeFirst())?.allow).toBeNull()
    expect(await audited('gate-allow')).toEqual([
      ['op', 'infra', 'as it is configured', null, '127.0.0.1'],
      ['op', 'infra', '192.0.2.0/24', null, '127.0.0.1'],
    ])
    refusal.fault = new OpenStackError('unreachable', 'gone')
    expect(await ask('operator', 'DELETE', '/v1/gates/access')).toMatchObject(problemOf(502, 'CLOUD_DOWN'))
  })

  it('is for this machine alone, as a gate sees it, when that is asked for by itself', async () => {
    expect(await allow('auto')).toMatchObject(
      problemOf(503, 'NO_GATE', 'there is no gate yet that could see from where you come'),
    )
    expect(await audited('gate-allow')).toEqual([])
    await made()
    expect(await allow('auto')).toMatchObject({status: 200, body: {allow: ['198.51.100.9/32']}})
    expect(await allowed()).toEqual({allow: ['198.51.100.9/32']})
    expect(await audited('gate-allow')).toEqual([['op', 'infra', '198.51.100.9/32', null, '127.0.0.1']])
  })

  it.each([
    ['auto', 'auto is not an address range such as 192.0.2.0/24'],
    ['\u001b[2J', '\\u001b[2J is not an address range such as 192.0.2.0/24'],
  ])(
    'among others is for nobody called %j, and says so in words that a terminal may show',
    async (word, says) => {
      for (const given of [
        [word, '192.0.2.0/24'],
        ['192.0.2.0/24', word],
      ])
        expect(await allow(...given)).toMatchObject(problemOf(400, 'USAGE', says))
    },
  )

  it.each([
    '192.0.2.0/33',
    '192.0.2/24',
    '::/129',
    '192.0.2.0',
    '300.0.0.0/8',
    'any/0',
    '::1/64/3',
    '1.2.3.4/-1',
  ])('takes no %s', async prefix => {
    expect(await allow('192.0.2.0/24', prefix)).toMatchObject(usage)
    expect(await allowed()).toEqual({allow: usual})
    expect(await audit('gate-allow')).toEqual([])
  })

  it('is for somebody, and not for too many', async () => {
    expect(await allow()).toMatchObject(usage)
    expect(await allow(...Array.from({length: 65}, (_, n) => `10.0.${n}.0/24`))).toMatchObject(usage)
    expect((await allow(...Array.from({length: 64}, (_, n) => `10.0.${n}.0/24`))).status).toBe(200)
  })
})

describe('a gate that was deployed', () => {
  it('is deleted with all of it, by an operator only', async () => {
    const gate = await made()
    expect(await ask('alice', 'DELETE', `/v1/gates/${gate}`)).toMatchObject(problemOf(403, 'DENIED'))
    expect((await ask('operator', 'GET', '/v1/audit?denials=true')).body.audit).toMatchObject([
      {action: 'deny', user_name: 'alice', detail: 'DENIED DELETE /v1/gates/:id'},
    ])
    expect(await names('operator')).toHaveLength(2)
    expect(await ask('operator', 'DELETE', `/v1/gates/${gate}`)).toMatchObject({status: 202, body: undefined})
    const {gates} = (await ask('operator', 'GET', '/v1/gates')).body
    expect(gates.find((one: {id: string}) => one.id === gate)).toMatchObject({state: 'deleting'})
    expect(await audit('gate-delete')).toEqual([['gate-delete', 'op', '127.0.0.1']])
    // Again: it goes already.
    expect((await ask('operator', 'DELETE', `/v1/gates/${gate}`)).status).toBe(202)
    expect(await audit('gate-delete')).toHaveLength(1)
  })

  it('is deleted before it is one', async () => {
    const {body} = await deploy({scope: 'shared'})
    expect((await ask('operator', 'DELETE', `/v1/gates/${body.gates[0].id}`)).status).toBe(202)
    expect(await machines(db)).toMatchObject([{state: 'deleting'}])
  })

  it('that failed is forgotten at once when nothing of it is left', async () => {
    const {body} = await deploy({scope: 'shared'})
    const [gate] = body.gates
    await failMachine(db, gate.id, 'why', NOW)
    await clearMachine(db, gate.id, NOW)
    expect((await ask('operator', 'DELETE', `/v1/gates/${gate.id}`)).status).toBe(204)
    expect(await names('operator')).toEqual(['gate1'])
    expect(await audit('gate-delete')).toEqual([['gate-delete', 'op', '127.0.0.1']])
    expect((await ask('operator', 'DELETE', `/v1/gates/${gate.id}`)).status).toBe(404)
  })

  it('that failed is forgotten as soon as nothing of it is left', async () => {
    const {body} = await deploy({scope: 'shared', count: 2})
    const [gate, other] = body.gates
    for (const one of [gate, other]) await failMachine(db, one.id, 'why', NOW)
    for (const _ of [1, 2]) expect((await ask('operator', 'DELETE', `/v1/gates/${gate.id}`)).status).toBe(202)
    expect(await audit('gate-delete')).toHaveLength(1)
    await forgetMachines(db, NOW - 1)
    expect((await machines(db)).map(row => row.state)).toEqual(['failed', 'failed'])
    for (const one of [gate, other]) await clearMachine(db, one.id, NOW)
    await forgetMachines(db, NOW - 1)
    expect((await machines(db)).map(row => row.id)).toEqual([other.id])
  })

  it('is shown with what it was made of, and what keeps it', async () => {
    const gate = await made()
    await db.updateTable('machines').set({reason: 'why'}).execute()
    const {gates} = (await ask('operator', 'GET', '/v1/gates')).body
    expect(gates.find((one: {id: string}) => one.id === gate)).toMatchObject({
      ...{deployed: true, state: 'new', reason: 'why', host: '203.0.113.9', server_id: id(50)},
      plan: {image: {id: 'ubuntu'}},
    })
    expect(gates.find((one: {id: string}) => one.id === GATE)).toMatchObject({
      deployed: false,
      state: 'ready',
    })
  })
})

describe('who is no operator', () => {
  const gates = async (who: Who) => (await ask(who, 'GET', '/v1/gates')).body.gates

  it('sees gates, not what they are made of nor what the cloud has said', async () => {
    const one = await made()
    await db.updateTable('machines').set({reason: 'Nova says: compute-7 is full'}).execute()
    await db.updateTable('gates').set({reason: 'root@10.0.0.5: no route'}).execute()
    const view = (all: {id: string}[]) => all.find(gate => gate.id === one)
    expect(view(await gates('operator'))).toMatchObject({reason: expect.anything(), plan: expect.anything()})
    const seen = view(await gates('alice'))
    expect(seen).toMatchObject({state: 'new', deployed: true})
    expect([seen].flatMap(gate => Object.keys(gate ?? {}))).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(plan|reason)$/)]),
    )
    await db.updateTable('gates').set({state: 'down'}).execute()
    for (const gate of await gates('alice'))
      expect(gate).toMatchObject({state: 'down', reason: 'it does not answer'})
  })

  it('sees none that is none yet, or never was', async () => {
    await deploy({scope: 'shared', count: 2})
    const [first] = await machines(db)
    await failMachine(db, first?.id ?? '', 'why', NOW)
    expect([await names('alice'), (await names('operator')).length]).toEqual([['gate1'], 3])
  })

  it('and whose token has no project sees the shared ones only', async () => {
    const one = await made()
    await db.updateTable('gates').set({scope: 'project'}).where('id', '=', one).execute()
    expect(await names('unscoped')).toEqual(['gate1'])
    await db.updateTable('gates').set({scope: 'project', project_id: ''}).execute()
    expect(await names('unscoped')).toEqual([])
  })
})
