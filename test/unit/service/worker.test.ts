import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeAll, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import {OsSshError} from '../../../src/errors.ts'
import {type CertificateAuthority, openCa} from '../../../src/service/ca/ca.ts'
import type {ServiceContext} from '../../../src/service/context.ts'
import {Copy} from '../../../src/service/copy.ts'
import {GateWorker} from '../../../src/service/gates/worker.ts'
import {Leases} from '../../../src/service/leases.ts'
import {attachment} from '../../../src/service/store/attachments.ts'
import {gate} from '../../../src/service/store/gates.ts'
import {instanceOf} from '../../../src/service/store/instance.ts'
import {takeLease} from '../../../src/service/store/leases.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path} from '../../../src/service/store/paths.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* Rounds of a gate: the store is real, time and what the gate answers are the test's. The scripts themselves are in render and e2e. */

const [SERVICE, STRANGER] = [1, 2].map(n => `00000000-0000-4000-9000-00000000000${n}`)
const [PATH, OTHER] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002']
const home = mkdtempSync(join(tmpdir(), 'os-ssh-worker-'))
let db: Store
let ca: CertificateAuthority
let now: number
let worker: GateWorker
/** Scripts that the gate was given, by what they are. */
let sent: string[]
let scripts: string[]
/** What it says to the state that it is given. */
let answer: () => {status: number; stdout: string; stderr: string}
/** In how many ms it wants another round, and what it wants done beside. */
let woken: number[]
let jobs: string[]
let lost: () => void

const applied = (lines = '', seconds = Math.floor(now / 1000)) => ({
  status: 0,
  stdout: `${lines}applied ${seconds}\n`,
  stderr: '',
})

function kind(script: unknown): string {
  if (typeof script !== 'string') return 'probes'
  if (!script.includes('principals')) return 'accounts'
  const namespaces = [...script.matchAll(/ns=(os-ssh-\d+)/g)].map(([, name]) => name)
  const parts = [script.includes('user_ca.pub') ? 'base' : '', ...namespaces]
  return ['state', ...parts].filter(part => part !== '').join(' ')
}

beforeAll(async () => {
  ca = await openCa(join(home, 'ca'))
})
afterAll(() => rmSync(home, {recursive: true}))
beforeEach(async () => {
  db = await openStore(':memory:')
  now = Date.UTC(2026, 10, 25)
  ;[sent, scripts, woken, jobs] = [[], [], [], []]
  answer = applied
  worker = made()
  await gateRow(db, {
    state: 'new',
    host_key: generateKeyPair('gate').publicKey.split(' ').slice(0, 2).join(' '),
  })
})

function made(): GateWorker {
  const connect: ServiceContext['connect'] = (_, onLost) => {
    lost = onLost
    return {
      close: () => undefined,
      // Nothing ever answers.
      forward: async () => Promise.reject(new Error('not here')),
      reach: () => {
        sent.push('probe')
        return new Promise(() => undefined)
      },
      async run(script) {
        sent.push(kind(script))
        scripts.push(String(script))
        return kind(script).startsWith('state') ? answer() : {status: 0, stdout: '', stderr: ''}
      },
    }
  }
  const context = {
    ...{db, ca, connect, clock: () => now, log: pino({level: 'silent'})},
    jobs: {later: (ms: number) => woken.push(ms), once: (name: string) => jobs.push(name)},
    events: {emit: () => undefined},
    serviceId: SERVICE,
    ...{by: 'ops on here', copy: new Copy(db, {id: '99999999-0000-4000-8000-000000000000'})},
    leases: new Leases(db, 'replica', () => now),
  }
  return new GateWorker('g', context as unknown as ServiceContext)
}
afterEach(async () => {
  worker.close()
  await db.destroy()
})

const plugged = {mac: 'fa:16:3e:00:00:01', addresses: ['10.0.0.2/24'], state: 'plugged'} as const
const round = async () => {
  sent = []
  await worker.wake()
  return sent
}

it('gives a gate its whole state once, and then only what has changed', async () => {
  expect(await round()).toEqual(['accounts', 'state base'])
  expect((await gate(db, 'g'))?.state).toBe('ready')
  expect(await round()).toEqual([])
  await attachmentRow(db, plugged)
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).toEqual(['state os-ssh-0'])
  expect((await attachment(db, 'a'))?.state).toBe('ready')
  expect(await round()).toEqual([])
  await pathRow(db, {id: PATH, state: 'active'})
  expect(await round()).toEqual(['state'])
  expect(scripts.at(-1)).toContain('nft_in os-ssh-0 <<')
  expect(await round()).toEqual([])
})

