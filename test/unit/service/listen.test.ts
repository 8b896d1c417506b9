import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, expect, it} from '@jest/globals'
import {pino} from 'pino'

import type {OpenStack} from '../../../src/openstack/index.ts'
import {openCa} from '../../../src/service/ca/ca.ts'
import {createService} from '../../../src/service/index.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'

/* Members' tokens travel to the service: where it may listen without TLS. */

const home = mkdtempSync(join(tmpdir(), 'os-ssh-listen-'))
afterAll(() => rmSync(home, {recursive: true}))

const start = async (listen: string, more: object = {}) =>
  createService({
    cloud: {identity: {token: async () => ({})}} as unknown as OpenStack,
    managementKey: generateKeyPair('k').privateKey,
    ca: await openCa(join(home, 'ca')),
    database: ':memory:',
    ...{version: '0', by: 'alice on here'},
    log: pino({level: 'silent'}),
    listen,
    ...more,
  })

it.each(['0.0.0.0:0', '[::]:0', '192.0.2.1:0', 'gate.example:0'])('not on %s unless told to', async where => {
  await expect(start(where)).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(/^tokens would pass .* without TLS$/),
    suggestions: [expect.stringContaining('--plain-http')],
  })
})

it.each([
  ['127.0.0.1:0', {}],
  ['[::1]:0', {}],
  ['0.0.0.0:0', {plainHttp: true}],
])('on %s with %j', async (where, more) => {
  const service = await start(where, more)
  expect(service.url).toMatch(/^http:\/\//)
  await service.close()
})
