import {describe, expect, it, jest} from '@jest/globals'

import type {BareGate} from '../../support/bare-gate.ts'
import {
  CARRIER,
  DIRECT,
  DIRECT6,
  FRESH_NIC,
  GATE,
  GATE6,
  MINE,
  MINE6,
  NIC,
  NOBODY,
  NOBODY6,
  OUTSIDE,
  OUTSIDE6,
  SIBLING,
} from '../../support/bare-gate-plan.ts'
import {account, attempts, from, over} from '../../support/gate-attempts.ts'

/*
 * Each line of the guard that the service loads on a gate, and of the settings beside it: what is tried with it, and the same without it, on
 * a real kernel. Where another wall stands behind a line, that one is taken away both times.
 */
jest.setTimeout(30_000)

const {each, untried} = attempts()
const VM_SEES = `vm ${NIC}`

describe('accounts, on the gate', () => {
  const alias4 = 'ct direction original ip daddr 100.64.0.0/10 reject'
  const alias6 = 'ct direction original ip6 daddr fd5e:6f73:7368::/48 reject'
  each([
    {
      line: 'guard/accounts: meta skgid os-ssh jump paths',
      attempt: account(0, SIBLING),
      held: 'reset',
      without: 'vm 10.0.0.2',
    },
    {
      line: 'guard/paths: reject',
      attempt: account(0, OUTSIDE, {udp: true}),
      held: 'ICMP',
      without: `out ${GATE}`,
    },
    {
      line: 'guard/paths: meta l4proto tcp reject with tcp reset',
      attempt: account(0, SIBLING),
      held: 'reset',
      without: 'ICMP',
    },
    {
      line: 'guard/paths: meta skuid . ip daddr . tcp dport @paths4 accept',
      attempt: account(0, MINE),
      held: VM_SEES,
      without: 'reset',
    },
    {
      line: 'guard/paths: meta skuid . ip6 daddr . tcp dport @paths6 accept',
      attempt: account(2, MINE6),
      held: 'vm fd10::2',
      without: 'reset',
    },
    {
      line:
        'guard/paths: meta skuid . ip daddr . tcp dport @paths4 accept => ip daddr . tcp dport { ' +
        `${SIBLING} . 22 } accept`,
      attempt: account(0, SIBLING),
      held: 'reset',
      without: 'vm 10.0.0.2',
    },
    {
      line: 'guard/direct: tcp dport 22 dnat ip to ip daddr map @vms4',
      attempt: account(3, DIRECT),
      held: 'side 192.168.7.2',
      without: 'ICMP',
    },
    {
      line: 'guard/direct: tcp dport 22 dnat ip6 to ip6 daddr map @vms6',
      attempt: account(4, DIRECT6),
      held: 'side fd07::2',
      without: 'ICMP',
    },
    {
      line: 'guard/direct: tcp dport 22 dnat ip to => meta l4proto tcp dnat ip to',
      attempt: from('gate', DIRECT, {port: 80}),
      held: 'ICMP',
      without: 'side 192.168.7.2',
    },
    {
      line: 'guard/sources: ct status dnat ct original ip daddr 100.64.0.0/10 masquerade',
      attempt: account(3, DIRECT),
      held: 'side 192.168.7.2',
      without: `side ${GATE}`,
    },
    {
      line: 'guard/sources: ct status dnat ct original ip6 daddr fd5e:6f73:7368::/48 masquerade',
      attempt: account(4, DIRECT6),
      held: 'side fd07::2',
      without: `side ${GATE6}`,
    },
    {
      line: 'guard/outgoing: jump aliases',
      attempt: from('gate', NOBODY),
      held: 'ICMP',
      without: `out ${GATE}`,
    },
    {line: `guard/aliases: ${alias4}`, attempt: from('gate', NOBODY), held: 'ICMP', without: `out ${GATE}`},
    {line: `guard/aliases: ${alias6}`, attempt: from('gate', NOBODY6), held: 'ICMP', without: `out ${GATE6}`},
    {
      line: `guard/aliases: ${alias4} => ip daddr 100.64.0.0/10 reject`,
      attempt: from('out', GATE, {source: CARRIER}),
      held: `gate ${CARRIER}`,
      without: 'silence',
    },
    {
      line: 'guard/aliases: oifname "osv*" return',
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'ICMP',
    },
  ])
})

describe('a path whose certificate has ended, and which has not', () => {
  const ended = async (gate: BareGate) => {
    const held = await gate.hold('osp0000', MINE)
    await gate.sh(`nft delete element inet os_ssh paths4 '{ osp0000 . ${MINE} . 22 }'`)
    const ends = [await held.say('heard'), await gate.knock('gate', MINE, {account: 'osp0000'})]
    held.end()
    return ends.join(', then ')
  }
  each([
    {
      line: 'guard/paths: ct state established,related accept',
      attempt: ended,
      held: 'heard, then reset',
      without: 'reset, then reset',
    },
  ])
})

