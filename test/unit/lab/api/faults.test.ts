import {beforeEach, expect, test} from '@jest/globals'

import {matches} from '../../../../lab/api/faults.ts'
import {type Ask, paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
let admin: Ask
beforeEach(async () => {
  lab = await paperLab()
  admin = await lab.as('admin')
})
const ports = '/network/v2.0/ports'

test('a match is a method and a path prefix with stars for segments', () => {
  expect(
    matches('POST /compute/v2.1/servers/*/os-interface', 'POST', '/compute/v2.1/servers/1/os-interface?x=1'),
  ).toBe(true)
  expect(matches('POST /compute/v2.1/servers/*/os-interface', 'POST', '/compute/v2.1/servers/1/action')).toBe(
    false,
  )
  expect(matches('* /network', 'GET', '/network/v2.0/ports')).toBe(true)
  expect(matches('GET /network/v2.0/ports', 'POST', '/network/v2.0/ports')).toBe(false)
})

test('answers in place of the work, as often as asked', async () => {
  await admin('POST', '/lab/faults', {match: `GET ${ports}`, status: 503, times: 2})
  expect((await admin('GET', ports)).status).toBe(503)
  expect((await admin('GET', ports)).status).toBe(503)
  expect((await admin('GET', ports)).status).toBe(200)
})

test('can lose the answer after the work was done', async () => {
  const before = lab.cloud.ports.size
  await admin('POST', '/lab/faults', {match: `POST ${ports}`, status: 500, times: 1, effect: 'after'})
  const {status} = await admin('POST', ports, {port: {network_id: lab.id('t1-net')}})
  expect([status, lab.cloud.ports.size]).toEqual([500, before + 1])
})

test('an attach may answer 200 and plug nothing', async () => {
  await admin('POST', '/lab/faults', {match: 'POST /compute/v2.1/servers/*/os-interface', effect: 'no-nic'})
  const alice = await lab.as('tenant1')
  const path = `/compute/v2.1/servers/${lab.id('t1-web')}/os-interface`
  const {status, body} = await alice('POST', path, {interfaceAttachment: {net_id: lab.id('t1-iso')}})
  expect(status).toBe(200)
  expect(lab.cloud.ports.get(body.interfaceAttachment.port_id)?.status).toBe('DOWN')
})

test('faults are for admins, and can be cleared', async () => {
  const alice = await lab.as('tenant1')
  expect((await alice('POST', '/lab/faults', {match: 'GET /', status: 500})).status).toBe(403)
  await admin('POST', '/lab/faults', {match: `GET ${ports}`, status: 503})
  expect((await admin('DELETE', '/lab/faults')).status).toBe(204)
  expect((await admin('GET', ports)).status).toBe(200)
})
