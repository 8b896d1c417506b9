import {rmSync} from 'node:fs'

import {describe, expect, it, jest} from '@jest/globals'

import type {BareGate} from '../../support/bare-gate.ts'
import {MINE, NIC, SIBLING} from '../../support/bare-gate-plan.ts'
import {attempts} from '../../support/gate-attempts.ts'
import {eventually, type Result, run} from '../../support/run.ts'

/*
 * Each line that the service adds to a gate's sshd, under an operator's configuration that allows everything, with a certificate that permits
 * everything and an account that has a shell and a home: what is tried with it, and the same without it.
 */

jest.setTimeout(30_000)

const {each, untried} = attempts(gate =>
  gate.sh(
    `usermod -s /bin/sh osp0000; echo osp0000:secret | chpasswd; mkdir -p /run/home/.ssh; echo 'echo ran >ran' >/run/home/.ssh/rc
     echo '${gate.publicKey}' >/run/home/.ssh/authorized_keys; chown -R osp0000: /run/home`,
  ),
)

const GUARD = 'guard/accounts: meta skgid os-ssh jump paths'
const SESSIONS = ['sshd: MaxSessions 0', 'sshd: ForceCommand /bin/false']
const RESTRICT = 'principals: osp0000 restrict, => osp0000 '
const VM_SEES = `vm ${NIC}`
const DENIED = '255 osp0000@gate: Permission denied (publickey).'

const end = ({status, stdout, stderr}: Result) => {
  const words = stderr.split(/\r?\n/).filter(line => !/^$|^stdio forwarding failed$/.test(line))
  return status === 0 ? stdout.trim() : `${status} ${stdout}${words.at(-1) ?? ''}`.trim()
}
const ssh =
  (before: readonly string[], after: readonly string[] = [], env: object = {}) =>
  async (gate: BareGate) =>
    end(await gate.ssh(before, after, env))
/** The same for what would not end by itself: its command leaves its output on the gate, and ends the connection. */
const cut = (before: readonly string[], command: string) => async (gate: BareGate) => {
  const answer = await gate.ssh(before, [`{ ${command}; } >said; kill $PPID`])
  return (await gate.sh('cat /run/home/said 2>/dev/null; rm -f /run/home/said')).trim() || end(answer)
}
const forward = (to: string) => ssh(['-W', `${to}:22`])
const reached = ['echo reached']

describe('a session', () => {
  const shell = (path: string) => `usermod -s ${path} osp0000`
  const [sessions, forced] = SESSIONS as [string, string]
  const refused = '255 channel 0: open failed: connect failed: open failed'
  each([
    {
      line: sessions,
      walls: [forced],
      attempt: ssh([], reached),
      held: refused,
      without: 'reached',
    },
    {
      line: forced,
      walls: [sessions],
      attempt: ssh([], reached),
      held: '1',
      without: 'reached',
    },
    {
      line: sessions,
      walls: [forced],
      given: shell('/usr/sbin/nologin'),
      attempt: gate => ssh([], reached)(gate).finally(() => gate.sh(shell('/bin/sh'))),
      held: refused,
      without: '1 This account is currently not available.',
    },
    {
      line: 'sshd: PermitTTY no',
      walls: [...SESSIONS, RESTRICT],
      attempt: cut(['-tt'], 'test -t 0 && echo terminal'),
      held: '255 PTY allocation request failed on channel 0',
      without: 'terminal',
    },
    {
      line: 'sshd: PermitUserRC no',
      walls: [...SESSIONS, RESTRICT],
      attempt: ssh([], ['cat ran || echo none; rm -f ran']),
      held: 'none',
      without: 'ran',
    },
    {
      line: 'sshd: AllowAgentForwarding no',
      walls: [...SESSIONS, RESTRICT],
      attempt: ssh(['-A'], ['test -S "$SSH_AUTH_SOCK" && echo agent || echo none']),
      held: 'none',
      without: 'agent',
    },
    {
      line: RESTRICT,
      walls: [...SESSIONS, 'sshd: AllowAgentForwarding no'],
      attempt: ssh(['-A'], ['test -S "$SSH_AUTH_SOCK" && echo agent || echo none']),
      held: 'none',
      without: 'agent',
    },
    {
      line: 'sshd: X11Forwarding no',
      walls: [...SESSIONS, RESTRICT],
      attempt: ssh(['-Y'], ['echo "x${DISPLAY:+11}"'], {DISPLAY: '127.0.0.1:0'}),
      held: 'x',
      without: 'x11',
    },
  ])
})