it('gives a gate the CAs again when they have changed, and the certificate of the one that signs', async () => {
  const cas = [ca.userCas[0] ?? '', generateKeyPair('next').publicKey]
  const own = ca
  const changing = {
    userCas: [cas[0] ?? ''],
    hostCas: own.hostCas,
    signPath: own.signPath,
    signGate: own.signGate,
  }
  ca = changing
  worker.close()
  worker = made()
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH, state: 'active'})
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
  changing.userCas = cas
  // The guard comes with it, and is empty: so does all that shall be in it.
  expect(await round()).toEqual(['state base os-ssh-0'])
  expect(scripts.at(-1)).toContain(`path-${PATH}`)
  expect(scripts.at(-1)).toMatch(/add element inet os_ssh paths4 { osp0000/)
  expect(scripts.at(-1)).toContain(`<<'END'\n${cas.join('\n')}\nEND\n`)
  expect(await round()).toEqual([])
  ca = own
})

it('what is to be forgotten while the gate is told is forgotten', async () => {
  await attachmentRow(db, plugged)
  answer = () => applied('attachment 0 ready\n')
  await round()
  await pathRow(db, {id: PATH, state: 'active'})
  answer = () => {
    worker.forget()
    return applied()
  }
  expect(await round()).toEqual(['state'])
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
  expect(scripts.at(-1)).toContain(`path-${PATH}`)
})

it('who has lost the lease meanwhile says nothing of the gate or its paths', async () => {
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH})
  answer = () => {
    now += 10_001
    throw new OsSshError('GATE_DOWN', 'the connection was lost')
  }
  const taken = db.updateTable('leases').set({owner: 'another', until: 9e15, fence: 2})
  const connected = answer
  answer = () => {
    void taken.execute()
    return connected()
  }
  await round()
  expect((await gate(db, 'g'))?.state).toBe('new')
  expect((await path(db, PATH))?.state).toBe('pending')
})

it('after a loss it comes with a larger number: what was on its way may still be applied', async () => {
  const fences = () => [...scripts.join('\n').matchAll(/run_by \S+ (\d+) /g)].map(([, n]) => Number(n))
  await round()
  lost()
  await round()
  expect(fences()).toEqual([1, 2])
})

it('has an account for every path before the state names it, however sudden the crowd', async () => {
  const made = () => Math.max(...[...scripts.join('\n').matchAll(/^osp(\d{4})$/gm)].map(([, n]) => Number(n)))
  await round()
  expect(made()).toBe(127)
  for (let n = 0; n < 150; n++)
    await pathRow(db, {
      ...{
        id: PATH.replace(/1$/, String(n).padStart(3, '0')).slice(-36),
        login: `osp${String(n).padStart(4, '0')}`,
      },
      ...{alias: `100.64.1.${n}`, fingerprint: `f${n}`},
    })
  expect(await round()).toEqual(['accounts', 'state'])
  expect(made()).toBe(255)
})

it('gives it all again after the connection was lost, and when it is told to', async () => {
  await attachmentRow(db, plugged)
  answer = () => applied('attachment 0 ready\n')
  await round()
  lost()
  expect(woken).toEqual([1000])
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
  worker.forget()
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
})

it.each([
  [
    'says that it could not',
    () => ({status: 1, stdout: '', stderr: 'no nft'}),
    'the gate could not be configured: no nft',
  ],
  [
    'stops in the middle',
    () => ({status: 0, stdout: 'attachment 0 ready\n', stderr: ''}),
    'the gate could not be configured: ',
  ],
  [
    'does not answer',
    () => {
      throw new OsSshError('GATE_DOWN', 'the gate did not finish within 60 s')
    },
    'the gate did not finish within 60 s',
  ],
])('a gate that %s is down until it does', async (_, how, reason) => {
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH})
  answer = how
  await round()
  expect(await gate(db, 'g')).toMatchObject({state: 'down', reason})
  expect(await path(db, PATH)).toMatchObject({state: 'failed', error: {code: 'GATE_DOWN', message: reason}})
  expect(woken).toEqual([5000])
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
  expect(await gate(db, 'g')).toMatchObject({state: 'ready', reason: null})
})

