import {mkdtempSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {request} from 'node:http'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {OpenStack, Token} from '../../../src/openstack/index.ts'
import {openCa} from '../../../src/service/ca/ca.ts'
import {createService, type RunningService, type ServiceConfig} from '../../../src/service/index.ts'
import {noteTaken} from '../../../src/service/store/instance.ts'
import {openStore, type Store} from '../../../src/service/store/open.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {gateRow, pathRow} from '../../support/rows.ts'

/* The service as a whole, on a socket and a database of its own: what its configuration and its copies change. */

const home = mkdtempSync(join(tmpdir(), 'os-ssh-running-'))
const managementKey = generateKeyPair('k').privateKey
let service: RunningService | undefined
let file: string
let until: number | undefined
/** Projects of whose admin role the tokens speak, by the tokens. */
const project = (secret: string) => secret.replace(/^token-of-admin-of-/, '')
const cloud = {
  identity: {
    token: async () => ({project: {id: 'infra', name: 'infra'}}),
    validate: async (secret: string) => ({
      ...{id: secret, user: {id: 'u', name: 'alice'}, roles: ['admin'], catalog: []},
      ...{project: {id: project(secret), name: 'x'}, expires_at: new Date(Date.now() + 60_000)},
    }),
    get until() {
      return until
    },
  },
  as: () => cloud,
  network: {ports: async () => [], networks: async () => []},
} as unknown as OpenStack

beforeEach(() => {
  file = join(mkdtempSync(join(home, 'x-')), 'service.db')
  until = undefined
})
afterEach(async () => {
  await service?.close()
  service = undefined
})
afterAll(() => rmSync(home, {recursive: true}))

async function start(more: Partial<ServiceConfig> = {}): Promise<RunningService> {
  service = await createService({
    ...{cloud, managementKey, ca: await openCa(join(home, 'ca')), database: file, version: '0'},
    ...{by: 'alice on here', log: pino({level: 'silent'}), listen: 'unix:'.concat(`${file}.sock`), ...more},
  })
  return service
}

/** Rows as an earlier life has left them. */
async function before(write: (db: Store) => Promise<unknown>): Promise<void> {
  const db = await openStore(file)
  await write(db)
  await db.destroy()
}

async function ask(method: string, path: string, of = 'tenant1') {
  const {promise, resolve, reject} = Promise.withResolvers<{status: number | undefined; body: string}>()
  const headers = {'x-auth-token': `token-of-admin-of-${of}`}
  request({socketPath: `${file}.sock`, path, method, headers}, reply => {
    let body = ''
    reply.on('data', part => (body += part))
    reply.on('end', () => resolve({status: reply.statusCode, body}))
  })
    .on('error', reject)
    .end()
  const {status, body} = await promise
  return {status, body: body === '' ? undefined : JSON.parse(body)}
}

it('its socket is its user’s alone, and takes the place of one that was left behind', async () => {
  writeFileSync(`${file}.sock`, '')
  expect((await start()).url).toBe(`unix:${file}.sock`)
  expect(statSync(`${file}.sock`).mode & 0o777).toBe(0o600)
  expect((await ask('GET', '/healthz')).status).toBe(200)
})

it('admins are operators where their project was named, and who calls is told of', async () => {
  const callers: Token[] = []
  await start({adminProjects: ['ops'], onCaller: token => void callers.push(token)})
  expect((await ask('GET', '/v1/audit', 'ops')).status).toBe(200)
  expect((await ask('GET', '/v1/audit', 'tenant1')).status).toBe(403)
  expect(callers.map(token => token.project?.id)).toEqual(['ops', 'tenant1'])
})

it('says what one gate takes here, and when this life of it began', async () => {
  const from = Date.now()
  await start({maxPathsPerGate: 7, maxNetworksPerGate: 3, version: '4.5.6'})
  const {body} = await ask('GET', '/v1/service')
  expect(body).toMatchObject({version: '4.5.6', project_id: 'infra', limits: {paths: 7, networks: 3}})
  expect(Date.parse(body.since)).toBeGreaterThanOrEqual(from)
  const {id} = body
  await service?.close()
  await start()
  expect((await ask('GET', '/v1/service')).body.id).toBe(id)
})

it('a copy that another one has taken over answers nobody but by whom, and may go', async () => {
  await before(async db => {
    await gateRow(db)
    await pathRow(db, {state: 'active', attachment_id: ''})
    await noteTaken(db, 'bob on b')
  })
  const one = await start({adminProjects: ['ops']})
  for (const [method, path] of [
    ['GET', '/v1/paths'],
    ['DELETE', '/v1/paths?user_id=u'],
    ['GET', '/v1/gates'],
    ['GET', '/v1/service'],
  ] as const)
    expect(await ask(method, path, 'ops')).toMatchObject({
      status: 409,
      body: {code: 'MOVED', detail: 'the gates of this service are run by bob on b now'},
    })
  expect(await one.isAtRest()).toBe(true)
})

it('is not at rest with a path, unless its account’s last token has ended', async () => {
  await before(async db => {
    await gateRow(db)
    await pathRow(db, {state: 'active', attachment_id: ''})
  })
  const one = await start({renews: false})
  until = Date.now() + 60_000
  expect(await one.isAtRest()).toBe(false)
  until = Date.now() - 1
  expect(await one.isAtRest()).toBe(true)
})

it('one that gets new tokens is not at rest for the end of one', async () => {
  await before(async db => {
    await gateRow(db)
    await pathRow(db, {state: 'active', attachment_id: ''})
  })
  const one = await start()
  until = Date.now() - 1
  expect(await one.isAtRest()).toBe(false)
})

it('is at rest with nothing to look after', async () => {
  expect(await (await start()).isAtRest()).toBe(true)
})

it('leaves at the word of whoever reaches it, where it may be told to', async () => {
  let left = 0
  await start({leave: () => void left++})
  expect([(await ask('POST', '/v1/service/leave')).status, left]).toEqual([202, 1])
})