describe('a forward', () => {
  const remote = ssh(['-R', '2201:127.0.0.1:22'], reached)
  const refused = '255 Error: remote port forwarding failed for listen port 2201'
  const [local, listen] = ['sshd: AllowTcpForwarding local', 'sshd: PermitListen none']
  const socket = '/run/home/socket'
  /** What somebody says who listens on the gate at a path of its file system, to a client's own socket; and the session ends. */
  const localSocket = async (gate: BareGate) => {
    const mine = `${gate.file('beside', '')}-socket`
    rmSync(mine, {force: true})
    const stays = ['for n in $(seq 50); do [ ! -e over ] || exit 0; sleep 0.1; done']
    const session = gate.ssh(['-L', `${mine}:/run/home/listens`], stays)
    const ask = `import socket; s = socket.socket(socket.AF_UNIX); s.connect('${mine}'); print(s.recv(99))`
    const answer = await eventually(
      () => run('python3', ['-c', ask]),
      ({status}) => status === 0,
      4000,
    )
    await gate.sh('touch /run/home/over')
    await session
    await gate.sh('rm -f /run/home/over')
    return answer.stdout.trim()
  }
  const listening = `[ -e /run/home/listens ] || { python3 -c "
import socket, os
s = socket.socket(socket.AF_UNIX); s.bind('/run/home/listens'); os.chmod('/run/home/listens', 0o777); s.listen(5)
while True: c = s.accept()[0]; c.sendall(b'reached'); c.close()" >/dev/null 2>&1 & }
    for n in $(seq 50); do [ ! -S /run/home/listens ] || break; sleep 0.1; done`
  each([
    {line: local, walls: [...SESSIONS, listen], attempt: remote, held: refused, without: 'reached'},
    {line: listen, walls: [...SESSIONS, local], attempt: remote, held: refused, without: 'reached'},
    {
      line: 'sshd: AllowStreamLocalForwarding no',
      walls: [...SESSIONS, listen, local],
      given: `rm -f ${socket}`,
      attempt: ssh(['-R', `${socket}:127.0.0.1:22`], reached),
      held: `255 Error: remote port forwarding failed for listen path ${socket}`,
      without: 'reached',
    },
    {
      line: 'sshd: AllowStreamLocalForwarding no => AllowStreamLocalForwarding local',
      walls: [...SESSIONS, `principals: ,permitopen="${MINE}:22"`],
      given: listening,
      attempt: localSocket,
      held: "b''",
      without: "b'reached'",
    },
    {
      line: 'sshd: PermitTunnel no',
      walls: SESSIONS,
      given: 'ip link show tun0 2>/dev/null || ip tuntap add dev tun0 mode tun user osp0000',
      attempt: cut(['-o', 'Tunnel=point-to-point', '-w', 'any:0'], 'echo reached'),
      held: '255 Tunnel forwarding failed',
      without: 'reached',
    },
    {
      line: `principals: ,permitopen="${MINE}:22"`,
      walls: [GUARD],
      attempt: forward(SIBLING),
      held: '255 channel 0: open failed: administratively prohibited: open failed',
      without: VM_SEES,
    },
    {
      line: GUARD,
      walls: [`principals: ,permitopen="${MINE}:22"`],
      attempt: forward(SIBLING),
      held: '255 channel 0: open failed: connect failed: Connection refused',
      without: VM_SEES,
    },
  ])
})

describe('a login', () => {
  const password = async (gate: BareGate) => {
    const ask = gate.file('ask', '#!/bin/sh\necho secret\n', 0o700)
    const way = [
      '-o',
      'BatchMode=no',
      '-o',
      'PreferredAuthentications=password',
      '-o',
      'NumberOfPasswordPrompts=1',
    ]
    return end(await gate.sshBare(way, reached, {SSH_ASKPASS: ask, SSH_ASKPASS_REQUIRE: 'force'}))
  }
  const key = async (gate: BareGate) => end(await gate.sshBare([], reached))
  const [methods, passwords] = ['sshd: AuthenticationMethods publickey', 'sshd: PasswordAuthentication no']
  each([
    {
      line: 'sshd: TrustedUserCAKeys /etc/os-ssh/user_ca.pub',
      attempt: forward(MINE),
      held: VM_SEES,
      without: DENIED,
    },
    {
      line: 'sshd: AuthorizedPrincipalsFile /etc/os-ssh/principals/%u',
      attempt: forward(MINE),
      held: VM_SEES,
      without: DENIED,
    },
    {
      line: 'sshd: HostCertificate /etc/os-ssh/host-cert.pub',
      attempt: forward(MINE),
      held: VM_SEES,
      without: '255 Host key verification failed.',
    },
    {line: 'sshd: AuthorizedKeysFile none', walls: SESSIONS, attempt: key, held: DENIED, without: 'reached'},
    {line: methods, walls: [...SESSIONS, passwords], attempt: password, held: DENIED, without: 'reached'},
    {line: passwords, walls: [...SESSIONS, methods], attempt: password, held: DENIED, without: 'reached'},
  ])
})

/** What takes a minute or two hundred clients, or PAM, to be tried: as sshd itself reads it. */
describe('sshd takes it from us', () => {
  const says = (option: string) => async (gate: BareGate) =>
    (await gate.sh(`/usr/sbin/sshd -T -C user=osp0000 | sed -n 's/^${option} //p'`)).trim()
  each([
    {
      line: 'sshd: KbdInteractiveAuthentication no',
      attempt: says('kbdinteractiveauthentication'),
      held: 'no',
      without: 'yes',
    },
    {line: 'sshd: ClientAliveInterval 15', attempt: says('clientaliveinterval'), held: '15', without: '0'},
    {
      line: 'sshd: MaxStartups 300:30:600',
      attempt: says('maxstartups'),
      held: '300:30:600',
      without: '10:30:100',
    },
    {line: 'sshd: LoginGraceTime 30', attempt: says('logingracetime'), held: '30', without: '120'},
    {line: 'sshd: UseDNS no', attempt: says('usedns'), held: 'no', without: 'yes'},
    {
      line: "script: 'PerSourceMaxStartups 250'",
      attempt: says('persourcemaxstartups'),
      held: '250',
      without: 'none',
    },
    {
      line: "script: 'PerSourceNetBlockSize 32:64'",
      attempt: says('persourcenetblocksize'),
      held: '32:64',
      without: '32:128',
    },
  ])
})

it('no line is left out', () => {
  // Every sshd has this key without it.
  expect(untried('sshd')).toEqual(['sshd: HostKey /etc/ssh/ssh_host_ed25519_key'])
})
