import {expect, test} from '@jest/globals'

import {checkGrant} from '../../../src/access/grant.ts'
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

test.each([
  [{alias: '100.64.0.7 -oProxyCommand=id'}],
  [{alias: 'localhost'}],
  [{port: 0}],
  [{port: '22'}],
  [{login: 'root\n  ProxyCommand id'}],
  [{login: '-oProxyCommand=id'}],
  [{expires_at: 'never'}],
  [{server_id: '3f2a7c1e-0000-4000-8000-000000000002'}],
  [{gate: {...grant.gate, id: '*'}}],
  [{gate: {...grant.gate, id: 'a b'}}],
  [{gate: {...grant.gate, host: '-x'}}],
  [{gate: {...grant.gate, host: 'h\nProxyCommand id'}}],
  [{gate: undefined}],
  [{certificate: key.publicKey}],
  [{certificate: `${grant.certificate}\nevil`}],
  [{host_ca: `* ${ca.publicKey}`}],
  [{host_keys: ['@cert-authority * x']}],
  [{host_keys: 'x'}],
])('an answer with %j is nonsense', change => {
  expect(() => checkGrant({...grant, ...change}, id)).toThrow(expect.objectContaining({code: 'SERVICE_DOWN'}))
})

test('so is anything that is no object', () => {
  for (const answer of [null, undefined, 'x', 7, []]) expect(() => checkGrant(answer, id)).toThrow(/nonsense/)
})
