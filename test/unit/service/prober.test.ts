import {type ChildProcess, spawn} from 'node:child_process'
import {once} from 'node:events'
import {createInterface} from 'node:readline'
import type {Readable} from 'node:stream'

import {afterEach, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {ServiceContext} from '../../../src/service/context.ts'
import type {GateConnection} from '../../../src/service/gates/connection.ts'
import {Prober} from '../../../src/service/gates/prober.ts'
import type {Probe} from '../../../src/service/gates/render.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {path as pathById} from '../../../src/service/store/paths.ts'
import type {PathRow} from '../../../src/service/store/schema.ts'
import {attachmentRow, gateRow, pathRow} from '../../support/rows.ts'

/* The prober with a real shell, on this machine instead of a gate. */

let db: Store
let shells: ChildProcess[]
let told: string[]
let hear: () => void
let now = 0

/** As GateConnection.run, without the gate; and as sshd, which admits so many sessions. */
const link = {
  async run(script: string | Readable, onLine: (line: string) => void) {
    if (shells.length === 10) throw new Error('MaxSessions')
    const shell = spawn('sh', ['-s'], {stdio: ['pipe', 'pipe', 'inherit'], detached: true})
    shells.push(shell)
    createInterface({input: shell.stdout}).on('line', onLine)
    if (typeof script === 'string') shell.stdin.end(script)
    else script.pipe(shell.stdin)
    await once(shell, 'close')
  },
  reach: async () => 'unknown',
} as unknown as GateConnection

beforeEach(async () => {
  db = await openStore(':memory:')
  shells = []
  told = []
  hear = () => undefined
  await gateRow(db)
  await attachmentRow(db, {state: 'ready', wired_at: 1})
})
afterEach(async () => {
  for (const {pid, exitCode, signalCode} of shells)
    if (pid && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL')
  await db.destroy()
})

function prober(): Prober {
  const tell = (id: string) => {
    told.push(id)
    hear()
  }
  const context = {
    db,
    log: pino({level: 'silent'}),
    clock: () => now,
    events: {emit: tell},
  }
  return new Prober(context as unknown as ServiceContext, () => undefined)
}

/** A path to an alias that answers, by a refusal at least, or to one of no link, which no connection leads to. */
async function path(n: number, answers: boolean) {
  const id = `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
  const alias = answers ? `127.0.0.${n}` : `fe80::${n}`
  await pathRow(db, {id, alias, login: `osp${String(n).padStart(4, '0')}`, fingerprint: `f${n}`})
  return (await pathById(db, id)) as PathRow
}

const until = async (n: number) => {
  while (told.length < n) await new Promise<void>(resolve => (hear = resolve))
}

it('VMs that do not answer hold up nobody, however many', async () => {
  const one = prober()
  for (let n = 1; n <= 20; n++) {
    one.probe(link, [{path: await path(n, false), seconds: 20}])
    // Each comes in a round of its own.
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  const alive = await path(21, true)
  one.probe(link, [{path: alive, seconds: 20}])
  await until(1)
  expect(told).toEqual([alive.id])
  expect(shells).toHaveLength(1)
})

it('a path is probed once at a time, and the session ends with its last', async () => {
  const one = prober()
  const probe = {path: await path(1, true), seconds: 20}
  one.probe(link, [probe])
  one.probe(link, [probe])
  await until(1)
  if (shells[0]?.exitCode === null) await once(shells[0], 'close')
  expect(told).toEqual([probe.path.id])
  // Asked again afterwards, it is a new probe.
  await db.updateTable('paths').set({state: 'pending'}).execute()
  one.probe(link, [probe])
  await until(2)
  expect(shells).toHaveLength(2)
})

it('what a lost session did not answer may be asked again', async () => {
  const one = prober()
  const dead = {path: await path(1, false), seconds: 20}
  one.probe(link, [dead])
  while (shells[0]?.pid === undefined) await new Promise(resolve => setTimeout(resolve, 5))
  process.kill(-shells[0].pid, 'SIGKILL')
  await once(shells[0], 'close')
  await new Promise(resolve => setImmediate(resolve))
  one.probe(link, [dead])
  await new Promise(resolve => setImmediate(resolve))
  expect(shells).toHaveLength(2)
  expect(told).toEqual([])
})

it('a path that has become active meanwhile is not failed by a late answer', async () => {
  const late = await path(1, false)
  await db.updateTable('paths').set({state: 'active'}).execute()
  prober().probe(link, [{path: late, seconds: 0}])
  while (shells[0] === undefined) await new Promise(resolve => setTimeout(resolve, 5))
  await once(shells[0], 'close')
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(told).toEqual([])
})

it('a VM that has just answered is not asked for the next path, but again after 10 s, a failure or a loss', async () => {
  const asked: string[] = []
  let status = 0
  const scripted = {
    reach: async () => 'unknown',
    // Answers each probe as it is told of it.
    async run(input: Readable, onLine: (line: string) => void) {
      for await (const chunk of input)
        for (const [, id = ''] of String(chunk).matchAll(/^probe (\S{36})/gm)) {
          asked.push(id)
          onLine(`probe ${id} ${status}`)
        }
    },
  } as unknown as GateConnection
  const one = prober()
  let n = 30
  let fresh: Probe['fresh']
  /** Whether the next path to the one VM is tried. */
  const tried = async () => {
    const next = await path(++n, true)
    const [before, heard] = [asked.length, told.length]
    one.probe(scripted, [{path: next, seconds: 5, ...(fresh && {fresh})}])
    await until(heard + 1)
    await new Promise(resolve => setImmediate(resolve))
    return asked.length > before
  }
  expect([await tried(), await tried()]).toEqual([true, false])
  expect((await pathById(db, told.at(-1) ?? ''))?.state).toBe('active')
  now += 10_001
  expect([await tried(), await tried()]).toEqual([true, false])
  one.forget()
  status = 1
  expect([await tried(), await tried()]).toEqual([true, true])
  // A port that was changed since is another one, until the VM has answered that.
  status = 0
  await tried()
  fresh = {slot: 0, mac: 'fa:16:3e:00:00:01', wired_at: now + 1}
  expect(await tried()).toBe(true)
  now += 1
  expect([await tried(), await tried()]).toEqual([true, false])
})
