import {once} from 'node:events'
import {existsSync, readFileSync} from 'node:fs'
import {connect} from 'node:net'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {PathGrant} from '../../src/protocol/index.ts'
import {signUserCertificate} from '../../src/ssh/certificate.ts'
import {generateKeyPair, type KeyPairText} from '../../src/ssh/keys.ts'
import {GateClient} from '../support/gate-client.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'

/* With a valid certificate for one path, against the real sshd and kernel: what must not work, one attempt each. */

jest.setTimeout(120_000)

type Grant = PathGrant & {key: KeyPairText}
let world: World
let mine: Grant
let sibling: Grant
let foreign: Grant
let client: GateClient

beforeAll(async () => {
  world = await World.open('e2e-isolation')
  mine = await world.grant('tenant1', 't1-web')
  sibling = await world.grant('tenant1', 't1-app')
  foreign = await world.grant('tenant2', 't2-web')
  client = new GateClient(world, mine)
})
afterAll(() => world?.close())

it('opens its own alias', async () => {
  expect(await client.banner(client.alias)).toMatch(/^SSH-2\.0-OpenSSH/)
})

describe('a certificate for one path does not open', () => {
  const inHex = (ip: string) =>
    `0x${ip
      .split('.')
      .map(n => Number(n).toString(16).padStart(2, '0'))
      .join('')}`
  const decimal = (ip: string) => String(ip.split('.').reduce((sum, n) => sum * 256 + Number(n), 0))
  it.each([
    ['another alias on the same network', () => `${sibling.alias}:22`],
    ['the alias of the other tenant’s equal address', () => `${foreign.alias}:22`],
    ['another port of its own VM', () => `${mine.alias}:80`],
    ['the VM’s address itself', () => `${mine.address}:22`],
    ['the gate’s loopback', () => '127.0.0.1:22'],
    ['the gate’s loopback by name', () => 'localhost:22'],
    ['the gate’s IPv6 loopback', () => '[::1]:22'],
    ['the gate’s own address', () => `${mine.gate.host}:22`],
    ['the namespace’s end of the link', () => '100.64.0.1:22'],
    ['the gate’s end of the link', () => '100.64.0.0:22'],
    ['the metadata service', () => '169.254.169.254:80'],
    ['any address', () => '0.0.0.0:22'],
    ['an IPv4-mapped alias', () => `[::ffff:${sibling.alias}]:22`],
    ['an alias in hexadecimal', () => `${inHex(sibling.alias)}:22`],
    ['an alias in decimal', () => `${decimal(sibling.alias)}:22`],
    ['the world', () => '172.24.0.1:22'],
  ])('%s', async (_, target) => {
    expect(await client.gate(['-W', target()])).toMatchObject({
      status: 255,
      stdout: '',
      stderr: expect.stringContaining('open failed: administratively prohibited: open failed'),
    })
  })
})

describe('a certificate for one path is not good for', () => {
  // MaxSessions 0 refuses sessions, and with them whatever a session could ask for: an agent, X11. Without it: lab/gate-sshd.
  const session = 'channel 0: open failed: connect failed: open failed'
  it.each([
    ['a shell', [], [], session],
    ['a command', [], ['id'], session],
    ['a command on a terminal', ['-tt'], ['id'], session],
    ['sftp', ['-s'], ['sftp'], session],
    [
      'a remote forward',
      ['-N', '-R', '0:127.0.0.1:22'],
      [],
      'remote port forwarding failed for listen port 0',
    ],
    [
      'a remote dynamic forward',
      ['-N', '-R', '1081'],
      [],
      'remote port forwarding failed for listen port 1081',
    ],
    [
      'a remote stream-local forward',
      ['-N', '-R', '/tmp/os-ssh-e2e-remote:127.0.0.1:22'],
      [],
      'remote port forwarding failed for listen path /tmp/os-ssh-e2e-remote',
    ],
    ['a tunnel device', ['-N', '-w', '0:0', '-o', 'Tunnel=point-to-point'], [], 'Tunnel forwarding failed'],
  ] as [string, string[], string[], string][])('%s', async (_, before, after, words) => {
    expect(await client.gate(before, after)).toMatchObject({
      status: 255,
      stdout: '',
      stderr: expect.stringContaining(words),
    })
  })

  it('a stream-local forward, though somebody listens there', async () => {
    const perl = 'perl -MIO::Socket::UNIX -e'
    const serve = `umask(0); alarm(60); $s = IO::Socket::UNIX->new(Local => "/run/e2e", Listen => 5); while ($c = $s->accept) { print $c "reached"; close $c }`
    await world.onGate(`setsid ${perl} '${serve}' >/dev/null 2>&1 </dev/null &`)
    const inside = () => world.onGate(`${perl} '$c = IO::Socket::UNIX->new(Peer => "/run/e2e"); print <$c>'`)
    expect(await eventually(inside, answer => answer.stdout === 'reached')).toMatchObject({stdout: 'reached'})

    const socket = `${client.directory}/local`
    const tunnel = client.gate(['-N', '-L', `${socket}:/run/e2e`], [], undefined, 4000)
    await eventually(async () => existsSync(socket), Boolean)
    let heard = ''
    const forwarded = connect(socket).on('data', chunk => {
      heard += chunk
    })
    await once(
      forwarded.on('error', () => undefined),
      'close',
    )
    expect(heard).toBe('')
    expect((await tunnel).stderr.trim()).toBe('channel 1: open failed: connect failed: open failed')
  })

  it.each(['root', 'debian', 'osp0031'])('the account %s', async login => {
    const {status, stderr} = await client.gate(['-N'], [], login)
    expect({status, stderr}).toMatchObject({
      status: 255,
      stderr: expect.stringContaining('Permission denied'),
    })
  })

  it('another path’s account', async () => {
    expect((await client.gate(['-W', `${sibling.alias}:22`], [], sibling.login)).stderr).toContain(
      'Permission denied',
    )
  })
})

