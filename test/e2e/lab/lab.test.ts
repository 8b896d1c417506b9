import {spawn, spawnSync} from 'node:child_process'
import {once} from 'node:events'
import {existsSync, readdirSync, readFileSync} from 'node:fs'

import {afterAll, beforeAll, describe, expect, jest, test} from '@jest/globals'

import {type LabInfo, labDown, labStatus, labUp} from '../../../lab/index.ts'
import {loadCloud, type OpenStack, openStack} from '../../../src/openstack/index.ts'
import {needOwnNetns} from '../../support/netns.ts'
import {eventually} from '../../support/run.ts'

/* The lab itself, with real namespaces and real sshd. */

jest.setTimeout(120_000)
const name = 'e2e-lab'
let lab: LabInfo
let alice: OpenStack
let admin: OpenStack

const cloud = async (entry: string) =>
  openStack(await loadCloud({cloud: entry, env: {OS_CLIENT_CONFIG_FILE: lab.clouds_yaml}}))
const server = (called: string) => {
  const found = lab.servers.find(one => one.name === called)
  if (!found) throw new Error(`no ${called}`)
  return found
}

/** Runs a command in a machine that the external network reaches, pinned by no key: the lab's own tests trust it. */
function ssh(user: string, key: string, host: string, ...command: string[]) {
  const options = [
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'LogLevel=ERROR',
    'BatchMode=yes',
    'ConnectTimeout=10',
  ]
  const words = [
    ...options.flatMap(option => ['-o', option]),
    '-F',
    'none',
    '-i',
    key,
    `${user}@${host}`,
    ...command,
  ]
  return spawnSync('ssh', words, {encoding: 'utf8', timeout: 30_000})
}
const gate = (...command: string[]) => ssh('root', lab.management_key, lab.gates[0]?.host ?? '', ...command)
const jump = (...command: string[]) =>
  ssh('debian', lab.user_keys.alice, server('t1-jump').addresses['public']?.[0] ?? '', ...command)

const namespaces = (lab: string) => readdirSync('/run/netns').filter(file => file.startsWith(`oslab-${lab}-`))

beforeAll(async () => {
  needOwnNetns()
  await labDown({name})
  lab = await labUp({name, port: 0})
  alice = await cloud('tenant1')
  admin = await cloud('admin')
})
afterAll(async () => {
  await alice?.close()
  await admin?.close()
  await labDown({name})
})

describe('guests', () => {
  test('are separate machines with their own accounts, processes and devices', () => {
    expect(gate('hostname; cat /proc/1/cmdline | tr "\\0" " "; ls /sys/class/net').stdout).toMatch(
      /^gate1\nsh .*guest-init-cloud .* gate1 eth0\nlo\n$/,
    )
    expect(gate('useradd -m stranger && ip netns add x && ls /run/netns').stdout).toBe('x\n')
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain('stranger')
    expect(existsSync('/run/netns/x')).toBe(false)
  })

  test('take the key of their Nova key pair and no other', () => {
    expect(jump('id -un').stdout).toBe('debian\n')
    expect(
      ssh('debian', lab.user_keys.bob, server('t1-jump').addresses['public']?.[0] ?? '', 'true').status,
    ).toBe(255)
    expect(
      ssh('root', lab.user_keys.alice, server('t1-jump').addresses['public']?.[0] ?? '', 'true').status,
    ).toBe(255)
  })

  test('print the host key that their sshd has to the console', async () => {
    const log = await admin.compute.consoleLog(server('gate1').id)
    const key = /BEGIN SSH HOST KEY KEYS-----\n(\S+ \S+)/.exec(log)?.[1]
    const scanned = spawnSync('ssh-keyscan', ['-t', 'ed25519', lab.gates[0]?.host ?? ''], {
      encoding: 'utf8',
    }).stdout
    expect(key).toBe(lab.gates[0]?.host_key)
    expect(scanned).toContain(String(key))
  })

  test('reach their own networks, and equal addresses of two tenants stay two machines', async () => {
    const scan = (host: string) =>
      jump(`ssh-keyscan -t ed25519 ${host} 2>/dev/null | cut -d" " -f2-`).stdout.trim()
    const consoleKey = async (called: string) =>
      /KEYS-----\n(\S+ \S+)/.exec(await admin.compute.consoleLog(server(called).id))?.[1]
    expect(scan('10.0.0.10')).toBe(await consoleKey('t1-web'))
    expect(scan('10.0.1.10')).toBe(await consoleKey('t1-db'))
    expect(await consoleKey('t2-web')).not.toBe(await consoleKey('t1-web'))
  })
})

