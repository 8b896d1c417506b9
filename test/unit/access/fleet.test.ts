import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals'

import type {Session} from '../../../src/access/session.ts'
import type {Gate, GateCondition} from '../../../src/protocol/index.ts'
import {clockOf} from '../../support/virtual-time.ts'

const {allowAccess, deleteGate, deployGates, drainGate, findGate, gateAccess, usualAccess} = await import(
  '../../../src/access/fleet.ts'
)

/* What the commands of operators ask the service for, and how long they wait; the service is a few answers. */

const [A, B] = ['3f', '4f'].map(start => `${start}2a7c1e-0000-4000-8000-000000000001`) as [string, string]
const gate = (id: string, change: Partial<Gate> = {}) =>
  ({
    id,
    name: `gate-${id.slice(0, 2)}`,
    state: 'ready',
    paths: 0,
    attachments: 0,
    deployed: true,
    ...change,
  }) as Gate

const EPOCH = 1_000_000
const clock = {now: EPOCH}
let there: Gate[]
/** What becomes of the gates as they are looked at, one look after another; the last one stays. */
let course: (readonly Gate[])[]
let requests: string[]
let told: string[]

const session = {
  service: async () => ({
    async request(method: string, path: string, body?: object) {
      requests.push(`${method} ${path}${body === undefined ? '' : ` ${JSON.stringify(body)}`}`)
      if (method !== 'GET' && path.endsWith('/drain')) return gate(A)
      if (method === 'POST') return {plan: {image: {id: 'i', name: 'i'}}, gates: there}
      if (path.endsWith('/access')) return body ?? {allow: ['::/0']}
      if (method === 'DELETE') return undefined
      const next = course.length > 1 ? course.shift() : course[0]
      return {gates: next ?? there}
    },
  }),
  cloud: {
    identity: {
      projects: async () => [
        {id: 'p1', name: 'one'},
        {id: 'p2', name: 'two'},
        {id: 'p3', name: 'two'},
      ],
    },
  },
  progress: (line: string) => told.push(line),
} as unknown as Session
const asked = (method: string) => requests.filter(one => one.startsWith(method))

beforeEach(() => {
  clock.now = EPOCH
  clockOf(clock)
  jest.spyOn(Date, 'now').mockImplementation(() => clock.now)
  there = [gate(A), gate(B, {name: 'gate-4f11'})]
  course = []
  requests = []
  told = []
})
afterEach(() => {
  jest.restoreAllMocks()
})

describe('deploy', () => {
  const wish = {scope: 'shared', wait: true, dry_run: false} as never
  const inState = (...states: GateCondition[]) =>
    states.map((state, n) => gate([A, B][n] ?? '', {state, reason: 'no \u001b[31mhost'}))

  it('asks for what is wished, and for nothing else', async () => {
    course = [there]
    await deployGates(session, {scope: 'project', project: 'one', wait: true, count: 2, zone: 'az1'} as never)
    expect(asked('POST')).toEqual([
      'POST /v1/gates/deploy {"scope":"project","count":2,"zone":"az1","project_id":"p1"}',
    ])
  })

  it.each([
    ['one', 'p1'],
    ['p2', 'p2'],
    ['0123456789abcdef0123456789abcdef', '0123456789abcdef0123456789abcdef'],
    [A, A],
  ])('names the project %s by its id', async (word, id) => {
    await deployGates(session, {scope: 'project', project: word, wait: false} as never)
    expect(asked('POST')[0]).toContain(`"project_id":"${id}"`)
  })

  it.each(['three', 'ffff', 'p1 ', ''])('knows no project %j', async word => {
    const wished = deployGates(session, {scope: 'project', project: word, wait: true} as never)
    await expect(wished).rejects.toMatchObject({
      ...{code: 'USAGE', message: `you are in no project that is called ${word}`},
      suggestions: [expect.stringContaining('is said by its id')],
    })
    expect(requests).toEqual([])
  })

  it('does not guess which project is meant', async () => {
    const two = deployGates(session, {scope: 'project', project: 'two', wait: true} as never)
    await expect(two).rejects.toMatchObject({code: 'AMBIGUOUS', message: '2 projects are called two'})
    expect(requests).toEqual([])
  })

  it('waits until all of them are ready, and says for what', async () => {
    there = inState('wanted', 'wanted')
    course = [
      inState('booting', 'ready'),
      inState('new', 'ready'),
      [...inState('ready', 'ready'), gate('other')],
    ]
    const {gates, plan} = await deployGates(session, wish)
    expect(gates.map(({id, state}) => [id, state])).toEqual([
      [A, 'ready'],
      [B, 'ready'],
    ])
    expect(plan.image.id).toBe('i')
    const why = '(no \\u001b[31mhost)'
    expect(told).toEqual([`gate-3f is booting ${why}, 0 s …`, `gate-3f is new ${why}, 0 s …`])
  })

  it('sees soon that one is ready, and says once a second what it waits for', async () => {
    there = inState('wanted')
    course = [...Array.from({length: 12}, () => inState('booting')), inState('ready')]
    await deployGates(session, wish)
    expect(clock.now - EPOCH).toBe(12 * 200)
    expect(told).toEqual([0, 1, 2].map(n => `gate-3f is booting (no \\u001b[31mhost), ${n} s …`))
  })

  it.each([
    ['a dry run', {dry_run: true, wait: true}],
    ['who does not wait', {dry_run: false, wait: false}],
  ])('%s is answered at once', async (_, how) => {
    there = inState('wanted')
    expect((await deployGates(session, {scope: 'shared', ...how} as never)).gates).toEqual(there)
    expect(asked('GET')).toEqual([])
  })

  it('names the one that failed, harmlessly, and how the others are', async () => {
    there = inState('wanted', 'wanted')
    course = [inState('booting', 'failed')]
    await expect(deployGates(session, wish)).rejects.toMatchObject({
      code: 'CLOUD_REFUSED',
      message: 'gate-4f could not be made: no \\u001b[31mhost; gate-3f is booting (no \\u001b[31mhost)',
      suggestions: [expect.stringContaining('shows it for an hour')],
    })
  })

  it.each([
    [
      'goes',
      inState('ready', 'deleting'),
      'was deleted meanwhile: no \\u001b[31mhost; gate-3f is ready (no \\u001b[31mhost)',
    ],
    ['has gone', [gate(A)], 'was deleted meanwhile; gate-3f is ready'],
  ])('tells when one %s by somebody’s word', async (_, last, message) => {
    there = [gate(A, {state: 'wanted'}), gate(B, {state: 'wanted'})]
    course = [last]
    await expect(deployGates(session, wish)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `gate-4f ${message}`,
      suggestions: [expect.not.stringContaining('for an hour')],
    })
  })

  it('one that somebody drains meanwhile is made', async () => {
    there = inState('wanted')
    course = [inState('booting'), inState('draining')]
    expect((await deployGates(session, wish)).gates).toMatchObject([{id: A, state: 'draining'}])
  })

  it('one that is down has two minutes to come back', async () => {
    there = inState('wanted')
    course = [...Array.from({length: 500}, () => inState('down')), inState('new'), inState('down')]
    await expect(deployGates(session, wish)).rejects.toMatchObject({
      ...{code: 'BUSY', message: 'gate-3f is down for 120 s: no \\u001b[31mhost'},
    })
    expect(told).toContain('gate-3f is down (no \\u001b[31mhost), 99 s …')
    expect(clock.now - EPOCH).toBe((501 + 601) * 200)
  })

  it('does not wait for ever', async () => {
    there = inState('wanted')
    course = [[gate(A, {state: 'booting'})]]
    await expect(deployGates(session, wish)).rejects.toMatchObject({
      ...{code: 'BUSY', message: 'after 900 s gate-3f is booting'},
    })
  })
})

