import {mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, test} from '@jest/globals'

import {ensurePath} from '../../../src/access/ensure-path.ts'
import {pathFiles, readPath} from '../../../src/access/path-files.ts'
import {findPath, revokeByWord} from '../../../src/access/paths.ts'
import type {Session} from '../../../src/access/session.ts'
import {OsSshError} from '../../../src/errors.ts'
import type {Path, PathRequest} from '../../../src/protocol/index.ts'
import {stopAgent} from '../../../src/ssh/agent.ts'
import {signUserCertificate} from '../../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

const id = '3f2a7c1e-0000-4000-8000-000000000001'
const [ca, otherCa, vmKey] = [generateKeyPair('ca'), generateKeyPair('ca'), generateKeyPair('').publicKey]
const bare = (line: string) => line.split(' ').slice(0, 2).join(' ')
const PATH = 'bbbbbbbb-0000-4000-8000-000000000001'
const home = mkdtempSync(join(tmpdir(), 'os-ssh-paths-'))
const directory = join(home, 'run', 'lab')
const files = pathFiles(directory, id)
const before = process.env['HOME']

interface Fake {
  readonly session: Session
  readonly requests: string[]
  readonly said: string[]
  life: number
  hostKeys: string[]
  fault: OsSshError | undefined
  paths: Partial<Path>[]
}

/** A session whose service grants whatever is asked. */
function fake(): Fake {
  const [requests, said]: [string[], string[]] = [[], []]
  const state: Fake = {
    session: {} as Session,
    requests,
    said,
    life: 3600,
    hostKeys: [vmKey],
    fault: undefined,
    paths: [],
  }
  const request = async (method: string, path: string, body?: unknown) => {
    requests.push(`${method} ${path}`)
    if (state.fault) throw state.fault
    return method === 'POST' ? grant(body as PathRequest, state) : {paths: state.paths}
  }
  const keychain = {kind: 'agent', get: async () => undefined, set: async () => {}, delete: async () => {}}
  Object.assign(state.session, {
    name: 'lab',
    directory,
    keychain,
    say: (line: string) => said.push(line),
    during: <T>(_: string, work: Promise<T>) => work,
    progress: () => {},
    token: async () => ({user: {id: 'u1', name: 'alice'}}),
    service: async () => ({endpoint: 'fake', request}),
  })
  return state
}

function grant({server_id, public_key}: PathRequest, {life, hostKeys}: Fake) {
  const validBefore = new Date(Date.now() + life * 1000)
  return {
    id: 'path-1',
    state: 'active',
    server_id,
    alias: '100.64.0.7',
    port: 22,
    login: 'osp0001',
    expires_at: new Date(validBefore.getTime() + 7 * 3_600_000).toISOString(),
    certificate_until: validBefore.toISOString(),
    gate: {id: 'gate-1', name: 'gate1', host: '192.0.2.7', port: 2222},
    certificate: signUserCertificate({
      caPrivateKey: ca.privateKey,
      publicKey: public_key,
      serial: 1n,
      keyId: 'k',
      principals: ['path-1'],
      validAfter: new Date(0),
      validBefore,
    }),
    host_ca: ca.publicKey,
    host_cas: [ca.publicKey, otherCa.publicKey],
    host_keys: hostKeys,
  }
}

beforeEach(() => {
  process.env['HOME'] = home
  mkdirSync(directory, {recursive: true, mode: 0o700})
})
afterEach(async () => {
  await stopAgent(directory)
  for (const part of ['run', '.ssh']) rmSync(join(home, part), {recursive: true, force: true})
})
afterAll(() => {
  process.env['HOME'] = before
  rmSync(home, {recursive: true})
})

test('ten callers at once ask the service once; what they find is complete and private', async () => {
  const {session, requests} = fake()
  const found = await Promise.all(Array.from({length: 10}, () => ensurePath(session, id)))
  expect(requests).toEqual(['POST /v1/paths?wait=1'])
  expect(new Set(found.map(path => path.alias))).toEqual(new Set(['100.64.0.7']))
  const config = readFileSync(files.config, 'utf8')
  expect(config).toMatch(new RegExp(`^Host gate-1-${id}\\n`))
  expect(config).toMatch(/HostName 192\.0\.2\.7\n {2}Port 2222\n {2}User osp0001\n {2}HostKeyAlias gate-1\n/)
  expect(config).toMatch(/StrictHostKeyChecking yes/)
  expect(readFileSync(files.knownHosts, 'utf8')).toBe(
    [ca, otherCa].map(one => `@cert-authority gate-1 ${bare(one.publicKey)}\n`).join(''),
  )
  const {lock: _, connect: _c, ...written} = files
  for (const file of Object.values(written)) expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readFileSync(join(home, '.ssh/os-ssh/known_hosts'), 'utf8')).toBe(`${id} ${vmKey}\n`)
}, 20_000)