describe('hot-plugging', () => {
  test('brings a device that is down, and takes it away wherever it was moved', async () => {
    const network = (await admin.network.networks({name: 't1-iso'}))[0]
    const project = lab.gates[0]?.project_id ?? ''
    const port = await admin.network.createPort({
      network_id: network?.id ?? '',
      project_id: project,
      name: 'plug',
    })
    const gateId = lab.gates[0]?.server_id ?? ''
    await admin.compute.attachPort(gateId, port.id)
    const [line = ''] = gate('ip -o link show eth1').stdout.split('\n')
    expect(line).toContain(`link/ether ${port.mac_address}`)
    expect(line).toContain('mtu 1450')
    expect(line).not.toContain('UP')
    expect(gate('ip -o addr show dev eth1').stdout).toBe('')
    const address = port.fixed_ips[0]?.ip_address
    const setup = `ip netns add t; ip link set eth1 netns t; ip -n t addr add ${address}/24 dev eth1; ip -n t link set eth1 up`
    const ping = (to: string) => `ip netns exec t ping -c1 -W2 ${to}`
    expect(gate(`${setup}; ${ping('10.0.1.10')}`).stdout).toContain('1 received')
    // anti-spoofing: another address than the port's gets no answer
    gate(`ip -n t addr add 10.0.1.200/24 dev eth1`)
    expect(gate(`ip netns exec t ping -c1 -W1 -I 10.0.1.200 10.0.1.10`).stdout).toContain('0 received')
    await admin.compute.detachPort(gateId, port.id)
    expect(gate('ip -n t link show eth1').status).not.toBe(0)
    const after = await admin.network.port(port.id)
    expect([after.device_id, after.status]).toEqual(['', 'DOWN'])
    await admin.network.deletePort(port.id)
  })
})

test('a stopped server has no process, a started one keeps its host key', async () => {
  const {id} = server('t1-web')
  const token = (await alice.identity.token()).id
  const act = (body: object) =>
    fetch(`${lab.api}/compute/v2.1/servers/${id}/action`, {
      method: 'POST',
      headers: {'x-auth-token': token, 'content-type': 'application/json'},
      body: JSON.stringify(body),
    })
  const state = async () => (await alice.compute.server(id)).status
  const scan = () => jump('ssh-keyscan -T 2 -t ed25519 10.0.0.10 2>/dev/null').stdout
  const before = scan()
  const processes = (await labStatus({name})).processes
  expect((await act({'os-stop': null})).status).toBe(202)
  expect(await eventually(state, value => value === 'SHUTOFF')).toBe('SHUTOFF')
  expect((await labStatus({name})).processes).toBeLessThan(processes)
  expect(scan()).toBe('')
  expect((await act({'os-start': null})).status).toBe(202)
  expect(await eventually(state, value => value === 'ACTIVE')).toBe('ACTIVE')
  expect(before).toContain('ssh-ed25519')
  expect(scan()).toBe(before)
})