describe('one that is named', () => {
  const slips = ['gate', 'gate-3', A.slice(0, 8), '']

  it('may be shown by a beginning of it that is only its', async () => {
    expect(await findGate(session, '3f2a7c1e')).toMatchObject({id: A})
    expect(await findGate(session, 'gate-4f11')).toMatchObject({id: B})
    for (const slip of ['gate-4', '3f2'])
      await expect(findGate(session, slip)).rejects.toMatchObject({code: 'NOT_FOUND'})
    there.push(gate(A.replace(/1$/, '2')))
    await expect(findGate(session, '3f2a7c1e')).rejects.toMatchObject({code: 'AMBIGUOUS'})
  })

  it.each(slips)('is drained by its whole name only, not by %j', async slip => {
    await expect(drainGate(session, slip, true)).rejects.toMatchObject({code: 'NOT_FOUND'})
    expect(asked('POST')).toEqual([])
  })

  it.each(slips)('is deleted by its whole name only, not by %j', async slip => {
    await expect(deleteGate(session, slip, {sure: true})).rejects.toMatchObject({code: 'NOT_FOUND'})
    expect(asked('DELETE')).toEqual([])
  })

  it.each([true, false])('is drained: %s', async drain => {
    await drainGate(session, 'gate-3f', drain)
    expect(asked('POST')).toEqual([`POST /v1/gates/${A}/drain {"drain":${drain}}`])
  })
})

describe('delete', () => {
  it('asks once, and waits until it is gone', async () => {
    const [, other] = there
    course = [there, there, there, [other as Gate]]
    expect(await deleteGate(session, A, {sure: false})).toMatchObject({id: A})
    expect(asked('DELETE')).toEqual([`DELETE /v1/gates/${A}`])
    expect(told).toEqual(['deleting gate-3f …', 'deleting gate-3f …'])
  })

  it('cuts nobody’s path unless somebody is sure', async () => {
    there = [gate(A, {paths: 3})]
    course = [there, []]
    await expect(deleteGate(session, A, {sure: false})).rejects.toMatchObject({
      code: 'USAGE',
      message: 'this cuts 3 paths through gate-3f',
      suggestions: [expect.stringContaining(`os-ssh gate delete ${A} --yes`)],
    })
    expect(asked('DELETE')).toEqual([])
    course = [there, []]
    await deleteGate(session, A, {sure: true})
    expect(asked('DELETE')).toHaveLength(1)
  })

  it('is not for a VM that was only registered', async () => {
    there = [gate(A, {deployed: false})]
    await expect(deleteGate(session, A, {sure: true})).rejects.toMatchObject({
      ...{code: 'USAGE', suggestions: [`os-ssh gate remove ${A} forgets it`]},
    })
    expect(asked('DELETE')).toEqual([])
  })

  it('does not wait for ever', async () => {
    await expect(deleteGate(session, A, {sure: true})).rejects.toMatchObject({
      ...{code: 'BUSY', message: 'gate-3f is not gone yet; the service goes on'},
    })
    expect(clock.now - EPOCH).toBe(181_000)
  })
})

it('who may reach port 22 is shown and said', async () => {
  expect(await gateAccess(session)).toEqual(['::/0'])
  expect(await allowAccess(session, ['192.0.2.0/24'])).toEqual(['192.0.2.0/24'])
  expect(await usualAccess(session)).toEqual(['::/0'])
  expect(requests).toEqual([
    'GET /v1/gates/access',
    'PUT /v1/gates/access {"allow":["192.0.2.0/24"]}',
    'DELETE /v1/gates/access',
  ])
})
