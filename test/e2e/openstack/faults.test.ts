import {afterAll, afterEach, beforeAll, expect, it, jest} from '@jest/globals'
import Sqlite from 'better-sqlite3'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {startNeutron, startRabbit} from '../../openstack/cloud.ts'
import {login} from '../../openstack/identity.ts'
import {api} from '../../openstack/place.ts'
import {listening, stop, until} from '../../openstack/processes.ts'
import type {Json, Rest} from '../../openstack/rest.ts'
import {GateClient} from '../../support/gate-client.ts'
import {eventually} from '../../support/run.ts'
import {onOvn} from '../../support/site.ts'
import {World} from '../../support/world.ts'

/* What breaks in a real cloud during a grant or a session: a clear error, and in the end no port and no interface left. */

jest.setTimeout(300_000)

let world: World
let admin: Rest
beforeAll(async () => {
  world = await World.open('openstack-faults', {flags: ['--grace', '1']})
  admin = await login('admin')
})
afterAll(() => world?.close())

const ask = () => world.refusal('tenant1', world.server('t1-db'))
const gate = () => world.site.gates[0]?.server_id ?? ''

/** What os-ssh has in the cloud now, as Neutron and Nova list it. */
async function traces() {
  const {ports} = await admin.neutron('GET', 'ports')
  const {interfaceAttachments} = await admin.nova('GET', `servers/${gate()}/os-interface`)
  return {
    ports: ports.filter((port: Json) => port.name.startsWith('os-ssh-')).map((port: Json) => port.name),
    interfaces: interfaceAttachments.length,
  }
}
const clean = {ports: [], interfaces: 1}

async function leavesNothing(): Promise<void> {
  await world.endPaths('tenant1')
  const found = await eventually(traces, now => JSON.stringify(now) === JSON.stringify(clean), 120_000)
  expect(found).toEqual(clean)
  // Nor has the service anything left to do, which the next test's outage would hold up.
  const rows = await eventually(
    () => world.attachments(),
    left => left.length === 0,
    60_000,
  )
  expect(rows).toEqual([])
}
afterEach(leavesNothing)

/** The whole way works: a grant, and a command in the VM. */
async function works(): Promise<void> {
  const grant = await world.grant('tenant1', 't1-db')
  const {status, stdout} = await new GateClient(world, grant).vm(`${world.home}/.ssh/id_alice`, [
    'uname',
    '-n',
  ])
  expect([status, stdout]).toEqual([0, 't1-db\n'])
}

const answersAgain = (url: string) => () =>
  admin.call('GET', url).then(
    () => true,
    () => false,
  )

it('the port quota is used up', async () => {
  const {quota} = await admin.neutron('GET', `quotas/${await infra()}/details`)
  await admin.neutron('PUT', `quotas/${await infra()}`, {quota: {port: quota.port.used}})
  try {
    expect(await ask()).toMatchObject({code: 'QUOTA', detail: expect.stringContaining('Quota exceeded')})
    expect(await traces()).toEqual(clean)
  } finally {
    await admin.neutron('DELETE', `quotas/${await infra()}`)
  }
  await works()
})

const infra = async () =>
  (await world.cloud('service')).identity.token().then(token => token.project?.id ?? '')

it('Nova refuses the port, which is of another project than the gate', async () => {
  // An admin's service may make such a port, if it believes the gate to be of that project.
  const {project} = await (await world.cloud('tenant1')).identity.token()
  await restartAs('admin', project?.id ?? '')
  try {
    expect(await ask()).toMatchObject({
      code: 'CLOUD_REFUSED',
      detail: expect.stringContaining('not usable for instance'),
    })
    expect(await eventually(traces, now => now.ports.length === 0)).toEqual(clean)
  } finally {
    await restartAs('service', await infra())
  }
  await works()
})

/** Another account for the service, and another project that it takes the gate to be of. */
async function restartAs(account: string, project: string): Promise<void> {
  await world.stopService()
  const db = new Sqlite(`${world.home}/service/service.db`)
  db.prepare('update gates set project_id = ?').run(project)
  db.close()
  await world.startService(account)
}

it('the service’s account has lost its role', async () => {
  const name = onOvn ? 'advsvc' : 'os_ssh'
  const {roles} = await admin.keystone('GET', `roles?name=${name}`)
  const {users} = await admin.keystone('GET', 'users?name=svc')
  const assignment = `projects/${await infra()}/users/${users[0].id}/roles/${roles[0].id}`
  await admin.keystone('DELETE', assignment)
  // The token that it has would keep its roles for a while in the services' caches.
  await world.stopService()
  await world.startService('service')
  try {
    expect(await ask()).toMatchObject({code: 'CLOUD_REFUSED'})
    expect(await traces()).toEqual(clean)
  } finally {
    await admin.keystone('PUT', assignment)
  }
  // Without a restart: a refusal makes it ask for a new token, once in 5 s (RENEW_MS of src/service/reconciler.ts).
  await new Promise(resolve => setTimeout(resolve, 6000))
  await works()
})

