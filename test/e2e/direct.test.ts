import {readFileSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {loadCloud, type OpenStack, openStack} from '../../src/openstack/index.ts'
import {login} from '../openstack/identity.ts'
import {GateClient} from '../support/gate-client.ts'
import {eventually} from '../support/run.ts'
import {testCloud} from '../support/site.ts'
import {World} from '../support/world.ts'

/* A VM whose only address is on the external network, where the gate is plugged into nothing: it goes there as to the world. */

jest.setTimeout(180_000)

let world: World
let admin: OpenStack
let vm: string
beforeAll(async () => {
  world = await World.open('e2e-direct')
  admin = await adminOfTenant1()
  await keypair()
  vm = await onExternal('t1-public')
  await eventually(
    () => admin.compute.server(vm),
    server => server.status === 'ACTIVE',
    120_000,
  )
}, 300_000)
afterAll(async () => {
  if (vm) await admin.compute.deleteServer(vm)
  await admin?.close()
  await world?.close()
})

/** Only an admin may put a VM on an external network. */
async function adminOfTenant1(): Promise<OpenStack> {
  if (testCloud === 'openstack') {
    const rest = await login('admin')
    const [{projects}, {roles}] = [
      await rest.keystone('GET', 'projects?name=tenant1'),
      await rest.keystone('GET', 'roles?name=admin'),
    ]
    await rest.keystone('PUT', `projects/${projects[0].id}/users/${rest.userId}/roles/${roles[0].id}`)
  }
  const config = await loadCloud({cloud: 'admin', env: world.env, cwd: world.home})
  return openStack({...config, auth: {...config.auth, project_name: 'tenant1'}})
}

/** A key pair is its user's, so the admin needs alice's of their own. */
async function keypair(): Promise<void> {
  const public_key = readFileSync(`${world.home}/.ssh/id_alice.pub`, 'utf8').trim()
  const answer = await fetch(`${await admin.endpoint('compute')}/os-keypairs`, {
    method: 'POST',
    headers: {'x-auth-token': (await admin.identity.token()).id, 'content-type': 'application/json'},
    body: JSON.stringify({keypair: {name: 'alice', public_key}}),
  })
  expect([200, 201, 409]).toContain(answer.status)
}

async function onExternal(name: string): Promise<string> {
  const [network] = await admin.network.networks({name: 'public'})
  const [image] = await admin.image.images({name: 'debian-12'})
  const body = {
    name,
    imageRef: image?.id,
    flavorRef: '1',
    key_name: 'alice',
    security_groups: [{name: 'open'}],
  }
  return (await admin.compute.createServer({...body, networks: [{uuid: network?.id}]})).id
}

it('is reached straight from the gate, which is plugged into nothing for it', async () => {
  const grant = await world.grant('tenant1', vm)
  expect(grant.route).toBe('direct')
  const client = new GateClient(world, grant)
  expect(await client.vm(`${world.home}/.ssh/id_alice`, ['uname', '-n'])).toMatchObject({
    status: 0,
    stdout: 't1-public\n',
  })
  expect(await world.attachments()).toEqual([])
  // Its account reaches its alias, and the VM's own address no more than anybody else's.
  const refused = await client.gate(['-W', `${grant.address}:22`])
  expect(refused).toMatchObject({status: 255, stderr: expect.stringContaining('administratively prohibited')})
})

it('has a live session cut by its revocation, and no other', async () => {
  const [one, other] = [await world.grant('tenant1', vm), await world.grant('tenant1', vm)]
  const session = (grant: typeof one) => new GateClient(world, grant).session(`${world.home}/.ssh/id_alice`)
  const [goes, stays] = [await session(one), await session(other)]
  await world.api('tenant1', 'DELETE', `/v1/paths/${one.id}`, undefined, 204)
  expect(await world.onGate(`pgrep -u ${one.login}`)).toMatchObject({status: 1, stdout: ''})
  expect(await goes.ended).toBe(255)
  expect(await stays.say('still here')).toBe('still here')
  stays.end()
})

it('begins nothing new after its certificate’s end, and lives until the path’s, by nftables alone', async () => {
  const grant = await world.grant('tenant1', vm)
  await world.stopService()
  const client = new GateClient(world, grant)
  const key = `${world.home}/.ssh/id_alice`
  // With a word now and then, as every ssh_config of ours has it: silence cannot be cut.
  const session = await client.session(key, ['-o', 'ServerAliveInterval=1', '-o', 'ServerAliveCountMax=3'])
  // As when their time runs out.
  const end = (set: string) => world.onGate(`nft delete element inet os_ssh ${set} '{ ${grant.alias} }'`)
  expect((await end('vms4')).status).toBe(0)
  expect((await client.vm(key, ['true'])).status).toBe(255)
  expect(await session.say('still here')).toBe('still here')
  expect((await end('live4')).status).toBe(0)
  const begun = Date.now()
  expect(await session.ended).toBe(255)
  expect(Date.now() - begun).toBeLessThan(11_000)
  await world.startService('service')
})

/** As a user who has closed their VM to the world. */
async function closed(): Promise<void> {
  const {project} = await admin.identity.token()
  const [group] = await admin.network.securityGroups({project_id: project?.id ?? '', name: 'default'})
  const [port] = await admin.network.ports({device_id: vm})
  await admin.network.updatePort(port?.id ?? '', {security_groups: [group?.id]})
}

it('that its groups keep from the gate is said so within seconds, and not that a gate is busy', async () => {
  await closed()
  // Neutron's agents take their time to close it: what is granted until then must not become too much.
  const refused = async () => {
    await world.endPaths('tenant1')
    return world.refusal('tenant1', vm)
  }
  const begun = Date.now()
  const answer = await eventually(refused, ({code}) => code !== undefined, 60_000)
  expect(answer).toMatchObject({
    code: 'VM_UNREACHABLE',
    detail: expect.stringMatching(
      /^the VM does not answer within 5 s on .*, TCP port 22, asked from the gate itself$/,
    ),
    hint: 'is sshd running in the VM, and does a security group admit TCP port 22 from the gate’s address?',
  })
  expect(Date.now() - begun).toBeLessThan(testCloud === 'lab' ? 14_000 : 70_000)
})

it('does not keep the others out of config --static', async () => {
  const {status, stdout, stderr} = await world.cli('tenant1', ['config', '--static'])
  const left = `left out: t1-public (${vm}): the VM does not answer`
  expect({status, stderr}).toMatchObject({status: 0, stderr: expect.stringContaining(left)})
  for (const name of ['t1-db', 't1-web']) expect(stdout).toMatch(new RegExp(`^Host .* ${name} `, 'm'))
  expect(stdout).not.toContain('t1-public')
})
