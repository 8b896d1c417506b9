import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterEach, beforeEach, describe, expect, it} from '@jest/globals'

import {counts, gateOf} from '../../support/own-gates.ts'
import {gate, OwnFake, PROJECT, SERVICE, THEIRS} from './own-fake.ts'

const {beginDestroy, destroy} = await import('../../../src/access/destroy.ts')
const {newKeys} = await import('../../../src/embedded/keys.ts')
const {readMark, writeMark} = await import('../../../src/embedded/mark.ts')

/* What destroy takes away, and what it keeps because it is somebody else's. */

let home: string
let own: OwnFake
const mark = {service: SERVICE, project: PROJECT}
const keys = newKeys()
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), 'os-ssh-d-'))
  mkdirSync(`${home}/run`, {mode: 0o700})
  own = new OwnFake(home)
  await writeMark(own.place, mark)
  own.secrets.set('service:mine', JSON.stringify(keys))
  own.secrets.set('token:mine', 'kept')
  gateOf(own.cloud, SERVICE, 'gate-1')
  gateOf(own.cloud, THEIRS, 'gate-7')
})
afterEach(() => {
  own.stop()
  rmSync(home, {recursive: true})
})

const asked = (start: string) => own.requests.filter(one => one.startsWith(start))
const names = () => own.cloud.alive().map(({name}) => name)
const goes = async (other?: string) => destroy(own.session, await beginDestroy(own.session, other))
/** What is left of it on this machine. */
const here = () => ({
  ...{state: existsSync(own.place.state), secrets: [...own.secrets.keys()], runs: own.runs},
})
const GONE = {state: false, secrets: ['token:mine'], runs: false}
const KEPT = {state: true, secrets: ['service:mine', 'token:mine'], runs: false}

describe('what it is about', () => {
  it('is what the service has made in this project, and nothing is touched', async () => {
    const {service, traces, mark: found} = await beginDestroy(own.session)
    expect([service, found]).toEqual([SERVICE, mark])
    expect(traces.map(({kind}) => kind)).toEqual([
      ...['server', 'floating IP', 'port', 'port', 'security group', 'server group'],
    ])
    expect(counts(own.cloud)).toEqual([2, 2, 4, 2, 2])
    expect(own.requests).toEqual([])
  })

  it('is nothing where init was not done', async () => {
    rmSync(own.place.state, {recursive: true})
    await expect(beginDestroy(own.session)).rejects.toMatchObject({
      ...{code: 'NOT_FOUND', exit: 66, message: 'there are no gates of your own in cloud mine'},
      suggestions: ['os-ssh init makes some'],
    })
  })

  it.each([{id: 'p2', name: 'other'}, undefined])('is not gates of another project: %j', async project => {
    own.project = project
    await expect(goes()).rejects.toMatchObject({
      ...{code: 'CONFIG', message: 'your gates are in project shop, and you are not'},
    })
    expect(here()).toEqual(KEPT)
    expect(names()).toEqual(['gate-1', 'gate-7'])
  })
})

it('all of it goes, here and in the cloud, and of nobody else’s anything', async () => {
  writeFileSync(`${home}/run/service.err`, 'last words')
  expect(await goes()).toBeUndefined()
  expect(names()).toEqual(['gate-7'])
  expect(counts(own.cloud)).toEqual([1, 1, 2, 1, 1])
  expect(here()).toEqual(GONE)
  expect(readdirSync(`${home}/run`)).toEqual([])
})

it('a VM that was only registered is told and stays, what was made is not taken out one by one', async () => {
  own.gates = [gate('made'), gate('mine', {deployed: false})]
  await goes()
  expect(asked('DELETE')).toEqual(['DELETE /v1/gates/id-mine'])
  // The service has looked whether it still has its gates, and has left before anything was taken.
  expect(own.requests[0]).toBe('GET /v1/service?fresh=true')
  expect(own.requests.at(-1)).toBe('POST /v1/service/leave')
})

it('that it has begun is written down before anything goes, and then nobody starts the service any more', async () => {
  const seen: unknown[] = []
  own.cloud.cut = async (_, call) => {
    if (call.startsWith('delete')) seen.push(await readMark(own.place), own.runs)
    return call === 'deletePort' ? new Error('the line is cut') : undefined
  }
  await expect(goes()).rejects.toThrow('the line is cut')
  expect(seen.slice(0, 2)).toEqual([{...mark, ending: true}, false])
  expect(here()).toEqual(KEPT)
  const {ownService} = await import('../../../src/access/own-service.ts')
  await expect(ownService(own.session)).rejects.toMatchObject({
    ...{code: 'CONFIG', message: 'the gates of this project are being taken away'},
    suggestions: ['os-ssh destroy goes on with that'],
  })
  const starts = own.starts.length
  own.cloud.revive()
  await goes()
  expect([own.starts.length, names(), here()]).toEqual([starts, ['gate-7'], GONE])
})

it('gates that another machine runs by now stay, and only this machine forgets them', async () => {
  own.before = (_, path) =>
    path.startsWith('/v1/service?')
      ? {status: 409, body: {code: 'MOVED', detail: 'bob runs them'}}
      : undefined
  expect(await goes()).toBe('bob runs them')
  expect(names()).toEqual(['gate-1', 'gate-7'])
  expect(counts(own.cloud)).toEqual([2, 2, 4, 2, 2])
  expect(own.cloud.calls.filter(call => call.startsWith('delete'))).toEqual([])
  expect(here()).toEqual(GONE)
})

it('a service that cannot be asked is not waited for', async () => {
  own.secrets.delete('service:mine')
  expect(await goes()).toBeUndefined()
  expect(own.said).toEqual([
    'the service does not say what it has: the keys of the gates are not in the keychain (system)',
  ])
  expect([names(), here()]).toEqual([['gate-7'], GONE])
})

it('what another machine has left is taken away, and one’s own service stays and is not asked', async () => {
  expect(await goes(THEIRS)).toBeUndefined()
  expect(names()).toEqual(['gate-1'])
  expect(counts(own.cloud)).toEqual([1, 1, 2, 1, 1])
  expect(here()).toEqual(KEPT)
  expect(await readMark(own.place)).toEqual(mark)
  expect(own.starts).toEqual([])
})

it('one’s own by its id is one’s own', async () => {
  await goes(SERVICE)
  expect([names(), here()]).toEqual([['gate-7'], GONE])
})

it('paths through these gates are forgotten, and connections that were kept open are closed', async () => {
  const [vm, before] = ['3f2a7c1e-0000-4000-8000-000000000001', process.env['PATH']]
  for (const end of ['.path', '.conf', '.known', '-cert.pub', '.pub', '.ssh'])
    writeFileSync(`${home}/run/${vm}${end}`, end === '.path' ? '9 100.64.0.16 22 gate 9 path 1\n' : '')
  writeFileSync(`${home}/ssh`, `#!/bin/sh\necho "$@" >>'${home}/closed'\n`, {mode: 0o700})
  process.env['PATH'] = `${home}:${before}`
  await goes()
  process.env['PATH'] = before
  expect(readFileSync(`${home}/closed`, 'utf8')).toBe(`-F ${home}/run/${vm}.conf -O exit gate\n`)
  expect(readdirSync(`${home}/run`)).toEqual([])
})
