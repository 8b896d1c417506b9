import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, beforeEach, expect, it} from '@jest/globals'

import {pathFiles} from '../../../src/access/path-files.ts'
import {listAllPaths, listPaths, revokeAll, revokeByWord, revokeMine} from '../../../src/access/paths.ts'
import type {Session} from '../../../src/access/session.ts'
import {OsSshError} from '../../../src/errors.ts'

/* Whose paths are asked for, and which are ended. */

const directory = mkdtempSync(join(tmpdir(), 'os-ssh-revoke-'))
afterAll(() => rmSync(directory, {recursive: true}))
const [VM, OTHER] = ['1', '2'].map(n => `3f2a7c1e-0000-4000-8000-00000000000${n}`) as [string, string]
const [ONE, TWO] = ['1', '2'].map(n => `bbbbbbbb-0000-4000-8000-00000000000${n}`) as [string, string]
const paths = [
  {id: ONE, server_id: VM, server_name: 'web', expires_at: '2026-11-24T12:00:00Z'},
  {id: TWO, server_id: OTHER, server_name: 'db', expires_at: '2026-11-24T12:00:00Z'},
]
let requests: string[]
let said: string[]
let broken: string | undefined
let there: unknown
const session = {
  directory,
  say: (line: string) => said.push(line),
  service: async () => ({
    async request(method: string, path: string) {
      requests.push(`${method} ${path}`)
      if (broken !== undefined && path.endsWith(broken)) throw new OsSshError('GATE_DOWN', 'no answer')
      return method === 'DELETE' ? {revoked: 3} : there
    },
  }),
} as unknown as Session
const kept = () => [VM, OTHER].filter(vm => existsSync(pathFiles(directory, vm).state))

beforeEach(() => {
  ;[requests, said, broken, there] = [[], [], undefined, {paths}]
  for (const vm of [VM, OTHER]) writeFileSync(pathFiles(directory, vm).state, '1 a 22 g 1 p 1\n')
})

it('one’s own are asked for without a word of anybody else', async () => {
  expect(await listPaths(session)).toEqual(paths)
  expect(requests).toEqual(['GET /v1/paths'])
})

it('everybody’s are asked for as such, with who is meant', async () => {
  await listAllPaths(session, {})
  await listAllPaths(session, {user_id: 'a b&all=false', server_id: VM, project_id: undefined})
  expect(requests).toEqual([
    'GET /v1/paths?all=true',
    `GET /v1/paths?user_id=a+b%26all%3Dfalse&server_id=${VM}&all=true`,
  ])
})

it('those of a user, a VM or a project are ended at once, and counted', async () => {
  expect(await revokeAll(session, {user_id: 'u', server_id: undefined, project_id: 'p&user_id=x'})).toBe(3)
  expect(requests).toEqual(['DELETE /v1/paths?user_id=u&project_id=p%26user_id%3Dx'])
  // Nobody's paths are ended by a machine that happens to have some, too.
  expect(kept()).toEqual([VM, OTHER])
})

it('all of one’s own are ended one by one, and forgotten here', async () => {
  expect(await revokeMine(session)).toBe(`revoked ${ONE} to ${VM}\nrevoked ${TWO} to ${OTHER}`)
  expect(requests).toEqual(['GET /v1/paths', `DELETE /v1/paths/${ONE}`, `DELETE /v1/paths/${TWO}`])
  expect(kept()).toEqual([])
  there = {paths: []}
  expect(await revokeMine(session)).toBe('there is no path to end')
})

it('one that cannot be ended is a fault, stays here, and keeps none of the others', async () => {
  broken = ONE
  await expect(revokeMine(session)).rejects.toMatchObject({code: 'GATE_DOWN', message: 'no answer'})
  expect(said).toEqual([`revoked ${TWO} to ${OTHER}`])
  expect(kept()).toEqual([VM])
})

it('a word that names nothing ends nothing', async () => {
  for (const word of ['nope', '', 'bbb', '3f2'])
    await expect(revokeByWord(session, word)).rejects.toMatchObject({code: 'NOT_FOUND'})
  await expect(revokeByWord(session, '3f2a')).rejects.toMatchObject({code: 'AMBIGUOUS'})
  expect(requests.filter(one => !one.startsWith('GET'))).toEqual([])
  expect(kept()).toEqual([VM, OTHER])
})

it('an answer that would lead elsewhere is nonsense, and nothing is ended by it', async () => {
  there = {paths: [{...paths[0], id: '../gates/x'}]}
  await expect(revokeMine(session)).rejects.toMatchObject({
    ...{code: 'SERVICE_DOWN', message: 'the SSH service answered nonsense: paths'},
  })
  expect(requests).toEqual(['GET /v1/paths'])
})