it('waits for an interface that Nova has promised, 20 s and no longer', async () => {
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH})
  const established = {state: 'active', user_id: 'v', alias: '100.64.0.17', login: 'osp0001'} as const
  await pathRow(db, {...established, id: OTHER})
  answer = () => applied('attachment 0 nic-missing\n')
  await round()
  now += 19_000
  await round()
  expect(woken).toEqual([100, 100])
  expect((await path(db, PATH))?.state).toBe('pending')
  now += 1000
  await round()
  const error = {code: 'NIC_MISSING', message: 'the network interface did not appear in the gate'}
  expect(await path(db, PATH)).toMatchObject({state: 'failed', error})
  // It may be back: whose path was there does not lose it.
  expect(await path(db, OTHER)).toMatchObject({state: 'active', error: undefined})
})

it.each<[string, Error, string, string]>([
  ['the gate', new OsSshError('GATE_DOWN', 'no answer'), 'down', 'failed'],
  ['the database', new OsSshError('SERVICE_DOWN', 'no answer'), 'ready', 'pending'],
  ['a mistake of ours', new Error('x is not a function'), 'ready', 'pending'],
])(
  'what %s says ends no path that is established, and only a gate makes one fail',
  async (_, error, is, becomes) => {
    await round()
    await attachmentRow(db, plugged)
    await pathRow(db, {id: PATH})
    const established = {state: 'active', user_id: 'v', alias: '100.64.0.17', login: 'osp0001'} as const
    await pathRow(db, {...established, id: OTHER})
    answer = () => {
      throw error
    }
    await round()
    expect([(await gate(db, 'g'))?.state, (await path(db, PATH))?.state]).toEqual([is, becomes])
    expect((await path(db, OTHER))?.state).toBe('active')
  },
)

it('probes the VM once its attachment is ready and its port is in the VM’s groups, not before', async () => {
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH, groups: ['sg']})
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).not.toContain('probe')
  await db.insertInto('attachment_groups').values({attachment_id: 'a', group_id: 'sg', own: 0}).execute()
  expect(await round()).toContain('probe')
})

it('tries nothing by an attachment that was ready and is not any more', async () => {
  await attachmentRow(db, plugged)
  answer = () => applied('attachment 0 ready\n')
  await round()
  await pathRow(db, {id: PATH})
  // The gate is not as it was left: it gets the whole state again.
  answer = () => ({status: 0, stdout: 'stale\n', stderr: ''})
  expect(await round()).toEqual(['state'])
  expect(woken).toEqual([0])
  answer = () => applied('attachment 0 nic-missing\n')
  expect(await round()).toEqual(['accounts', 'state base os-ssh-0'])
  answer = () => applied('attachment 0 ready\n')
  expect(await round()).toEqual(['state os-ssh-0', 'probe'])
})

it.each(['ended', 'failed'] as const)(
  'a path that has %s is cut when the gate has said so, and its account rests 35 s',
  async state => {
    await attachmentRow(db, {...plugged, state: 'ready'})
    await pathRow(db, {id: PATH, state})
    await round()
    expect(scripts.at(-1)).toContain('pkill -KILL -u osp0000\n')
    expect(await path(db, PATH)).toMatchObject({state: 'cut', cut_at: now})
    // A login may be under way for longer than sshd waits for it: nobody else gets the account before.
    const [, grace = ''] = /^LoginGraceTime (\d+)$/m.exec(scripts.join('\n')) ?? []
    expect(Number(grace)).toBe(30)
    now += 34_999
    await round()
    expect((await path(db, PATH))?.state).toBe('cut')
    now += 1
    await round()
    // Once more: what came through meanwhile is not the next one's.
    expect(scripts.at(-1)).toContain('pkill -KILL -u osp0000\n')
    expect((await path(db, PATH))?.state).toBe('released')
  },
)

const nothing = {status: 0, stdout: '', stderr: ''}
it.each([
  ['fails', () => ({...nothing, status: 1})],
  ['fails at the very end', () => ({...applied(), status: 1})],
  ['stops in the middle', () => nothing],
  ['is not as it was left', () => ({...nothing, stdout: 'stale\n'})],
  ['is another service’s', () => ({...nothing, stdout: `held ${STRANGER} 3\n`})],
  ['has heard of a later lease', () => ({...nothing, stdout: `held ${SERVICE} 41\n`})],
  [
    'is lost',
    () => {
      lost()
      throw new OsSshError('GATE_DOWN', 'the management connection to the gate was lost')
    },
  ],
])('while the gate %s no path is cut and no account is anybody else’s', async (_, how) => {
  await pathRow(db, {id: PATH, state: 'ended', attachment_id: ''})
  await pathRow(db, {id: OTHER, state: 'cut', cut_at: now - 99_999, alias: '100.64.0.17', login: 'osp0001'})
  answer = how
  await round()
  const states = async () =>
    [await path(db, PATH), await path(db, OTHER)].map(one => [one?.state, one?.cut_at])
  expect(await states()).toEqual([
    ['ended', null],
    ['cut', now - 99_999],
  ])
  answer = applied
  await round()
  // What it was told then may have reached it or not: all of it comes again.
  expect(sent).toEqual(['accounts', 'state base'])
  expect(await states()).toEqual([
    ['cut', now],
    ['released', now - 99_999],
  ])
})

