import {describe, expect, it, jest} from '@jest/globals'

import {renderProbes} from '../../../src/service/gates/render.ts'
import type {BareGate} from '../../support/bare-gate.ts'
import {GATE, GATE6, MINE, MINE6, NIC, NIC6, VM} from '../../support/bare-gate-plan.ts'
import {attempts, from, over} from '../../support/gate-attempts.ts'
import {eventually} from '../../support/run.ts'

/* The same for what stands between the gate and one tenant's network: the rules and the settings of a namespace. */
jest.setTimeout(30_000)

const {each, untried} = attempts()
const VM_SEES = `vm ${NIC}`

describe('a namespace', () => {
  const way =
    'ip -n os-ssh-0 route replace 172.24.4.0/24 via 100.64.0.0; ip -n os-ssh-0 route replace fd24::/64 via fd5e:6f73:7368:1::2'
  const [out4, back4, out6, back6] = [
    'iifname "gate" oifname "nic" ct status dnat ct original ip daddr @live4 accept',
    'iifname "nic" oifname "gate" ct state established,related ct status dnat ct original ip daddr @live4 accept',
    'iifname "gate" oifname "nic" ct status dnat ct original ip6 daddr @live6 accept',
    'iifname "nic" oifname "gate" ct state established,related ct status dnat ct original ip6 daddr @live6 accept',
  ].map(text => `namespace/forwarding: ${text}`)
  const outWide = `${out4} => iifname "gate" oifname "nic" accept`
  const backWide = `${back4} => iifname "nic" oifname "gate" ct state established,related accept`
  const outWide6 = `${out6} => iifname "gate" oifname "nic" accept`
  const backWide6 = `${back6} => iifname "nic" oifname "gate" ct state established,related accept`
  const policy = (chain: string) => `namespace/${chain}: policy drop;`
  const [resetOut, resetBack] = [
    'namespace/forwarding: iifname "gate" meta l4proto tcp reject with tcp reset',
    'namespace/forwarding: ct status dnat meta l4proto tcp reject with tcp reset',
  ]
  const direct = 'ip route replace 10.0.0.0/24 via 100.64.0.1 src 100.64.0.0'
  const ND =
    'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, destination-unreachable, packet-too-big, time-exceeded } accept'
  const forgotten = 'ip -6 neighbour flush dev osv0; ip -n os-ssh-0 -6 neighbour flush dev gate'
  each([
    {
      line: 'namespace/spoofed: iifname "gate" meta nfproto ipv4 ip saddr != 100.64.0.0 drop',
      given: way,
      attempt: from('gate', MINE, {source: GATE}),
      held: 'silence',
      without: VM_SEES,
    },
    {
      line: 'namespace/spoofed: iifname "gate" ip6 saddr != { fd5e:6f73:7368:1::2, fe80::/10 } drop',
      given: way,
      attempt: from('gate', MINE6, {source: GATE6}),
      held: 'silence',
      without: 'vm fd10::2',
    },
    {
      line: 'namespace/aliases: iifname "gate" tcp dport 22 dnat ip to ip daddr map @vms4',
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'ICMP',
    },
    {
      line: 'namespace/aliases: iifname "gate" tcp dport 22 dnat ip6 to ip6 daddr map @vms6',
      attempt: from('gate', MINE6),
      held: 'vm fd10::2',
      without: 'ICMP',
    },
    {
      line: 'namespace/aliases: tcp dport 22 dnat ip to => meta l4proto tcp dnat ip to',
      attempt: from('gate', MINE, {port: 80}),
      held: 'ICMP',
      without: VM_SEES,
    },
    {
      line: 'namespace/aliases: iifname "gate" tcp dport 22 dnat ip to => tcp dport 22 dnat ip to',
      walls: [policy('forwarding'), resetBack],
      attempt: from('vm', MINE),
      held: 'ICMP',
      without: VM_SEES,
    },
    {
      line: 'namespace/sources: oifname "nic" masquerade',
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'vm 100.64.0.0',
    },
    {
      line: policy('forwarding'),
      walls: ['guard/incoming: drop', resetOut],
      given: direct,
      attempt: from('vm', '100.64.0.0'),
      held: 'silence',
      without: `gate ${VM}`,
    },
    {
      line: outWide,
      walls: [backWide],
      given: direct,
      attempt: from('gate', VM),
      held: 'reset',
      without: VM_SEES,
    },
    {
      line: backWide,
      walls: [outWide],
      given: direct,
      attempt: from('gate', VM),
      held: 'silence',
      without: VM_SEES,
    },
    {line: outWide, walls: [backWide], attempt: over(0, 'os-ssh-0', 'user'), held: 'reset', without: 'heard'},
    {line: backWide, walls: [outWide], attempt: over(0, 'os-ssh-0', 'vm'), held: 'reset', without: 'open'},
    {
      line: outWide6,
      walls: [backWide6],
      attempt: over(2, 'os-ssh-0', 'user'),
      held: 'reset',
      without: 'heard',
    },
    {line: backWide6, walls: [outWide6], attempt: over(2, 'os-ssh-0', 'vm'), held: 'reset', without: 'open'},
    {
      line: resetOut,
      walls: [resetBack],
      attempt: over(0, 'os-ssh-0', 'user'),
      held: 'reset',
      without: 'silence',
    },
    {
      line: resetBack,
      walls: [resetOut],
      attempt: over(0, 'os-ssh-0', 'vm'),
      held: 'reset',
      without: 'silence',
    },
    {
      line: 'namespace/outgoing: tcp flags & rst == rst accept',
      attempt: over(0, 'os-ssh-0', 'user'),
      held: 'reset',
      without: 'silence',
    },
    {line: policy('incoming'), attempt: from('vm', NIC), held: 'silence', without: 'reset'},
    {
      line: policy('outgoing'),
      walls: [policy('incoming')],
      attempt: from('os-ssh-0', VM),
      held: 'silence',
      without: VM_SEES,
    },
    {line: out4 ?? '', attempt: from('gate', MINE), held: VM_SEES, without: 'reset'},
    {line: back4 ?? '', attempt: from('gate', MINE), held: VM_SEES, without: 'silence'},
    {line: out6 ?? '', attempt: from('gate', MINE6), held: 'vm fd10::2', without: 'reset'},
    {line: back6 ?? '', attempt: from('gate', MINE6), held: 'vm fd10::2', without: 'silence'},
    {
      line: `namespace/incoming: ${ND}`,
      given: forgotten,
      attempt: from('gate', MINE6),
      held: 'vm fd10::2',
      without: 'silence',
    },
    {
      line: `namespace/outgoing: ${ND}`,
      given: forgotten,
      attempt: from('gate', MINE6),
      held: 'vm fd10::2',
      without: 'silence',
    },
    {
      line: 'namespace/outgoing: icmp type { destination-unreachable, time-exceeded } accept',
      attempt: from('gate', MINE, {port: 80}),
      held: 'ICMP',
      without: 'silence',
    },
  ])
})

