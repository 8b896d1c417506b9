import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {PathGrant} from '../../../src/protocol/index.ts'
import type {KeyPairText} from '../../../src/ssh/keys.ts'
import {GateClient} from '../../support/gate-client.ts'
import {act} from '../../support/nova.ts'
import {eventually, type Result, run} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/*
 * Attacks that need root in a tenant's VM, which only the lab gives us, and the gate's walls taken away one after the other.
 * Each attempt is shown to succeed with the last wall gone, or it would prove nothing.
 */

jest.setTimeout(180_000)

const LAB = 'e2e-walls'
type Grant = PathGrant & {key: KeyPairText}
let world: World
let mine: Grant
let foreign: Grant
beforeAll(async () => {
  world = await World.open(LAB)
  mine = await world.grant('tenant1', 't1-web')
  foreign = await world.grant('tenant2', 't2-web')
})
afterAll(() => world?.close())

/** In a VM, as its root. */
const inVm = (name: string, command: string): Promise<Result> =>
  run('ip', ['netns', 'exec', `oslab-${LAB}-vm-${world.server(name).slice(0, 8)}`, 'bash', '-c', command])
const knock = (address: string) => `timeout 2 bash -c 'echo > /dev/tcp/${address}/22' 2>&1`
const DROPPED = {status: 124, stdout: ''}

type Row = {slot: number; network_id: string; addresses: string[]}
const attachmentOf = async (network: string): Promise<Row> => {
  const {attachments} = await world.api<{attachments: Row[]}>('service', 'GET', '/v1/attachments')
  return attachments.find(one => one.network_id === network) as Row
}

describe('with sshd and the guard both out of the way, and a gate that forwards', () => {
  let row: Row
  let nic: string
  beforeAll(async () => {
    row = await attachmentOf(mine.network_id)
    nic = row.addresses[0]?.split('/')[0] ?? ''
    // The worst of gates: no guard, packets forwarded, a way back for every answer; and it counts what arrives.
    await world.onGate(
      `nft delete table inet os_ssh; echo 1 >/proc/sys/net/ipv4/ip_forward
       ip route replace 10.0.0.10 via ${inner(row.slot)}
       nft 'table inet probe { chain input { type filter hook input priority -300; iifname "osv*" tcp dport 22 ct state new counter; }; chain forward { type filter hook forward priority -300; tcp dport 22 counter; }; }'`,
    )
    await inVm(
      't1-web',
      `ip route replace 100.64.0.0/10 via ${nic}; ip route replace ${mine.gate.host} via ${nic}`,
    )
  })

  const inner = (slot: number) => `100.64.${slot * 16}.1`
  const arrived = async () =>
    [...(await world.onGate('nft list table inet probe')).stdout.matchAll(/packets (\d+)/g)].map(m =>
      Number(m[1]),
    )

  it('a tenant reaches no alias, neither another tenant’s nor their own, and nothing of the gate', async () => {
    // Where the namespace has no route its kernel may say so, now and then.
    const nowhere = /^(124 |1 .*Network is unreachable)/s
    for (const [address, end] of [
      [foreign.alias, nowhere],
      [mine.alias, nowhere],
      [mine.gate.host, nowhere],
      [`100.64.${row.slot * 16}.0`, /^124 $/],
      [inner(row.slot), /^124 $/],
      [nic, /^124 $/],
    ] as const) {
      const {status, stdout} = await inVm('t1-web', knock(address))
      expect(`${status} ${stdout}`).toMatch(end)
    }
    expect(await arrived()).toEqual([0, 0])
  })

  it('a packet with another source than the gate’s own end is taken by no namespace', async () => {
    const {slot} = await attachmentOf(foreign.network_id)
    await world.onGate(
      `ip netns exec os-ssh-${slot} nft 'table inet probe { chain out { type filter hook postrouting priority -300; oifname "nic" tcp dport 22 counter; }; }'`,
    )
    const left = async () =>
      / packets (\d+)/.exec(
        (await world.onGate(`ip netns exec os-ssh-${slot} nft list table inet probe`)).stdout,
      )?.[1]
    // From the gate's main namespace with the address of its uplink, as a forwarded packet would come.
    await world.onGate(`ip route replace ${foreign.alias} via ${inner(slot)} src ${mine.gate.host}`)
    expect(await world.onGate(knock(foreign.alias))).toMatchObject(DROPPED)
    expect(await left()).toBe('0')
    await world.onGate(`ip route delete ${foreign.alias}`)
    expect(await world.onGate(knock(foreign.alias))).toMatchObject({status: 0, stdout: ''})
    expect(Number(await left())).toBeGreaterThan(0)
  })

  it('and what holds there are the rules of the namespaces', async () => {
    await world.onGate(`ip netns exec os-ssh-${row.slot} nft flush ruleset`)
    await inVm('t1-web', knock(`100.64.${row.slot * 16}.0`))
    const [input = 0] = await arrived()
    expect(input).toBeGreaterThan(0)
  })

  afterAll(async () => {
    await world.onGate('ip route delete 10.0.0.10; nft delete table inet probe')
    await inVm('t1-web', `ip route delete 100.64.0.0/10; ip route delete ${mine.gate.host}`)
    await world.stopService()
    await world.startService('service')
  })
})