it.each(['wanted', 'plugged', 'ready'] as const)('lets go of no network that is %s', async state => {
  await attachmentRow(db, {...plugged, state})
  answer = () => applied(state === 'wanted' ? '' : 'attachment 0 ready\n')
  await round()
  expect([jobs, (await attachment(db, 'a'))?.state]).toEqual([[], state === 'plugged' ? 'ready' : state])
})

it('lets go of a network only when the gate has forgotten it', async () => {
  await attachmentRow(db, {...plugged, state: 'removing'})
  answer = () => ({status: 1, stdout: '', stderr: ''})
  await round()
  expect(jobs).toEqual([])
  answer = applied
  await round()
  expect(jobs).toEqual(['port a'])
})

/** A round that looks at everything. */
const whole = () => {
  worker.forget()
  return round()
}

it('knows how far the gate’s clock is ahead, where that matters', async () => {
  answer = () => applied('', now / 1000 + 2)
  await whole()
  expect((await gate(db, 'g'))?.clock_skew).toBe(0)
  answer = () => applied('', now / 1000 - 3600)
  await whole()
  expect((await gate(db, 'g'))?.clock_skew).toBe(-3_600_000)
  answer = applied
  await whole()
  expect((await gate(db, 'g'))?.clock_skew).toBe(0)
})

it('says nothing of a gate that was removed meanwhile', async () => {
  await db.deleteFrom('gates').execute()
  expect(await round()).toEqual([])
})

it('does nothing to a gate whose lease another replica has', async () => {
  await takeLease(db, 'gate g', 'another', {now, life: 10_000})
  expect(await round()).toEqual([])
  now += 10_001
  expect(await round()).toEqual(['accounts', 'state base'])
})

it('a gate that has heard of a later lease is let go, unless that one was ours before the database was restored', async () => {
  await round()
  const fences = () =>
    [...scripts.join('\n').matchAll(/run_by (\S+) (\d+) /g)].map(([, id, n]) => [id, Number(n)])
  expect(fences()).toEqual([[SERVICE, 1]])
  await attachmentRow(db, plugged)
  answer = () => ({status: 0, stdout: `held ${SERVICE} 41\n`, stderr: ''})
  await round()
  answer = applied
  await round()
  expect(fences().at(-1)).toEqual([SERVICE, 42])
  expect((await gate(db, 'g'))?.state).toBe('ready')
  // Here it is really somebody else's by now.
  await db
    .updateTable('leases')
    .set({owner: 'another', until: now + 99_999, fence: 50})
    .execute()
  await pathRow(db, {id: PATH})
  answer = () => ({status: 0, stdout: `held ${SERVICE} 50\n`, stderr: ''})
  await round()
  expect(await round()).toEqual([])
  expect((await path(db, PATH))?.state).toBe('pending')
})

it('a gate that a later copy of this service runs is left alone, for good, and who waits is told by whom', async () => {
  await attachmentRow(db, plugged)
  await pathRow(db, {id: PATH})
  answer = () => ({status: 0, stdout: `held ${SERVICE} 1000001 ${STRANGER} bob on b\n`, stderr: ''})
  await round()
  expect((await path(db, PATH))?.error).toMatchObject({
    code: 'MOVED',
    message: 'the gates of this service are run by bob on b now',
  })
  answer = applied
  expect(await round()).toEqual([])
  expect(await instanceOf(db)).toMatchObject({takenBy: 'bob on b'})
})

it('a gate that another service runs is not touched, and that is said by its id', async () => {
  answer = () => ({status: 0, stdout: `held ${STRANGER} 3\n`, stderr: ''})
  await round()
  expect(await gate(db, 'g')).toMatchObject({
    state: 'down',
    reason: `the gate is run by the SSH service ${STRANGER}`,
  })
})

it('a gate that answers a new connection is believed when it has its whole state', async () => {
  await round()
  sent = []
  await worker.check()
  expect(sent).not.toContain('state base')
  lost()
  await worker.check()
  expect(sent).toContain('state base')
})