describe('what a tenant asks of the link', () => {
  const [others, some] = [
    'neighbours/incoming: arp daddr ip != { 10.0.0.2 } drop',
    'neighbours/incoming: limit rate over 20/second burst 40 packets drop',
  ]
  const solicited =
    'namespace/incoming: iifname "nic" icmpv6 type nd-neighbor-solicit limit rate over 20/second burst 40 packets drop'
  /** Two hundred neighbours that there are not. @returns whether the kernel remembers all of them, or no more than the limit lets through */
  const flood = (kind: string, to: string) => async (gate: BareGate) => {
    await gate.sh('ip -n os-ssh-0 neighbour flush dev nic')
    await gate.link(kind, to)
    const n = await eventually(
      async () =>
        Number(await gate.sh('ip -n os-ssh-0 neighbour show dev nic | grep -c "10.0.0\\|fd10::" || true')),
      n => n >= 200,
      600,
    )
    return n >= 200 ? 'all' : n > 20 && n < 80 ? 'some' : String(n)
  }
  const forgotten = 'ip neighbour flush dev osv0; ip -n os-ssh-0 neighbour flush dev gate'
  each([
    {line: some, attempt: flood('requests', NIC), held: 'some', without: 'all'},
    {line: solicited, attempt: flood('solicitations', NIC6), held: 'some', without: 'all'},
    {line: others, attempt: gate => gate.link('others', NIC), held: 'answered', without: 'silence'},
    {
      line: 'neighbours/incoming: arp operation != request accept',
      attempt: gate => gate.link('replies', NIC),
      held: 'answered',
      without: 'silence',
    },
    {
      line: 'neighbours/incoming: iifname != "nic" accept',
      given: forgotten,
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'silence',
    },
    {
      line: 'attachment: echo 1 >ipv4/conf/$conf/arp_ignore;',
      fresh: true,
      walls: [others],
      attempt: gate => gate.link('ask', '100.64.0.1'),
      held: 'silence',
      without: 'answered',
    },
  ])
})

