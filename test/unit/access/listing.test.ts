import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, it} from '@jest/globals'

import {listVms, whoAmI} from '../../../src/access/listing.ts'
import {pathFiles} from '../../../src/access/path-files.ts'
import type {Session} from '../../../src/access/session.ts'
import {serviceStatus} from '../../../src/access/status.ts'
import {OsSshError} from '../../../src/errors.ts'

/* What a user is shown of VMs, of themselves and of the service. */

const directory = mkdtempSync(join(tmpdir(), 'os-ssh-l-'))
afterAll(() => rmSync(directory, {recursive: true}))
const uuid = (n: number) => `3f2a7c1e-0000-4000-8000-00000000000${n}`
const servers = [
  {id: uuid(3), name: 'web', status: 'ACTIVE', addresses: {a: [{addr: '10.0.0.3'}], b: [{addr: 'fd00::3'}]}},
  {id: uuid(2), name: 'web', status: 'SHUTOFF'},
  {id: uuid(1), name: 'db', status: 'ACTIVE', addresses: {}},
]
let endpoint: string
const session = {
  ...{name: 'lab', directory, env: {HOME: directory}, keychain: {kind: 'agent'}},
  during: <T>(_: string, work: Promise<T>) => work,
  cloud: {compute: {servers: async () => servers}},
  token: async () => ({
    ...{user: {id: 'u', name: 'alice'}, project: undefined, roles: ['member'], id: 'secret'},
    expires_at: new Date('2026-11-24T12:00:00Z'),
  }),
  async service() {
    if (endpoint === '') throw new OsSshError('SERVICE_DOWN', 'none')
    const request = async (_: string, path: string) =>
      path === '/v1/gates' ? {gates: ['g']} : {id: 's', path}
    return {endpoint, request}
  },
} as unknown as Session

it('VMs are listed by name, then id, with the paths that have not ended', async () => {
  const now = Math.floor(Date.now() / 1000)
  const path = (n: number, expires: number) =>
    writeFileSync(pathFiles(directory, uuid(n)).state, `1 100.64.0.16 22 gate ${expires} path 1\n`)
  path(1, now - 1)
  path(2, now + 60)
  expect(await listVms(session)).toEqual([
    {id: uuid(1), name: 'db', status: 'ACTIVE', addresses: [], path_until: null},
    {
      ...{id: uuid(2), name: 'web', status: 'SHUTOFF', addresses: []},
      path_until: new Date((now + 60) * 1000).toISOString(),
    },
    {id: uuid(3), name: 'web', status: 'ACTIVE', addresses: ['10.0.0.3', 'fd00::3'], path_until: null},
  ])
})

it('who one is has no secret in it, and no service is no fault', async () => {
  endpoint = ''
  expect(await whoAmI(session)).toEqual({
    ...{cloud: 'lab', user: 'alice', user_id: 'u', project: null, roles: ['member'], service: null},
    ...{token_expires_at: '2026-11-24T12:00:00.000Z', keychain: 'agent', public_key: null},
  })
})

it.each([
  ['https://ssh.example', 'shared'],
  ['unix:/run/other/service.sock', 'shared'],
  [`unix:${directory}/service.sock`, 'own'],
])('the service at %s is %s, and is looked at as it is now', async (where, kind) => {
  endpoint = where
  expect(await serviceStatus(session)).toEqual({
    service: {id: 's', path: '/v1/service?fresh=true', endpoint: where, kind},
    gates: ['g'],
  })
})
