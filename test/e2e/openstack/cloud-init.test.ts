import {existsSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {loadCloud, type OpenStack, openStack} from '../../../src/openstack/index.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {dir, nodes} from '../../openstack/place.ts'
import {cloudConfig, Guest} from '../../support/guest.ts'
import {closeSite, openSite, type Site} from '../../support/site.ts'

/* Servers with user data on the real Nova: its config drive, its actions, and what cloud-init makes of it. */

jest.setTimeout(300_000)

let site: Site
let cloud: OpenStack
const guests: Guest[] = []
const ports: string[] = []
beforeAll(async () => {
  site = await openSite('cloud-init', {asks: true, asIs: true})
  cloud = openStack(await loadCloud({cloud: 'service', env: {OS_CLIENT_CONFIG_FILE: site.clouds_yaml}}))
})
afterAll(async () => {
  for (const guest of guests) await guest.delete().catch(() => undefined) // a test has deleted one
  for (const port of ports) await cloud.network.deletePort(port)
  await cloud?.close()
  if (site) await closeSite(site)
})

/** On the gates' network, which is reached through the gate. */
async function boot(name: string, userData: (key: string) => string, metadata = {}): Promise<Guest> {
  const [network] = await cloud.network.networks({name: 'gates'})
  const [image] = await cloud.image.images({name: 'debian-12'})
  const port = await cloud.network.createPort({
    network_id: network?.id ?? '',
    security_groups: (await cloud.network.securityGroups({name: 'open'})).map(group => group.id),
  })
  ports.push(port.id)
  const server = {name, imageRef: image?.id, flavorRef: '1', key_name: 'management', metadata}
  const nic = {networks: [{port: port.id}]}
  const settings = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  const options = settings.map(setting => `-o ${setting}`).join(' ')
  const jump = `ssh -F none -i ${site.management_key} ${options} -W %h:%p root@${site.gates[0]?.host}`
  const address = port.fixed_ips[0]?.ip_address ?? ''
  const guest = await Guest.boot(cloud, {...server, ...nic}, address, userData, [
    '-o',
    `ProxyCommand=${jump}`,
  ])
  guests.push(guest)
  return guest
}

const hostKey = generateKeyPair('injected')
const full = (key: string) =>
  cloudConfig({
    disable_root: false,
    ssh_authorized_keys: [key],
    ssh_keys: {ed25519_private: hostKey.privateKey, ed25519_public: `${hostKey.publicKey}\n`},
    write_files: [{path: '/etc/told', content: 'by user data\n'}],
    runcmd: ['echo ran >>/root/ran'],
  })

it('boots by cloud-init; stop, start and both reboots keep the disk', async () => {
  const guest = await boot('ci-full', full)
  await guest.booted()
  const says = async () => (await guest.ssh('root', 'hostname; cat /etc/told /root/ran')).stdout
  const told = 'ci-full\nby user data\nran\n'
  expect(await says()).toBe(told)
  expect(await guest.hostKey()).toBe(hostKey.publicKey.split(' ').slice(0, 2).join(' '))
  expect((await guest.ssh('debian', 'id -un', site.management_key)).stdout).toBe('debian\n')

  await guest.act({reboot: {type: 'SOFT'}})
  await guest.booted(2)
  expect(await says()).toBe(told)
  await guest.act({reboot: {type: 'HARD'}})
  await guest.booted(3)
  expect(await says()).toBe(told)

  await guest.act({'os-stop': null})
  await guest.is('SHUTOFF')
  expect((await guest.ssh('root', 'true')).status).toBe(255)
  await guest.act({'os-start': null})
  await guest.booted(4)
  expect(await says()).toBe(told)
})

it('a rebuild makes another disk with another host key; a deleted server is gone', async () => {
  const guest = await boot(
    'ci-script',
    key => `#!/bin/sh\ninstall -d -m 700 /root/.ssh; echo '${key}' >/root/.ssh/authorized_keys\n`,
  )
  await guest.booted()
  expect((await guest.ssh('root', 'touch /root/mine; hostname')).stdout).toBe('ci-script\n')
  const before = await guest.hostKey()
  const [image] = await cloud.image.images({name: 'debian-12'})
  await guest.act({rebuild: {imageRef: image?.id}})
  await guest.is('ACTIVE')
  await guest.booted()
  const after = await guest.hostKey()
  expect([before, after]).toEqual([
    expect.stringMatching(/^ssh-ed25519 /),
    expect.stringMatching(/^ssh-ed25519 /),
  ])
  expect(after).not.toBe(before)
  expect((await guest.ssh('root', 'ls /root/mine; hostname')).stdout).toBe('ci-script\n')

  const folders = () =>
    nodes.filter(({name}) => existsSync(`${dir}/nodes/${name}/machines/${guest.id}`)).length
  expect(folders()).toBe(1)
  await guest.delete()
  expect(folders()).toBe(0)
})

it('one that does not boot is in ERROR, with the words of the machine', async () => {
  const guest = await boot('ci-tiny', full, {'lab:disk_mb': '0'})
  await guest.is('ERROR')
  expect(await guest.fault()).toContain('No space left on device')
})
