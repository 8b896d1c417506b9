import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/* What a user or a gate can do wrong: a clear answer each time. */

jest.setTimeout(180_000)

let world: World
beforeAll(async () => {
  world = await World.open('e2e-faults')
})
afterAll(() => world?.close())

const ask = (name: string) => world.refusal('tenant1', world.server(name))
it.each([
  ['an unknown VM', () => '00000000-0000-4000-8000-000000000000', 'NOT_FOUND', 404],
  ['a VM of another project', () => world.server('t2-web'), 'NOT_FOUND', 404],
  ['a VM that is off', () => world.server('t1-off'), 'VM_OFF', 409],
  ['a VM without an address', () => world.server('t1-bare'), 'VM_NO_ADDRESS', 409],
])('%s', async (_, server, code, status) => {
  expect(await world.refusal('tenant1', server())).toMatchObject({
    code,
    status,
    request_id: expect.stringMatching(/^req-/),
  })
})

it('a reader is denied, and it is written down', async () => {
  expect(await world.refusal('reader', world.server('t1-web'))).toMatchObject({code: 'DENIED', status: 403})
  const {audit} = await world.api<{audit: {action: string; user_name: string; detail: string}[]}>(
    'service',
    'GET',
    '/v1/audit?denials=true',
  )
  expect(audit).toContainEqual(
    expect.objectContaining({action: 'deny', user_name: 'carol', detail: 'DENIED'}),
  )
})

it('a made-up token', async () => {
  const answer = await fetch(`${world.site.ssh_endpoint}/v1/paths`, {
    headers: {'x-auth-token': 'gAAAAABnonsense-nonsense'},
  })
  expect(answer.status).toBe(401)
  expect(answer.headers.get('content-type')).toContain('application/problem+json')
})

it('what is not asked for in the schema is refused', async () => {
  const answer = await world.api('tenant1', 'POST', '/v1/paths', {
    server_id: '../../etc/passwd',
    public_key: 'x',
  })
  expect(answer).toMatchObject({status: 400, code: 'USAGE'})
})

it('a gate that is down, and up again', async () => {
  const gate = world.site.gates[0]
  const admin = await world.cloud('admin')
  const call = async (action: object) => {
    const token = await admin.identity.token()
    const nova = await admin.endpoint('compute')
    await fetch(`${nova}/servers/${gate?.server_id}/action`, {
      method: 'POST',
      headers: {'x-auth-token': token.id, 'content-type': 'application/json'},
      body: JSON.stringify(action),
    })
  }
  await call({'os-stop': null})
  await eventually(
    async () => (await admin.compute.server(gate?.server_id ?? '')).status,
    status => status === 'SHUTOFF',
  )
  expect(await ask('t1-web')).toMatchObject({code: 'GATE_DOWN'})
  await call({'os-start': null})
  const state = async () =>
    (await world.api<{gates: {state: string}[]}>('service', 'GET', '/v1/gates')).gates[0]?.state
  expect(await eventually(state, text => text === 'ready', 40_000)).toBe('ready')
  expect((await world.grant('tenant1', 't1-web')).state).toBe('active')
})

it('a gate whose host key has changed is not believed', async () => {
  // Its disk outlives the reboots between files: its own key comes back at the end.
  const key = '/etc/ssh/ssh_host_ed25519_key'
  const kept = `mkdir -p /root/kept; cp -p ${key}* /root/kept`
  const again = 'kill -HUP $(cat /run/sshd.pid)'
  await world.onGate(`${kept}; rm ${key}*; ssh-keygen -qt ed25519 -N "" -f ${key}; ${again}`)
  await world.stopService()
  await world.startService('service')
  const reason = async () =>
    (await world.api<{gates: {reason?: string}[]}>('service', 'GET', '/v1/gates')).gates[0]?.reason ?? ''
  try {
    expect(await eventually(reason, text => text.includes('host key'))).toContain('not the pinned one')
  } finally {
    await world.onGate(`cp -p /root/kept/* /etc/ssh; ${again}`)
  }
})