test('a path is renewed after two thirds of its life', async () => {
  const {session} = fake()
  const {until, expires} = await ensurePath(session, id)
  expect((expires - until) / 3600).toBeCloseTo(1 / 3, 2)
})

/** Makes the path old enough to be renewed. */
function age(expires: number): void {
  const file = files.state
  const [, alias, port, gate, , path] = readFileSync(file, 'utf8').trim().split(' ')
  writeFileSync(file, ['1', alias, port, gate, expires, path].join(' '))
}

test('while the service is away, an older path serves, and the user is told', async () => {
  const service = fake()
  await ensurePath(service.session, id)
  age(Math.floor(Date.now() / 1000) + 600)
  service.fault = new OsSshError('SERVICE_DOWN', 'gone')
  expect((await ensurePath(service.session, id)).alias).toBe('100.64.0.7')
  expect(service.said.at(-1)).toMatch(/could not be renewed \(gone\)/)
  age(Math.floor(Date.now() / 1000) + 5)
  await expect(ensurePath(service.session, id)).rejects.toMatchObject({code: 'SERVICE_DOWN'})
})

test('a refusal is final, however good the older path looks', async () => {
  const service = fake()
  await ensurePath(service.session, id)
  age(Math.floor(Date.now() / 1000) + 600)
  service.fault = new OsSshError('DENIED', 'no longer a member')
  await expect(ensurePath(service.session, id)).rejects.toMatchObject({code: 'DENIED'})
})

test('a changed host key stops before ssh, and a revocation changes nothing about that', async () => {
  const service = fake()
  await ensurePath(service.session, id)
  age(Math.floor(Date.now() / 1000) + 600)
  service.hostKeys = [generateKeyPair('').publicKey]
  await expect(ensurePath(service.session, id)).rejects.toMatchObject({code: 'HOST_KEY'})
  service.paths = [{id: PATH, server_id: id, server_name: 'web', expires_at: '2026-11-24T12:00:00Z'}]
  expect(await revokeByWord(service.session, 'web')).toBe(`revoked ${PATH} to ${id}`)
  expect(service.requests.at(-1)).toBe(`DELETE /v1/paths/${PATH}`)
  expect(await readPath(directory, id)).toBeUndefined()
  await expect(ensurePath(service.session, id)).rejects.toMatchObject({code: 'HOST_KEY'})
})

test('a dead agent is replaced, with a new key and a new certificate', async () => {
  const service = fake()
  await ensurePath(service.session, id)
  const first = readFileSync(join(directory, `${id}.pub`), 'utf8')
  await stopAgent(directory)
  await ensurePath(service.session, id)
  expect(service.requests).toHaveLength(2)
  expect(readFileSync(join(directory, `${id}.pub`), 'utf8')).not.toBe(first)
})

test('revoking a VM ends all of one’s paths to it, and a word that may be several VMs none', async () => {
  const service = fake()
  const other = 'bbbbbbbb-0000-4000-8000-000000000002'
  const expires_at = '2026-11-24T12:00:00Z'
  service.paths = [
    {id: PATH, server_id: id, server_name: 'web', expires_at},
    {id: other, server_id: id, server_name: 'web', expires_at},
  ]
  expect(await revokeByWord(service.session, id)).toBe(`revoked ${PATH} to ${id}\nrevoked ${other} to ${id}`)
  expect(service.requests.slice(-2)).toEqual([`DELETE /v1/paths/${PATH}`, `DELETE /v1/paths/${other}`])
  service.paths = [
    {id: PATH, server_id: id, server_name: 'web', expires_at},
    {id: other, server_id: PATH, server_name: 'web', expires_at},
  ]
  await expect(revokeByWord(service.session, 'web')).rejects.toMatchObject({code: 'AMBIGUOUS'})
  expect(service.requests.at(-1)).toBe('GET /v1/paths')
})

test('a path is found by its id, the start of it, and its VM; several are named', async () => {
  const service = fake()
  const [one, two] = ['aaaaaaaa-0000-4000-8000-000000000001', 'aaaaaaaa-0000-4000-8000-000000000002']
  const expires_at = '2026-11-24T12:00:00Z'
  service.paths = [
    {id: one, server_id: id, server_name: 'web', expires_at},
    {id: two, server_id: PATH, server_name: 'web', expires_at},
  ]
  expect((await findPath(service.session, two)).id).toBe(two)
  expect((await findPath(service.session, PATH.slice(0, 6))).id).toBe(two)
  await expect(findPath(service.session, 'web')).rejects.toMatchObject({
    code: 'AMBIGUOUS',
    message: expect.stringMatching(new RegExp(`${one}[\\s\\S]*${two}`)),
  })
  await expect(findPath(service.session, 'nope')).rejects.toMatchObject({code: 'NOT_FOUND'})
})
