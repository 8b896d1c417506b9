import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

import {afterAll, afterEach, beforeEach, expect, test} from '@jest/globals'

import {forgetPins, listPins, pinGranted} from '../../../src/access/host-keys.ts'
import type {Session} from '../../../src/access/session.ts'
import {OpenStackError} from '../../../src/openstack/errors.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {pinnedKeys, pinnedRebuild} from '../../../src/ssh/known-hosts.ts'

/* Whose word for other host keys the client takes: Nova's, once, and nobody else's. */

const id = '3f2a7c1e-0000-4000-8000-000000000001'
const [one, two, three] = ['a', 'b', 'c'].map(name =>
  generateKeyPair(name).publicKey.split(' ').slice(0, 2).join(' '),
) as [string, string, string]
const home = mkdtempSync(join(tmpdir(), 'os-ssh-pins-'))
const before = process.env['HOME']
const rebuild = {request_id: 'req-1', at: '2026-11-24T10:00:00.000Z', user_id: 'u9', keys_seen: true}

function rebuilt(request_id: string, start_time: string) {
  return {action: 'rebuild', request_id, start_time, user_id: 'u9'}
}

let actions: {action: string; request_id: string; start_time: string; user_id: string}[]
let said: string[]
let requests: string[]
let there: object
const session = {
  directory: home,
  say: (line: string) => said.push(line),
  cloud: {
    compute: {
      instanceActions: async () => actions,
      server: async (vm: string) => {
        if (vm !== id) throw new OpenStackError('not-found', 'no such server', {status: 404})
        return {id}
      },
    },
  },
  service: async () => ({
    async request(method: string, path: string) {
      requests.push(`${method} ${path}`)
      return there
    },
  }),
} as unknown as Session
const grant = (host_keys: string[], more: object = {}) => ({server_id: id, host_keys, ...more})

beforeEach(() => {
  process.env['HOME'] = home
  actions = [rebuilt('req-1', '2026-11-24T10:00:00.000000')]
  ;[said, requests] = [[], []]
})
afterEach(() => rmSync(join(home, '.ssh'), {recursive: true, force: true}))
afterAll(() => {
  process.env['HOME'] = before
  rmSync(home, {recursive: true})
})

test('other keys after a rebuild that Nova knows are taken, and said', async () => {
  await pinGranted(session, grant([one]))
  await pinGranted(session, grant([two], {rebuild}))
  expect(await pinnedKeys(id)).toEqual([two])
  expect(await pinnedRebuild(id)).toBe('req-1')
  expect(said).toEqual([
    expect.stringMatching(
      `^VM ${id} was rebuilt at 2026-11-24T10:00:00.000Z by the user u9: its host key is now SHA256:`,
    ),
  ])
})

test.each([
  ['a rebuild that Nova does not know', []],
  ['another action of that id', [{...rebuilt('req-1', '2026-11-24T10:00:00'), action: 'reboot'}]],
  [
    'one that is not the newest',
    [rebuilt('req-1', '2026-11-24T10:00:00'), rebuilt('req-2', '2026-11-24T11:00:00')],
  ],
])('not after %s, whatever the service says', async (_, known) => {
  await pinGranted(session, grant([one]))
  actions = known
  await expect(pinGranted(session, grant([two], {rebuild}))).rejects.toMatchObject({code: 'HOST_KEY'})
  expect(await pinnedKeys(id)).toEqual([one])
})

test('nor twice for the same rebuild, nor without one', async () => {
  await pinGranted(session, grant([one]))
  await pinGranted(session, grant([two], {rebuild}))
  for (const again of [grant([three], {rebuild}), grant([three])])
    await expect(pinGranted(session, again)).rejects.toMatchObject({code: 'HOST_KEY'})
})

test('a console that shows no new keys is said; what is pinned stays', async () => {
  await pinGranted(session, grant([one]))
  await pinGranted(session, grant([one], {rebuild: {...rebuild, keys_seen: false}}))
  expect(said).toEqual([expect.stringContaining('its console does not show its new host keys (yet)')])
  expect([await pinnedKeys(id), await pinnedRebuild(id)]).toEqual([[one], undefined])
})

test('other keys of a rebuild whose new ones nobody has seen are not taken', async () => {
  await pinGranted(session, grant([one]))
  await expect(
    pinGranted(session, grant([two], {rebuild: {...rebuild, keys_seen: false}})),
  ).rejects.toMatchObject({code: 'HOST_KEY'})
  expect([await pinnedKeys(id), await pinnedRebuild(id)]).toEqual([[one], undefined])
})

test('hostkeys shows both pins, and takes the new ones after a rebuild', async () => {
  await pinGranted(session, grant([one]))
  there = {server_id: id, host_keys: [two], rebuild}
  const pins = await listPins(session, id)
  expect(pins.map(pin => [pin.where, pin.type, pin.rebuild])).toEqual([
    ['this machine', 'ssh-ed25519', 'req-1'],
    ['service', 'ssh-ed25519', 'req-1'],
  ])
  expect(new Set(pins.map(pin => pin.fingerprint)).size).toBe(1)
})

test('hostkeys shows a difference that no rebuild explains', async () => {
  await pinGranted(session, grant([one]))
  actions = []
  there = {server_id: id, host_keys: [two], rebuild}
  expect(new Set((await listPins(session, id)).map(pin => pin.fingerprint)).size).toBe(2)
})

test('forgetting is for both; a VM that is not seen is forgotten here', async () => {
  await pinGranted(session, grant([one]))
  expect(await forgetPins(session, id)).toContain('here and at the service')
  expect([requests, await pinnedKeys(id)]).toEqual([[`DELETE /v1/host-keys/${id}`], []])
  const gone = id.replace('1', '2')
  await pinGranted(session, {server_id: gone, host_keys: [one]})
  expect(await forgetPins(session, gone)).toContain('here; you see no such VM')
  await expect(forgetPins(session, gone)).rejects.toMatchObject({code: 'NOT_FOUND'})
})