it('a network is deleted while the gate is on it', async () => {
  const alice = await login('tenant1')
  const {network} = await alice.neutron('POST', 'networks', {network: {name: 't1-doomed'}})
  await alice.neutron('POST', 'subnets', {
    subnet: {network_id: network.id, cidr: '10.0.77.0/24', ip_version: 4, enable_dhcp: false},
  })
  const server = await alice.nova('POST', 'servers', {
    server: {...(await likeWeb(alice)), name: 't1-doomed', networks: [{uuid: network.id}]},
  })
  const {id} = server.server
  await until('t1-doomed', async () => (await alice.nova('GET', `servers/${id}`)).server.status === 'ACTIVE')
  try {
    const grant = await world.grant('tenant1', id)
    await world.surveyed()
    await expect(alice.neutron('DELETE', `networks/${network.id}`)).rejects.toThrow('409')
    // An operator may: the ports first, whoever uses them. A survey in between makes ours anew, so perhaps more than once.
    const removed = async () => {
      for (const port of (await admin.neutron('GET', `ports?network_id=${network.id}`)).ports)
        await admin.neutron('DELETE', `ports/${port.id}`)
      return admin.neutron('DELETE', `networks/${network.id}`).then(
        () => true,
        error => !String(error).includes('409'),
      )
    }
    expect(await eventually(removed, Boolean)).toBe(true)
    const look = () => world.api<{state: string; error?: object}>('tenant1', 'GET', `/v1/paths/${grant.id}`)
    expect(await eventually(look, path => path.state === 'failed', 90_000)).toMatchObject({
      state: 'failed',
      error: {detail: expect.stringMatching(/gone|could not be found/)},
    })
    expect(
      await eventually(
        () => world.attachments(),
        rows => rows.length === 0,
        60_000,
      ),
    ).toEqual([])
  } finally {
    await alice.nova('DELETE', `servers/${id}`)
  }
})

async function likeWeb(alice: Rest) {
  const {server} = await alice.nova('GET', `servers/${world.server('t1-web')}`)
  return {imageRef: server.image.id, flavorRef: '1', key_name: 'alice', security_groups: [{name: 'open'}]}
}

it('Neutron is down during a grant', async () => {
  await stop('neutron')
  expect(await ask()).toMatchObject({code: 'CLOUD_DOWN'})
  startNeutron()
  await until('Neutron', answersAgain(`${api('network')}/v2.0/networks`))
  await works()
})

it('RabbitMQ is restarted during a grant', async () => {
  await stop('rabbitmq')
  const during = ask()
  await new Promise(resolve => setTimeout(resolve, 10_000))
  startRabbit()
  await until('RabbitMQ', () => listening(5672))
  // Whether it ends well or not, it ends, and says which.
  const answer = (await during) as {state?: string; code?: string}
  expect(answer.state ?? answer.code).toMatch(/^(active|pending|CLOUD_DOWN|VM_UNREACHABLE)$/)
  const again = () =>
    works().then(
      () => true,
      () => false,
    )
  expect(await eventually(again, Boolean, 180_000)).toBe(true)
})

it('the user’s token is revoked in mid-session: the session stays, the next request is refused', async () => {
  const cloud = await world.cloud('tenant1')
  const token = (await cloud.identity.token()).id
  const headers = {'x-auth-token': token, 'content-type': 'application/json'}
  const body = JSON.stringify({
    server_id: world.server('t1-db'),
    public_key: generateKeyPair('alice').publicKey,
  })
  const answer = await fetch(`${world.site.ssh_endpoint}/v1/paths`, {method: 'POST', headers, body})
  expect(answer.status).toBe(201)
  await cloud.identity.revoke()
  const again = async () => (await fetch(`${world.site.ssh_endpoint}/v1/paths`, {headers})).status
  expect(await eventually(again, status => status === 401, 45_000)).toBe(401)
  await works()
})

it('the service’s own token is revoked, and it gets another', async () => {
  const {users} = await admin.keystone('GET', 'users?name=svc')
  const enabled = (yes: boolean) =>
    admin.call('PATCH', `${api('identity')}/users/${users[0].id}`, {user: {enabled: yes}})
  await enabled(false) // revokes every token of the user
  await new Promise(resolve => setTimeout(resolve, 6000)) // the services believe a token for 5 s
  expect(await ask()).toMatchObject({code: expect.stringMatching(/^CLOUD_/)})
  await enabled(true)
  await new Promise(resolve => setTimeout(resolve, 6000)) // Keystone may keep the old user for 3 s
  await works()
})