describe('certificates refused by the gate', () => {
  const ca = () => readFileSync(`${world.home}/service/ca/user_ca`, 'utf8')
  const hostCa = () => readFileSync(`${world.home}/service/ca/host_ca`, 'utf8')
  const forged = (change: Partial<Parameters<typeof signUserCertificate>[0]>) =>
    signUserCertificate({
      caPrivateKey: ca(),
      publicKey: mine.key.publicKey,
      serial: 1n,
      keyId: 'forged',
      principals: [`path-${mine.id}`],
      validAfter: new Date(Date.now() - 60_000),
      validBefore: new Date(Date.now() + 60_000),
      ...change,
    })
  const banner = (certificate: string) => new GateClient(world, mine, certificate).banner(client.alias)

  it('but not the one that it should accept', async () => {
    expect(await banner(forged({}))).toMatch(/^SSH-/)
  })

  it('and the CA signs none without a principal', () => {
    expect(() => forged({principals: []})).toThrow()
  })

  it.each([
    ['a foreign CA', () => forged({caPrivateKey: generateKeyPair('evil').privateKey})],
    ['the host CA', () => forged({caPrivateKey: hostCa()})],
    ['another principal', () => forged({principals: [`path-${sibling.id}`]})],
    [
      'an expired one',
      () => forged({validAfter: new Date(Date.now() - 9e6), validBefore: new Date(Date.now() - 5e3)}),
    ],
    [
      'one not yet valid',
      () => forged({validAfter: new Date(Date.now() + 6e5), validBefore: new Date(Date.now() + 9e5)}),
    ],
    ['one bound to another address', () => forged({sourceAddress: '192.0.2.1'})],
  ])('%s', async (_, make) => {
    expect(await banner(make())).toContain('Permission denied (publickey)')
  })

  it('one without forwarding forwards nothing', async () => {
    expect(await banner(forged({extensions: []}))).toContain('administratively prohibited')
  })
})

describe('each wall alone', () => {
  const guardIsThere = () => world.onGate('nft list table inet os_ssh')

  it('with sshd out of the way, an account reaches its own alias on its SSH port and nothing else', async () => {
    const reach = (target: string) =>
      world.onGate(`su -s /bin/bash ${mine.login} -c 'timeout 3 bash -c "echo > /dev/tcp/${target}"'`)
    expect(await reach(`${mine.alias}/22`)).toMatchObject({status: 0, stderr: ''})
    for (const target of [
      `${sibling.alias}/22`,
      `${foreign.alias}/22`,
      `${mine.alias}/80`,
      '127.0.0.1/22',
      `${mine.gate.host}/22`,
      '172.24.0.1/53',
    ])
      expect(await reach(target)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('Connection refused'),
      })
  })

  it('with the guard out of the way, sshd opens an account its own alias and nothing else', async () => {
    await world.onGate('nft delete table inet os_ssh')
    expect((await guardIsThere()).status).toBe(1)
    expect(await client.banner(client.alias)).toMatch(/^SSH-2\.0-OpenSSH/)
    for (const target of [`${sibling.alias}:22`, `${foreign.alias}:22`, `${mine.alias}:80`, '127.0.0.1:22'])
      expect(await client.banner(target)).toContain('administratively prohibited')
  })

  it('and the next round puts the guard up again, with every path in it', async () => {
    await world.grant('tenant1', 't1-web')
    const {stdout} = await guardIsThere()
    for (const {alias} of [mine, sibling, foreign]) expect(stdout).toContain(` . ${alias} . 22 timeout`)
  })

  it('a gate that forwards does so no longer when the service has come', async () => {
    const forwards = '/proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding'
    await world.onGate(`for file in ${forwards}; do echo 1 >$file; done`)
    expect((await world.onGate(`cat ${forwards}`)).stdout).toBe('1\n1\n')
    await world.stopService()
    await world.startService('service')
    const settled = await eventually(
      () => world.onGate(`cat ${forwards}`),
      ({stdout}) => stdout === '0\n0\n',
    )
    expect(settled.stdout).toBe('0\n0\n')
  })

  it('a tenant’s VM reaches nothing of the gate', async () => {
    const nic = (await world.attachments())[0]?.addresses[0]?.split('/')[0]
    const {stdout} = await client.vm(`${world.home}/.ssh/id_alice`, [
      `timeout 2 bash -c "echo > /dev/tcp/${nic}/22" 2>&1; echo status $?`,
    ])
    // The gate's public sshd is there for everybody; its tenant side does not even answer.
    expect(stdout).toBe('status 124\n')
  })

  it('a new interface believes no router', async () => {
    const {stdout} = await world.onGate(
      'cd /proc/sys/net/ipv6/conf/default; cat accept_ra autoconf accept_redirects',
    )
    expect(stdout).toBe('0\n0\n0\n')
  })
})

it('a revoked path’s certificate and an ended session are of no use', async () => {
  const gone = await world.grant('tenant1', 't1-web')
  const old = new GateClient(world, gone)
  expect(await old.banner(old.alias)).toMatch(/^SSH-/)
  await world.api('tenant1', 'DELETE', `/v1/paths/${gone.id}`, undefined, 204)
  expect(await old.banner(old.alias)).toContain('Permission denied')
  expect(await client.banner(client.alias)).toMatch(/^SSH-/)
})