describe('what comes in to the gate', () => {
  const flushed = 'ip -6 neighbour flush dev osv0; ip -n os-ssh-0 -6 neighbour flush dev gate'
  each([
    {
      line: 'guard/incoming: drop',
      attempt: from('fresh', FRESH_NIC),
      held: 'silence',
      without: 'gate 10.9.0.10',
    },
    {
      line: 'guard/incoming: drop',
      walls: ['namespace/incoming: policy drop;', 'namespace/outgoing: policy drop;'],
      attempt: from('os-ssh-0', '100.64.0.0'),
      held: 'silence',
      without: 'gate 100.64.0.1',
    },
    {
      line: 'guard/incoming: iifname $nics accept',
      attempt: from('out', GATE),
      held: `gate ${OUTSIDE}`,
      without: 'silence',
    },
    {
      line: 'guard/incoming: iifname "osv*" ct state established,related accept',
      attempt: from('gate', MINE),
      held: VM_SEES,
      without: 'silence',
    },
    {
      line: 'guard/incoming: iifname "osv*" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept',
      given: flushed,
      attempt: from('gate', MINE6),
      held: 'vm fd10::2',
      without: 'silence',
    },
  ])
})

describe('direct paths whose time is over', () => {
  const [out, back] = ['guard/paths: jump over', 'guard/incoming: iifname != "lo" jump over']
  const both = (family: 4 | 6, range: string, ip = family === 4 ? 'ip' : 'ip6') =>
    `guard/over: ct status dnat ct original ${ip} daddr ${range} ct original ${ip} daddr != @live${family} reject with tcp reset`
  each([
    {line: out, walls: [back], attempt: over(3, 'gate', 'user'), held: 'reset', without: 'heard'},
    {line: back, walls: [out], attempt: over(3, 'gate', 'side'), held: 'reset', without: 'open'},
    {line: both(4, '100.64.0.0/10'), attempt: over(3, 'gate', 'user'), held: 'reset', without: 'heard'},
    {line: both(6, 'fd5e:6f73:7368::/48'), attempt: over(4, 'gate', 'user'), held: 'reset', without: 'heard'},
  ])
})

describe('a gate that forwards', () => {
  const forwards = 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  const [inside, outside] = ['guard/forwarding: iifname "osv*" drop', 'guard/forwarding: oifname "osv*" drop']
  const way = `${forwards}; ip -n os-ssh-0 route replace 172.24.4.0/24 via 100.64.0.0`
  const spoofed = 'namespace/spoofed: iifname "gate" meta nfproto ipv4 ip saddr != 100.64.0.0 drop'
  const walls = ['namespace/incoming: policy drop;', 'namespace/outgoing: policy drop;', outside, spoofed]
  each([
    {
      line: inside,
      walls,
      given: way,
      attempt: from('os-ssh-0', OUTSIDE),
      held: 'silence',
      without: 'out 100.64.0.1',
    },
    {
      line: outside,
      walls: [inside, spoofed],
      given: way,
      attempt: from('out', MINE),
      held: 'silence',
      without: VM_SEES,
    },
    {
      line: 'guard/forwarding: jump aliases',
      given: forwards,
      attempt: from('fresh', NOBODY),
      held: 'ICMP',
      without: 'out 10.9.0.10',
    },
  ])
})

describe('the settings of the gate', () => {
  const kernels = 'cd /proc/sys/net/ipv6/conf/default; echo 1 >accept_ra; echo 1 >autoconf'
  /** An interface that comes now, and a router in its network. @returns what it has got of that one */
  const late = async (gate: BareGate) => {
    await gate.sh(
      `ip link add ens9 type veth peer name late netns fresh
       ip link set ens9 up; ip -n fresh link set late up`,
    )
    try {
      return await gate.advertise('fresh', 'late', 'gate', 'ens9')
    } finally {
      await gate.sh('ip link delete ens9')
    }
  }
  const forwards = 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
  each([
    {
      line: 'settings: echo 0 >/proc/sys/net/ipv4/ip_forward',
      before: forwards,
      attempt: from('fresh', OUTSIDE),
      held: 'silence',
      without: 'out 10.9.0.10',
    },
    {
      line: 'settings: all/forwarding ',
      before: forwards,
      walls: ['guard/incoming: drop'],
      attempt: from('fresh', OUTSIDE6),
      held: 'silence',
      without: 'out fd09::10',
    },
    {
      line: 'settings: default/accept_ra ',
      walls: ['guard/incoming: drop'],
      before: kernels,
      attempt: late,
      held: '',
      without: 'route',
    },
    {
      line: 'settings: default/autoconf ',
      walls: ['guard/incoming: drop', 'settings: default/accept_ra '],
      before: kernels,
      attempt: late,
      held: 'route',
      without: 'route fd99::',
    },
  ])
})

it('no rule is left out', () => {
  expect(untried('guard')).toEqual([])
})