describe('the settings of a namespace', () => {
  const policy = (chain: string) => `namespace/${chain}: policy drop;`
  /** What it says of itself on the tenant's link, when a path on a fresh network is probed. */
  const announced = async (gate: BareGate) => {
    const heard = await gate.hear('vm')
    const [path] = gate.paths
    const probes = renderProbes([{path, seconds: 3, fresh: {slot: 0, mac: gate.mac, wired_at: null}}])
    expect(await gate.sh(`${probes}\nwait`)).toBe(`probe ${path.id} 0\n`)
    return heard()
  }
  /** The addresses by which a tenant's VM knows the namespace that has asked for it. */
  const asked = async (gate: BareGate) => {
    await gate.sh('ip -n vm neighbour flush dev eth0; ip -n os-ssh-0 neighbour flush dev nic')
    await gate.try('os-ssh-0', 'ping', '-c1', '-W1', '-I', '100.64.0.1', VM)
    return (await gate.sh("ip -n vm neighbour show dev eth0 | cut -d' ' -f1 | grep -v : | sort")).trim()
  }
  each([
    {
      line: 'attachment: echo 0 >ipv6/conf/$conf/accept_ra;',
      fresh: true,
      walls: ['attachment: echo 1 >ipv6/conf/all/forwarding', policy('incoming')],
      attempt: gate => gate.advertise('vm', 'eth0', 'os-ssh-0', 'nic'),
      held: '',
      without: 'route fd99::',
    },
    {
      line: 'attachment: echo 2 >ipv4/conf/$conf/arp_announce',
      fresh: true,
      walls: [policy('outgoing'), 'namespace/sources: oifname "nic" masquerade'],
      attempt: asked,
      held: NIC,
      without: `${NIC}\n100.64.0.1`,
    },
    {
      line: 'attachment: echo 1 >ipv4/conf/$conf/arp_notify;',
      fresh: true,
      attempt: announced,
      held: `ARP ${NIC} NA ${NIC6}`,
      without: `NA ${NIC6}`,
    },
    {
      line: 'attachment: echo 1 >ipv6/conf/$conf/ndisc_notify',
      fresh: true,
      attempt: announced,
      held: `ARP ${NIC} NA ${NIC6}`,
      without: `ARP ${NIC}`,
    },
    {
      line: 'attachment: echo 1 >ipv4/ip_forward',
      fresh: true,
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'silence',
    },
    {
      line: 'attachment: echo 1 >ipv6/conf/all/forwarding',
      fresh: true,
      attempt: from('gate', MINE6),
      held: 'vm fd10::2',
      without: 'silence',
    },
  ])
})

it('no rule is left out', () => {
  expect(untried('neighbours')).toEqual([])
  // What answers a connection of a path comes by the chain of forwards, and the namespace has none of its own.
  expect(untried('namespace')).toEqual([
    'namespace/incoming: icmp type { destination-unreachable, time-exceeded } accept',
  ])
})
