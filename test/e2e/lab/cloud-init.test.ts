import {existsSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {type LabInfo, labDown, labUp} from '../../../lab/index.ts'
import {loadCloud, type OpenStack, openStack} from '../../../src/openstack/index.ts'
import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {cloudConfig, Guest} from '../../support/guest.ts'
import {needOwnNetns} from '../../support/netns.ts'

/* Servers with user data: Debian's real cloud-init makes of it what it makes in a virtual machine. */

jest.setTimeout(240_000)
const name = 'e2e-cloud-init'
let lab: LabInfo
let admin: OpenStack
let service: OpenStack
const guests: Guest[] = []

beforeAll(async () => {
  needOwnNetns()
  await labDown({name})
  lab = await labUp({name, port: 0})
  const cloud = async (entry: string) =>
    openStack(await loadCloud({cloud: entry, env: {OS_CLIENT_CONFIG_FILE: lab.clouds_yaml}}))
  admin = await cloud('admin')
  service = await cloud('service')
})
afterAll(async () => {
  for (const guest of guests) await guest.delete()
  await admin?.close()
  await service?.close()
  await labDown({name})
})

async function boot(called: string, userData: (key: string) => string, metadata = {}): Promise<Guest> {
  const project_id = (await service.identity.token()).project?.id ?? ''
  const [network] = await admin.network.networks({name: 'public'})
  const groups = await service.network.securityGroups({project_id, name: 'open'})
  const security_groups = groups.map(group => group.id)
  const port = await admin.network.createPort({network_id: network?.id ?? '', project_id, security_groups})
  const [image] = await service.image.images({name: 'debian-12'})
  const server = {name: called, imageRef: image?.id, flavorRef: '1', key_name: 'management', metadata}
  const nic = {networks: [{port: port.id}]}
  const guest = await Guest.boot(service, {...server, ...nic}, port.fixed_ips[0]?.ip_address ?? '', userData)
  guests.push(guest)
  return guest
}

const rebuild = async (guest: Guest) => {
  const [image] = await service.image.images({name: 'debian-12'})
  await guest.act({rebuild: {imageRef: image?.id}})
}

const hostKey = generateKeyPair('injected')
const bare = (line: string) => line.trim().split(' ').slice(0, 2).join(' ')
const full = (key: string) =>
  cloudConfig({
    hostname: 'chosen',
    disable_root: false,
    ssh_keys: {ed25519_private: hostKey.privateKey, ed25519_public: `${hostKey.publicKey}\n`},
    ssh_authorized_keys: [key],
    users: ['default', {name: 'dora', ssh_authorized_keys: [key]}],
    write_files: [
      {path: '/opt/x/told', content: 'by user data', permissions: '0640'},
      {path: '/etc/systemd/system/os-ssh-gate.service', content: '[Service]\nExecStart=touch /run/guarded\n'},
    ],
    runcmd: ['echo ran >>/root/ran', 'echo said to the console', ['sh', '-c', 'sleep 600 &']],
  })

describe('#cloud-config', () => {
  let guest: Guest
  beforeAll(async () => {
    guest = await boot('Some Name', full)
  })
  const says = async (command: string) => (await guest.ssh('root', command)).stdout

  it('makes the host name, accounts, keys and files, and runs the commands', async () => {
    const log = await guest.booted()
    expect(await says('hostname; cat /etc/hostname /root/ran /opt/x/told; stat -c %a /opt/x/told')).toBe(
      'chosen\nchosen\nran\nby user data640\n',
    )
    for (const user of ['debian', 'dora']) expect((await guest.ssh(user, 'id -un')).stdout).toBe(`${user}\n`)
    expect((await guest.ssh('debian', 'id -un', lab.management_key)).stdout).toBe('debian\n')
    expect((await guest.ssh('root', 'true', lab.user_keys.alice)).status).toBe(255)
    expect(log).toMatch(/^said to the console$/m)
  })

  it('puts the injected host key into sshd and onto the console', async () => {
    expect(await guest.hostKey()).toBe(bare(hostKey.publicKey))
    expect(await says('ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null')).toContain(bare(hostKey.publicKey))
  })

  it('writes nothing into this machine', async () => {
    expect(await says('touch /usr/bin/mine /var/lib/mine /var/log/mine && echo made')).toBe('made\n')
    for (const file of ['/opt/x', '/usr/bin/mine', '/var/lib/mine', '/var/log/mine'])
      expect([file, existsSync(file)]).toEqual([file, false])
  })

  it('keeps its disk over a reboot, which runs nothing anew and starts the gate’s guard', async () => {
    expect(
      await says('ls /run/guarded; for d in /root /home/dora /etc /var/log; do echo $d >$d/kept; done'),
    ).toBe('')
    await guest.act({reboot: {type: 'HARD'}})
    const log = await guest.booted(2)
    expect(await says('hostname; cat /root/ran /root/kept /home/dora/kept /etc/kept /var/log/kept')).toBe(
      'chosen\nran\n/root\n/home/dora\n/etc\n/var/log\n',
    )
    expect(await says('ls /run/guarded')).toBe('/run/guarded\n')
    expect((await guest.ssh('dora', 'id -un')).stdout).toBe('dora\n')
    expect(log.match(/BEGIN SSH HOST KEY KEYS/g)).toHaveLength(1)
    expect(await says('ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null')).toContain(bare(hostKey.publicKey))
  })
})

it('a script runs, once a disk; a rebuild makes another disk with another host key', async () => {
  const guest = await boot(
    'scripted',
    key => `#!/bin/sh
    install -d -m 700 /root/.ssh; echo '${key}' >/root/.ssh/authorized_keys; date +%N >>/root/ran`,
  )
  await guest.booted()
  const before = {key: await guest.hostKey(), ran: (await guest.ssh('root', 'cat /root/ran')).stdout}
  expect(before).toEqual({key: expect.stringMatching(/^ssh-ed25519 /), ran: expect.stringMatching(/^\d+\n$/)})
  await guest.act({'os-stop': null})
  await guest.is('SHUTOFF')
  await guest.act({'os-start': null})
  await guest.booted(2)
  expect((await guest.ssh('root', 'cat /root/ran')).stdout).toBe(before.ran)

  await rebuild(guest)
  await guest.is('ACTIVE')
  await guest.booted()
  const after = {key: await guest.hostKey(), ran: (await guest.ssh('root', 'cat /root/ran')).stdout}
  expect(after).toEqual({key: expect.stringMatching(/^ssh-ed25519 /), ran: expect.stringMatching(/^\d+\n$/)})
  expect(after.key).not.toBe(before.key)
  expect(after.ran).not.toBe(before.ran)
})

describe('what fails', () => {
  it('nonsense is said on the console, and the key pair’s owner gets in', async () => {
    const guest = await boot('nonsense', () => '#cloud-config\nruncmd: [unclosed\n')
    const log = await guest.booted()
    expect(log).toMatch(/Failed loading yaml blob|Invalid format/)
    expect((await guest.ssh('debian', 'hostname', lab.management_key)).stdout).toBe('nonsense\n')
    expect(await guest.hostKey()).toMatch(/^ssh-ed25519 /)
  })

  it('a script that exits with an error is named on the console', async () => {
    const guest = await boot('failing', () => '#!/bin/sh\necho so far so good\nexit 7\n')
    const log = await guest.booted()
    expect(log).toContain('so far so good')
    expect(log).toMatch(/Failed to run module scripts-user|scripts-user.*failed/i)
    expect((await guest.ssh('debian', 'hostname', lab.management_key)).stdout).toBe('failing\n')
  })

  it('a bad configuration of sshd: the machine is up, and says why nobody gets in', async () => {
    const bad = {path: '/etc/ssh/sshd_config.d/05-bad.conf', content: 'NoSuchOption yes\n'}
    const guest = await boot('bad-sshd', () => cloudConfig({write_files: [bad]}))
    expect(await guest.booted()).toContain('Bad configuration option: NoSuchOption')
    expect((await guest.ssh('debian', 'true', lab.management_key)).stderr).toContain('refused')
  })

  it('a disk that is full, as its metadata asks for', async () => {
    const guest = await boot('small', full, {'lab:disk_mb': '8'})
    await guest.booted()
    const {stderr} = await guest.ssh('root', 'head -c 9M /dev/zero >/etc/big')
    expect(stderr).toContain('No space left on device')
    expect((await guest.ssh('root', 'echo x >/etc/more')).stderr).toContain('No space left on device')
  })

  it('a disk that is too small to boot from: ERROR, with the words of the machine', async () => {
    const guest = await boot('tiny', full, {'lab:disk_mb': '0'})
    await guest.is('ERROR')
    expect(await guest.fault()).toContain('No space left on device')
  })
})
