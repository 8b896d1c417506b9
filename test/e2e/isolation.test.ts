import {once} from 'node:events'
import {existsSync, readFileSync} from 'node:fs'
import {connect} from 'node:net'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import type {PathGrant} from '../../src/protocol/index.ts'
import {signUserCertificate} from '../../src/ssh/certificate.ts'
import {generateKeyPair, type KeyPairText} from '../../src/ssh/keys.ts'
import {GateClient} from '../support/gate-client.ts'
import {eventually, World} from '../support/world.ts'

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
    expect(await client.banner(target())).not.toMatch(/^SSH-/)
  })
})

describe('a certificate for one path is not good for', () => {
  it.each([
    ['a shell', [], []],
    ['a command', [], ['id']],
    ['a command on a terminal', ['-tt'], ['id']],
    ['sftp', ['-s'], ['sftp']],
    ['agent forwarding', ['-A'], ['true']],
    ['X11', ['-X'], ['true']],
    ['a remote forward', ['-N', '-R', '0:127.0.0.1:22'], []],
    ['a remote dynamic forward', ['-N', '-R', '1081'], []],
    ['a remote stream-local forward', ['-N', '-R', '/tmp/os-ssh-e2e-remote:127.0.0.1:22'], []],
    ['a tunnel device', ['-N', '-w', '0:0', '-o', 'Tunnel=point-to-point'], []],
  ] as [string, string[], string[]][])('%s', async (_, before, after) => {
    const {status, stdout} = await client.gate(before, after)
    expect(status).not.toBe(0)
    expect(stdout).not.toMatch(/uid=|SSH-/)
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
    expect((await tunnel).stderr).toMatch(/open failed/)
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
    ['one without forwarding', () => forged({extensions: []})],
    ['one bound to another address', () => forged({sourceAddress: '192.0.2.1'})],
  ])('%s', async (_, make) => {
    expect(await banner(make())).not.toMatch(/^SSH-/)
  })
})

describe('the walls behind sshd', () => {
  it('the group’s sockets reach the aliases’ SSH port and nothing else', async () => {
    const reach = (target: string) =>
      world.onGate(`su -s /bin/bash ${mine.login} -c 'timeout 3 bash -c "echo > /dev/tcp/${target}"'`)
    expect((await reach(`${mine.alias}/22`)).status).toBe(0)
    for (const target of [`${mine.alias}/80`, '127.0.0.1/22', `${mine.gate.host}/22`, '172.24.0.1/53'])
      expect((await reach(target)).status).not.toBe(0)
  })

  it('nothing is forwarded between the gate and the tenants', async () => {
    expect((await world.onGate('cat /proc/sys/net/ipv4/ip_forward')).stdout).toBe('0\n')
  })

  it('a tenant’s VM reaches nothing of the gate', async () => {
    const nic = (await world.attachments())[0]?.addresses[0]?.split('/')[0]
    const {stdout} = await client.vm(`${world.home}/.ssh/id_alice`, [
      `for t in ${nic} ${mine.gate.host}; do timeout 2 bash -c "echo > /dev/tcp/$t/22" 2>/dev/null && echo "reached $t"; done; echo done`,
    ])
    // The gate's public sshd is there for everybody; its tenant side is not.
    expect(stdout).not.toContain(`reached ${nic}`)
    expect(stdout).toContain('done')
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
