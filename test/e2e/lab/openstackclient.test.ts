import {spawnSync} from 'node:child_process'
import {existsSync, writeFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, jest, test} from '@jest/globals'

import {type LabInfo, labDown, labUp} from '../../../lab/index.ts'
import {needOwnNetns} from '../../support/netns.ts'

/* The judge of the lab's fidelity is a client that we did not write: Debian's python-openstackclient. */

jest.setTimeout(180_000)
const name = 'e2e-osc'
let lab: LabInfo

beforeAll(async () => {
  needOwnNetns()
  if (!existsSync('/usr/bin/openstack')) throw new Error('needs the Debian package python3-openstackclient')
  await labDown({name})
  lab = await labUp({name, port: 0})
})
afterAll(() => labDown({name}))

/** Runs the client; gives its JSON when it prints some. */
function openstack(cloud: string, ...words: string[]) {
  const {status, stdout, stderr} = spawnSync(
    '/usr/bin/python3',
    ['/usr/bin/openstack', '--os-cloud', cloud, ...words],
    {
      encoding: 'utf8',
      timeout: 90_000,
      env: {
        PATH: '/usr/bin:/bin',
        OS_CLIENT_CONFIG_FILE: lab.clouds_yaml,
        PYTHONWARNINGS: 'ignore',
        no_proxy: '*',
        HOME: '/nonexistent',
      },
    },
  )
  return {status, stdout, stderr}
}
function json(cloud: string, ...words: string[]) {
  const {status, stdout, stderr} = openstack(cloud, ...words, '-f', 'json')
  if (status !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  return JSON.parse(stdout)
}

test('issues a token', () => {
  const token = json('tenant1', 'token', 'issue')
  expect(token.id).toMatch(/^gAAAAA/)
  expect(new Date(token.expires).getTime()).toBeGreaterThan(Date.now())
})

test('lists and shows servers', () => {
  const list: {Name: string; Status: string; Networks: unknown}[] = json('tenant1', 'server', 'list')
  const mine = lab.servers.filter(server => server.project === 'tenant1').map(server => server.name)
  expect(list.map(row => row.Name).toSorted()).toEqual(mine.toSorted())
  expect(list.find(row => row.Name === 't1-off')?.Status).toBe('SHUTOFF')
  const shown = json('tenant1', 'server', 'show', 't1-web')
  expect(shown).toMatchObject({name: 't1-web', key_name: 'alice', addresses: {'t1-net': ['10.0.0.10']}})
  expect(shown.image).toContain('debian-12')
  expect(openstack('tenant2', 'server', 'show', 't1-web').stderr).toContain(
    "No server with a name or ID of 't1-web' exists",
  )
})

describe('network', () => {
  test.each([
    ['network', 't1-net', {mtu: 1450, 'router:external': false}],
    ['subnet', 't1-net', {cidr: '10.0.0.0/24', gateway_ip: '10.0.0.1'}],
    ['router', 't1-router', {status: 'ACTIVE'}],
  ])('lists and shows a %s', (kind, called, want) => {
    const list: {Name: string}[] = json('tenant1', kind, 'list')
    expect(list.map(row => row.Name)).toContain(called)
    expect(list.some(row => row.Name.startsWith('t2-'))).toBe(false)
    expect(json('tenant1', kind, 'show', called)).toMatchObject(want)
  })

  test('makes a port, plugs it into a running server, takes it out and deletes it', () => {
    const made = json('tenant1', 'port', 'create', '--network', 't1-iso', 'plug')
    expect(made).toMatchObject({status: 'DOWN', device_id: ''})
    const vm = `oslab-${name}-vm-${lab.servers.find(server => server.name === 't1-web')?.id.slice(0, 8)}`
    const devices = () => spawnSync('ip', ['-n', vm, '-br', 'link'], {encoding: 'utf8'}).stdout
    expect(openstack('tenant1', 'server', 'add', 'port', 't1-web', 'plug').stderr).toBe('')
    expect(devices()).toContain(made.mac_address)
    expect(json('tenant1', 'port', 'show', 'plug').device_id).toBe(
      json('tenant1', 'server', 'show', 't1-web').id,
    )
    expect(openstack('tenant1', 'server', 'remove', 'port', 't1-web', 'plug').stderr).toBe('')
    expect(devices()).not.toContain(made.mac_address)
    expect(json('tenant1', 'port', 'show', 'plug')).toMatchObject({status: 'DOWN', device_id: ''})
    expect(openstack('tenant1', 'port', 'delete', 'plug').status).toBe(0)
    expect(
      json('tenant1', 'port', 'list', '--network', 't1-iso').some(
        (row: {Name: string}) => row.Name === 'plug',
      ),
    ).toBe(false)
  })

  test('a reader is told so', () => {
    const {status, stderr} = openstack('reader', 'port', 'create', '--network', 't1-net', 'x')
    expect(status).toBe(1)
    expect(stderr).toContain('403')
    expect(stderr).toContain('rule:create_port is disallowed by policy')
  })
})

test('reads the console log and the key pairs', () => {
  const log = openstack('tenant1', 'console', 'log', 'show', 't1-web').stdout
  expect(log).toMatch(/-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 \S+ root@t1-web\n-----END/)
  expect(json('tenant1', 'keypair', 'list').map((pair: {Name: string}) => pair.Name)).toEqual(['alice'])
})

test('stops, starts, boots and deletes servers', () => {
  expect(openstack('tenant1', 'server', 'stop', 't1-app').stderr).toBe('')
  const state = () => json('tenant1', 'server', 'show', 't1-app').status
  let now = state()
  for (let tries = 0; now !== 'SHUTOFF' && tries < 10; tries++) now = state()
  expect(now).toBe('SHUTOFF')
  expect(openstack('tenant1', 'server', 'start', 't1-app').stderr).toBe('')
  const boot = [
    '--flavor',
    'm1.tiny',
    '--image',
    'debian-12',
    '--network',
    't1-net',
    '--key-name',
    'alice',
    '--wait',
  ]
  expect(json('tenant1', 'server', 'create', ...boot, 'fresh')).toMatchObject({
    status: 'ACTIVE',
    name: 'fresh',
  })
  expect(openstack('tenant1', 'server', 'delete', '--wait', 'fresh').status).toBe(0)
  expect(state()).toBe('ACTIVE')
})

describe('what a deployment of one’s own needs', () => {
  const image = ['--image', 'debian-12', '--flavor', 'm1.tiny']

  test('limits and quotas', () => {
    const limits: {Name: string; Value: number}[] = json('tenant1', 'limits', 'show', '--absolute')
    const limit = (called: string) => limits.find(row => row.Name === called)?.Value
    const mine = lab.servers.filter(server => server.project === 'tenant1')
    expect(limit('totalInstancesUsed')).toBe(mine.length)
    expect(limit('maxServerGroups')).toBe(10)
    expect(json('tenant1', 'quota', 'show')).toMatchObject({
      instances: 50,
      cores: 100,
      'floating-ips': 50,
      secgroups: 10,
      'server-groups': 10,
    })
    expect(openstack('admin', 'quota', 'set', '--instances', '51', 'tenant1').stderr).toBe('')
    const now: {Name: string; Value: number}[] = json('tenant1', 'limits', 'show', '--absolute')
    expect(now.find(row => row.Name === 'maxTotalInstances')?.Value).toBe(51)
  })

  test('images, flavors and zones to choose from', () => {
    const found: {Name: string}[] = json(
      'tenant1',
      ...['image', 'list', '--status', 'active', '--property', 'os_distro=ubuntu'],
    )
    expect(found.map(row => row.Name).toSorted()).toEqual(['ubuntu-24.04', 'ubuntu-24.04-arm64'])
    const compute = ['--os-compute-api-version', '2.92']
    expect(json('tenant1', ...compute, 'flavor', 'show', 'g1.small').properties).toEqual({
      'pci_passthrough:alias': 'gpu:1',
    })
    const zones: {'Zone Name': string}[] = json('tenant1', 'availability', 'zone', 'list', '--compute')
    expect(zones.map(row => row['Zone Name'])).toEqual(['nova', 'az2'])
  })

  test('a security group with rules, on a server with user data in an anti-affinity group', () => {
    json('tenant1', 'security', 'group', 'create', 'gate')
    const ssh = ['--protocol', 'tcp', '--dst-port', '22', '--remote-ip', '0.0.0.0/0']
    const rule = json('tenant1', 'security', 'group', 'rule', 'create', ...ssh, 'gate')
    expect(rule).toMatchObject({port_range_min: 22, port_range_max: 22, direction: 'ingress'})
    expect(openstack('tenant1', 'security', 'group', 'rule', 'create', ...ssh, 'gate').stderr).toContain(
      `Security group rule already exists. Rule id is ${rule.id}.`,
    )
    const compute = ['--os-compute-api-version', '2.92']
    const policy = ['--policy', 'anti-affinity', 'gates']
    const group = json('tenant1', ...compute, 'server', 'group', 'create', ...policy)
    expect(group.policy).toBe('anti-affinity')
    const data = lab.clouds_yaml.replace(/[^/]+$/, 'user-data')
    writeFileSync(data, '#cloud-config\ndisable_root: false\n')
    const made = json(
      'tenant1',
      ...compute,
      ...['server', 'create', ...image, '--key-name', 'alice', '--user-data', data, '--config-drive', 'true'],
      ...['--network', 't1-net', '--security-group', 'gate', '--hint', `group=${group.id}`],
      ...['--availability-zone', 'nova', '--property', 'os-ssh=1', '--wait', 'osc-gate'],
    )
    expect(made).toMatchObject({
      status: 'ACTIVE',
      config_drive: 'True',
      'OS-EXT-AZ:availability_zone': 'nova',
      properties: {'os-ssh': '1'},
      security_groups: [{name: 'gate'}],
      server_groups: [group.id],
    })
    expect(openstack('tenant1', 'security', 'group', 'delete', 'gate').stderr).toContain('Conflict')
  })

  let address = ''
  const login = () => {
    const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'ConnectTimeout=5']
    const words = ['-F', 'none', ...options.flatMap(option => ['-o', option]), '-i', lab.user_keys.alice]
    const run = spawnSync('ssh', [...words, `root@${address}`, 'hostname'], {
      encoding: 'utf8',
      timeout: 30_000,
    })
    return run.stdout
  }

  test('a floating IP by which it is reached', () => {
    address = json('tenant1', 'floating', 'ip', 'create', 'public').floating_ip_address
    expect(openstack('tenant1', 'server', 'add', 'floating', 'ip', 'osc-gate', address).stderr).toBe('')
    expect(login()).toBe('osc-gate\n')
    expect(json('tenant1', 'server', 'show', 'osc-gate').addresses['t1-net']).toContain(address)
  })

  test('rebuilt, it has another host key and the same addresses', () => {
    const key = () =>
      openstack('tenant1', 'console', 'log', 'show', 'osc-gate').stdout.match(/ssh-ed25519 AAAA\S+/)?.[0]
    const before = key()
    expect(openstack('tenant1', 'server', 'rebuild', '--wait', 'osc-gate').status).toBe(0)
    expect(key()).not.toBe(before)
    expect(login()).toBe('osc-gate\n')
  })

  test('all of it goes away again', () => {
    expect(openstack('tenant1', 'server', 'remove', 'floating', 'ip', 'osc-gate', address).stderr).toBe('')
    expect(login()).toBe('')
    expect(openstack('tenant1', 'floating', 'ip', 'delete', address).status).toBe(0)
    expect(openstack('tenant1', 'server', 'delete', '--wait', 'osc-gate').status).toBe(0)
    expect(openstack('tenant1', 'security', 'group', 'delete', 'gate').stderr).toBe('')
    expect(openstack('tenant1', 'server', 'group', 'delete', 'gates').stderr).toBe('')
  })

  test('a server for which there is no host says why', () => {
    const words = ['--image', 'debian-12', '--flavor', 'g1.small', '--network', 't1-net', '--wait', 'gpu']
    // the client itself ends with 0 here
    const {stdout, stderr} = openstack('tenant1', 'server', 'create', ...words)
    expect(stdout + stderr).toContain('Error creating server: gpu')
    expect(json('tenant1', 'server', 'show', 'gpu').fault.message).toContain('No valid host was found.')
    expect(openstack('tenant1', 'server', 'delete', '--wait', 'gpu').status).toBe(0)
  })
})

test('an admin sees all projects, agents and availabilities', () => {
  const all: {Name: string}[] = json('admin', 'server', 'list', '--all-projects')
  expect(all).toHaveLength(lab.servers.length)
  expect(json('admin', 'network', 'agent', 'list').length).toBeGreaterThan(3)
  const used: {'Network Name': string}[] = json('admin', 'ip', 'availability', 'list')
  expect(used.map(row => row['Network Name'])).toContain('public')
})
