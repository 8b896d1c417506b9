import {expect, test} from '@jest/globals'
import fc from 'fast-check'

import {checkGrant, checkHostKeys, checkPaths} from '../../../src/access/grant.ts'
import {signUserCertificate} from '../../../src/ssh/certificate.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

const [ca, key] = [generateKeyPair('ca'), generateKeyPair('me')]
const id = '3f2a7c1e-0000-4000-8000-000000000001'
const grant = {
  id: '11111111-0000-4000-8000-000000000001',
  server_id: id,
  alias: '100.64.0.7',
  port: 22,
  login: 'osp0001',
  expires_at: '2026-11-24T12:00:00Z',
  certificate_until: '2026-11-24T05:00:00Z',
  gate: {id: 'gate-1', name: 'gate1', host: '192.0.2.7', port: 22},
  certificate: signUserCertificate({
    caPrivateKey: ca.privateKey,
    publicKey: key.publicKey,
    serial: 1n,
    keyId: 'path-1',
    principals: ['path-1'],
    validAfter: new Date(0),
    validBefore: new Date(1000),
  }),
  host_ca: ca.publicKey,
  host_keys: [`${key.publicKey} root@vm`],
}

test('a sound grant passes, the comments of its keys do not', () => {
  expect(checkGrant(grant, id).host_keys).toEqual([key.publicKey.split(' ').slice(0, 2).join(' ')])
})

test('a host CA alone is trusted, and the other one of a rotation once', () => {
  const [one, two] = [ca, key].map(pair => pair.publicKey.split(' ').slice(0, 2).join(' '))
  expect(checkGrant(grant, id).host_cas).toEqual([one])
  const both = {...grant, host_cas: [ca.publicKey, `${key.publicKey} other`]}
  expect(checkGrant(both, id).host_cas).toEqual([one, two])
})

test.each([
  [{alias: '100.64.0.7 -oProxyCommand=id'}],
  [{alias: 'localhost'}],
  [{port: 0}],
  [{port: '22'}],
  [{login: 'root\n  ProxyCommand id'}],
  [{login: '-oProxyCommand=id'}],
  [{expires_at: 'never'}],
  [{certificate_until: undefined}],
  [{rebuild: {request_id: 'req-1 x', at: '2026-11-24T12:00:00Z', user_id: 'u', keys_seen: true}}],
  [{rebuild: {request_id: 'req-1', at: '2026-11-24T12:00:00Z', user_id: 'u\nv', keys_seen: true}}],
  [{server_id: '3f2a7c1e-0000-4000-8000-000000000002'}],
  [{gate: {...grant.gate, id: '*'}}],
  [{gate: {...grant.gate, id: 'a b'}}],
  [{gate: {...grant.gate, host: '-x'}}],
  [{gate: {...grant.gate, host: 'h\nProxyCommand id'}}],
  [{gate: undefined}],
  [{certificate: key.publicKey}],
  [{certificate: `${grant.certificate}\nevil`}],
  [{host_ca: `* ${ca.publicKey}`}],
  [{host_cas: ca.publicKey}],
  [{host_cas: [`${ca.publicKey}\n* ${ca.publicKey}`]}],
  [{host_cas: [`@revoked ${ca.publicKey}`]}],
  [{host_keys: ['@cert-authority * x']}],
  [{host_keys: 'x'}],
  [{host_keys: Array(33).fill(key.publicKey)}],
  [{login: 'x'.repeat(33)}],
  [{id: 'x'.repeat(65)}],
  [{port: 65_536}],
])('an answer with %j is nonsense', change => {
  expect(() => checkGrant({...grant, ...change}, id)).toThrow(expect.objectContaining({code: 'SERVICE_DOWN'}))
})

test('so is anything that is no object', () => {
  for (const answer of [null, undefined, 'x', 7, []]) expect(() => checkGrant(answer, id)).toThrow(/nonsense/)
})

const hostile = fc.oneof(
  fc.constantFrom<unknown>(
    {toString: 0},
    [id],
    '../../.ssh/id',
    '..',
    '/etc/passwd',
    `${id}/../x`,
    `${id}\n`,
    '',
    '-rf',
    '%2e%2e',
  ),
  fc.anything(),
)
const [path] = [{id: grant.id, server_id: id, server_name: 'web', expires_at: grant.expires_at}]

test('no field of a listing that goes into a file’s name gets through but as a UUID', () => {
  expect(checkPaths({paths: [path]})).toEqual([path])
  fc.assert(
    fc.property(fc.constantFrom('id', 'server_id'), hostile, (field, value) => {
      fc.pre(!(typeof value === 'string' && /^[0-9a-f-]{32,36}$/.test(value)))
      expect(() => checkPaths({paths: [path, {...path, [field]: value}]})).toThrow(/nonsense: paths/)
    }),
  )
  for (const answer of [null, {}, {paths: 'x'}, {paths: [null]}])
    expect(() => checkPaths(answer)).toThrow(/nonsense/)
})

test('nor any field of a grant that goes into a file’s name or a line of a file', () => {
  const fields = [
    ...([
      'id',
      'server_id',
      'alias',
      'port',
      'login',
      'certificate',
      'host_ca',
      'host_cas',
      'host_keys',
    ] as const),
  ]
  fc.assert(
    fc.property(fc.constantFrom(...fields), hostile, (field, value) => {
      fc.pre(!(field === 'host_cas' && value === undefined))
      fc.pre(!(/^host_(keys|cas)$/.test(field) && Array.isArray(value) && value.length === 0))
      fc.pre(!(field === 'id' && typeof value === 'string' && /^[\w-]{1,64}$/.test(value)))
      fc.pre(!(field === 'login' && typeof value === 'string' && /^[a-z_][a-z0-9_-]*$/.test(value)))
      fc.pre(!(field === 'port' && Number.isInteger(value)))
      expect(() => checkGrant({...grant, [field]: value}, id)).toThrow(/nonsense/)
    }),
  )
})

test('pinned keys are of the VM that was asked for', () => {
  const answer = {server_id: id, host_keys: [`${key.publicKey} root@vm`]}
  expect(checkHostKeys(answer, id).host_keys).toHaveLength(1)
  for (const change of [{server_id: grant.id}, {host_keys: ['x']}, {rebuild: {}}])
    expect(() => checkHostKeys({...answer, ...change}, id)).toThrow(/nonsense: host_keys/)
})