test('a security group decides who may open a connection', async () => {
  const port = (await alice.network.ports({device_id: server('t1-db').id}))[0]
  const before = [...(port?.security_groups ?? [])]
  const closed = (await alice.network.securityGroups({name: 'default'}))[0]?.id ?? ''
  const scan = () => jump('ssh-keyscan -T 2 -t ed25519 10.0.1.10 2>/dev/null').stdout
  expect(scan()).toContain('ssh-ed25519')
  await alice.network.updatePort(port?.id ?? '', {security_groups: [closed]})
  expect(scan()).toBe('')
  const mine = (
    await alice.network.ports({device_id: server('t1-jump').id, fixed_ips: 'ip_address=10.0.1.31'})
  )[0]
  await alice.network.updatePort(mine?.id ?? '', {
    security_groups: [...(mine?.security_groups ?? []), closed],
  })
  expect(scan()).toContain('ssh-ed25519') // the default group admits its own members
  await alice.network.updatePort(port?.id ?? '', {security_groups: before})
})

test('routers route between their subnets and hide them behind their own address outside', async () => {
  const web = spawnSync(
    'ip',
    [
      'netns',
      'exec',
      `oslab-${name}-vm-${server('t1-web').id.slice(0, 8)}`,
      'ping',
      '-c1',
      '-W2',
      '10.0.2.10',
    ],
    {encoding: 'utf8'},
  )
  expect(web.stdout).toContain('1 received')
  const router = (await admin.network.routers({name: 't1-router'}))[0]
  const outside = router?.external_gateway_info?.external_fixed_ips[0]?.ip_address
  const jumpAddress = server('t1-jump').addresses['public']?.[0] ?? ''
  const vm = `oslab-${name}-vm-${server('t1-app').id.slice(0, 8)}`
  const script = `exec 3<>/dev/tcp/${jumpAddress}/22; read -r banner <&3; echo up; sleep 30`
  const client = spawn('ip', ['netns', 'exec', vm, 'bash', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  await once(client.stdout, 'data')
  const seen = jump('ss -tnH state established sport = :22').stdout
  client.kill()
  expect(seen).toContain(`${outside}:`)
  expect(seen).not.toContain('10.0.2.10')
})

describe('a floating IP', () => {
  const call = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const answer = await fetch(`${lab.api}/network/v2.0/${path}`, {
      method,
      headers: {'x-auth-token': (await alice.identity.token()).id, 'content-type': 'application/json'},
      ...(body && {body: JSON.stringify(body)}),
    })
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`)
    return (answer.status === 204 ? undefined : await answer.json()) as T
  }
  type Answer = {floatingip: {id: string; floating_ip_address: string}}
  const portOf = async (called: string) =>
    (await alice.network.ports({device_id: server(called).id}))[0]?.id ?? ''
  const login = (address: string) => ssh('debian', lab.user_keys.alice, address, 'hostname').stdout
  let made: Answer['floatingip']

  beforeAll(async () => {
    const [network] = await alice.network.networks({name: 'public'})
    const floatingip = {floating_network_id: network?.id, port_id: await portOf('t1-web')}
    made = (await call<Answer>('POST', 'floatingips', {floatingip})).floatingip
  })
  afterAll(async () => {
    if (made) await call('DELETE', `floatingips/${made.id}`)
  })

  test('leads to the guest from outside, and the guest goes out by it', () => {
    expect(login(made.floating_ip_address)).toBe('t1-web\n')
    const hold = `exec 3<>/dev/tcp/${lab.gates[0]?.host}/22; sleep 20`
    const held = `ss -tnH state established dport = :22 | grep -q ${lab.gates[0]?.host}`
    const command = `nohup bash -c '${hold}' >/dev/null 2>&1 & for n in $(seq 50); do ${held} && break; sleep 0.1; done`
    ssh('debian', lab.user_keys.alice, made.floating_ip_address, command)
    expect(gate('ss -tnH sport = :22').stdout).toContain(`${made.floating_ip_address}:`)
  })

  test('is subject to the security groups of the port', async () => {
    const port = await portOf('t1-web')
    const before = (await alice.network.port(port)).security_groups
    const group = (
      await call<{security_group: {id: string}}>('POST', 'security-groups', {security_group: {name: 'door'}})
    ).security_group.id
    await alice.network.updatePort(port, {security_groups: [group]})
    expect(login(made.floating_ip_address)).toBe('')
    const from = `${lab.external_cidr.replace(/0\/24$/, '1')}/32`
    const rule = {security_group_id: group, direction: 'ingress', protocol: 'tcp', remote_ip_prefix: from}
    await call('POST', 'security-group-rules', {
      security_group_rule: {...rule, port_range_min: 22, port_range_max: 22},
    })
    expect(login(made.floating_ip_address)).toBe('t1-web\n')
    expect(gate(`timeout 3 ssh-keyscan -T 2 ${made.floating_ip_address} 2>/dev/null`).stdout).toBe('')
    await alice.network.updatePort(port, {security_groups: [...before]})
    await call('DELETE', `security-groups/${group}`)
  })

  test('moves to another guest, also behind a router whose gateway was taken away in between', async () => {
    const change = (change: object) => call('PUT', `floatingips/${made.id}`, {floatingip: change})
    await change({port_id: await portOf('t1-app')})
    expect(login(made.floating_ip_address)).toBe('t1-app\n')
    await change({port_id: null})
    expect(login(made.floating_ip_address)).toBe('')
    const [router] = await alice.network.routers({name: 't1-router'})
    const network_id = router?.external_gateway_info?.network_id
    await call('PUT', `routers/${router?.id}`, {router: {external_gateway_info: {}}})
    await call('PUT', `routers/${router?.id}`, {router: {external_gateway_info: {network_id}}})
    await change({port_id: await portOf('t1-web')})
    expect(login(made.floating_ip_address)).toBe('t1-web\n')
  })
})

describe('coming and going', () => {
  test('up again changes nothing; another name is another lab beside it', async () => {
    expect(await labUp({name, port: 0})).toEqual(lab)
    const other = await labUp({name: 'e2e-lab-b', port: 0})
    try {
      expect(other.external_cidr).not.toBe(lab.external_cidr)
      expect(other.api).not.toBe(lab.api)
      const options = [
        '-o',
        'StrictHostKeyChecking=no',
        '-o',
        'UserKnownHostsFile=/dev/null',
        '-o',
        'LogLevel=ERROR',
        '-F',
        'none',
      ]
      const login = spawnSync(
        'ssh',
        [...options, '-i', other.management_key, `root@${other.gates[0]?.host}`, 'hostname'],
        {encoding: 'utf8'},
      )
      expect(login.stdout).toBe('gate1\n')
    } finally {
      await labDown({name: 'e2e-lab-b'})
    }
    expect(namespaces('e2e-lab-b')).toEqual([])
    expect((await labStatus({name})).state).toBe('up')
    expect(gate('true').status).toBe(0)
  })

  test('down removes everything also after kill -9 of the daemon', async () => {
    const crashed = 'e2e-lab-crash'
    await labDown({name: crashed})
    const info = await labUp({name: crashed, port: 0})
    const daemon = readdirSync('/proc').find(
      pid =>
        /^\d+$/.test(pid) &&
        (spawnSync('cat', [`/proc/${pid}/cmdline`], {encoding: 'utf8'}).stdout ?? '').endsWith(
          `daemon.ts\0${info.clouds_yaml.replace('/clouds.yaml', '')}\0`,
        ),
    )
    process.kill(Number(daemon), 'SIGKILL')
    expect(
      (
        await eventually(
          () => labStatus({name: crashed}),
          status => status.state === 'broken',
        )
      ).state,
    ).toBe('broken')
    expect(await labDown({name: crashed})).toEqual({removed: true})
    expect(namespaces(crashed)).toEqual([])
    expect(existsSync(info.clouds_yaml)).toBe(false)
    expect(await labStatus({name: crashed})).toEqual({name: crashed, state: 'down', processes: 0})
    expect(await labDown({name: crashed})).toEqual({removed: false})
  })

  test('a port in use is said, and nothing stays behind', async () => {
    const port = Number(new URL(lab.api).port)
    await expect(labUp({name: 'e2e-lab-port', port})).rejects.toThrow(
      'the port of the lab is in use; choose another: --port',
    )
    expect((await labStatus({name: 'e2e-lab-port'})).state).toBe('down')
  })
})
