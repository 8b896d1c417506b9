import {readFileSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {act} from '../support/nova.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/* A VM that its owner rebuilds has other host keys: ssh must neither accept them silently nor be locked out for ever. */

jest.setTimeout(240_000)

let world: World
let vm: string
beforeAll(async () => {
  world = await World.open('e2e-rebuilt')
  vm = await world.throwaway()
})
afterAll(async () => {
  await (await world?.cloud('tenant1'))?.compute.deleteServer(vm)
  await world?.close()
})

const connect = () => world.cli('tenant1', ['connect', vm, '--', 'uname', '-n'])
const pins = async () =>
  JSON.parse((await world.cli('tenant1', ['hostkeys', vm, '-f', 'json'])).stdout) as {
    where: string
    fingerprint: string
  }[]

it('a rebuilt VM is an alarm until Nova’s word for it is asked for, and then is said and pinned', async () => {
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-throwaway\n'})
  const before = await pins()
  expect(before.map(pin => pin.where)).toEqual(['this machine', 'service'])
  expect(new Set(before.map(pin => pin.fingerprint)).size).toBe(1)

  const cloud = await world.cloud('tenant1')
  const [image] = await cloud.image.images({name: 'debian-12'})
  await act(world, 'tenant1', vm, {rebuild: {imageRef: image?.id}})
  const fresh = await eventually(
    connect,
    answer => answer.stderr.includes('HOST IDENTIFICATION HAS CHANGED'),
    60_000,
  )
  expect(fresh).toMatchObject({status: 255, stdout: ''})

  const told = await world.cli('tenant1', ['hostkeys', vm])
  const {user} = await cloud.identity.token()
  expect(told.stderr).toMatch(
    new RegExp(`VM ${vm} was rebuilt at 20\\S+Z by the user ${user.id}: its host key is now SHA256:`),
  )
  const after = await pins()
  expect(new Set(after.map(pin => pin.fingerprint)).size).toBe(1)
  expect(after[0]?.fingerprint).not.toBe(before[0]?.fingerprint)
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-throwaway\n', stderr: ''})
})

it('what is forgotten is forgotten here and at the service, and audited; a revocation forgets nothing', async () => {
  const known = () => readFileSync(`${world.home}/.ssh/os-ssh/known_hosts`, 'utf8')
  expect((await world.cli('tenant1', ['paths', 'revoke', vm])).status).toBe(0)
  expect(known()).toContain(vm)
  // Of another project it does not even exist.
  expect(await world.api('tenant2', 'DELETE', `/v1/host-keys/${vm}`)).toMatchObject({
    status: 404,
    code: 'NOT_FOUND',
  })
  expect(await world.cli('tenant1', ['hostkeys', vm, '--forget'])).toMatchObject({
    status: 0,
    stdout: `the host keys of ${vm} are forgotten, here and at the service\n`,
  })
  expect(known()).not.toContain(vm)
  const {audit} = await world.api<{audit: {action: string; server_id: string; user_name: string}[]}>(
    'service',
    'GET',
    '/v1/audit?limit=1',
  )
  expect(audit[0]).toMatchObject({action: 'forget-host-keys', server_id: vm, user_name: 'alice'})
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-throwaway\n'})
})