it('heals all of that by itself', async () => {
  const rules = await eventually(
    () =>
      world.onGate(
        'nft list table inet os_ssh && ip netns exec os-ssh-0 nft list table inet os_ssh && ip netns exec os-ssh-0 nft list table arp os_ssh',
      ),
    answer => answer.status === 0,
  )
  expect(rules.stdout).toContain('chain spoofed')
  expect((await world.onGate('cat /proc/sys/net/ipv4/ip_forward')).stdout).toBe('0\n')
})

describe('a gate that was rebooted while the service is down', () => {
  let nic: string
  beforeAll(async () => {
    nic = (await attachmentOf(mine.network_id)).addresses[0]?.split('/')[0] ?? ''
    await world.stopService()
    await act(world, 'service', world.site.gates[0]?.server_id ?? '', {reboot: {type: 'HARD'}})
    expect(
      await eventually(
        () => world.onGate('ls /run/netns'),
        answer => answer.status === 0,
      ),
    ).toMatchObject({
      stdout: '',
    })
  })

  it('has the tenants’ interfaces in its main namespace, up and with addresses', async () => {
    expect((await world.onGate('ip -o address')).stdout).toContain(` ${nic}/24 `)
  })

  it('answers on them to nobody', async () => {
    expect(await inVm('t1-web', knock(nic))).toMatchObject(DROPPED)
  })

  it('looks for no alias in the world outside', async () => {
    expect(await world.onGate(knock(mine.alias))).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('Connection refused'),
    })
    const as = (command: string) => world.onGate(`su -s /bin/bash ${mine.login} -c "${command}"`)
    expect(await as(`timeout 2 bash -c 'echo > /dev/tcp/${mine.alias}/22'`)).toMatchObject({status: 1})
  })

  it('which are the guard’s doing', async () => {
    await world.onGate('nft delete table inet os_ssh')
    expect(await inVm('t1-web', knock(nic))).toMatchObject({status: 0, stdout: ''})
    // It left by the uplink, and nobody answered.
    expect(await world.onGate(knock(mine.alias))).toMatchObject(DROPPED)
  })

  it('is as it was when the service comes back', async () => {
    await world.startService('service')
    const client = new GateClient(world, mine)
    expect(
      await eventually(
        () => client.banner(client.alias),
        text => text.startsWith('SSH-'),
      ),
    ).toMatch(/^SSH-/)
    expect(await inVm('t1-web', knock(nic))).toMatchObject(DROPPED)
  })
})
