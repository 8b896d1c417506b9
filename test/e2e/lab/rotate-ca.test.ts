import {readFileSync, statSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import type {PathGrant} from '../../../src/protocol/index.ts'
import {fingerprint, generateKeyPair} from '../../../src/ssh/keys.ts'
import {GateClient} from '../../support/gate-client.ts'
import {eventually, run} from '../../support/run.ts'
import {World} from '../../support/world.ts'

/* Both CAs are changed while users come and go, beside a service that is never started again. */

jest.setTimeout(180_000)

let world: World
/** The path of before, and the one that was made when both CAs were trusted: certificates of the old CA. */
let [before, during]: GateClient[] = []
let after: GateClient
/** What the path of `during` is for. */
const key = generateKeyPair('alice')
let pid: number | undefined
let oldCas: readonly string[]

beforeAll(async () => {
  world = await World.open('e2e-rotate-ca', {flags: ['--paths-per-vm', '0', '--resync', '2']})
  pid = world.servicePid
})
afterAll(() => world?.close())

const state = () => `${world.home}/service`
const rotate = (...words: string[]) =>
  world.cli('service', ['service', 'rotate-ca', '--state', state(), ...words])
const publicKey = (kind: string) => readFileSync(`${state()}/ca/${kind}_ca.pub`, 'utf8').trim()
const cas = () => ['user', 'host'].map(kind => fingerprint(publicKey(kind)))
const path = async (name = 't1-web') => new GateClient(world, await world.grant('tenant1', name))
/** Once more when the gate's sshd has just been told to read its files anew: for a moment nothing listens. */
const login = (client: GateClient) =>
  eventually(
    () => client.vm(`${world.home}/.ssh/id_alice`, ['uname', '-n']),
    ({stderr}) => !stderr.includes('Connection refused'),
    20_000,
  )
const worked = {status: 0, stdout: 't1-web\n', stderr: ''}
/** As its users have it: whatever files an earlier path has left. */
const connect = () =>
  world.cli('tenant1', ['connect', 'debian@t1-web', '-i', `${world.home}/.ssh/id_alice`, '--', 'uname', '-n'])

/** The CA that signed a certificate, as ssh-keygen reads it. */
async function signer({certificate}: PathGrant): Promise<string> {
  const {stdout} = await run('ssh-keygen', ['-L', '-f', '-'], {input: `${certificate}\n`})
  return /Signing CA: \S+ (\S+)/.exec(stdout)?.[1] ?? stdout
}

/** Until the gate has this many user CAs and a host certificate of the CA that signs. */
async function told(count: number): Promise<void> {
  const look = () =>
    world.onGate('cat /etc/os-ssh/user_ca.pub; ssh-keygen -L -f /etc/os-ssh/host-cert.pub | grep Signing')
  const is = (text: string) =>
    text.split('\n').filter(line => line.startsWith('ssh-ed25519 ')).length === count &&
    text.includes(cas()[1] ?? '')
  const {stdout} = await eventually(look, answer => is(answer.stdout), 20_000)
  expect(stdout).toContain(publicKey('user'))
}

it('before: one CA each', async () => {
  oldCas = cas()
  before = await path()
  expect(await login(before)).toEqual(worked)
  expect(await signer(before.grant)).toBe(oldCas[0])
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-web\n'})
  expect(await rotate()).toMatchObject({status: 0, stderr: 'no rotation is under way\n'})
})

it('begin: both are trusted, and the old one signs', async () => {
  expect(await rotate('--phase', 'begin')).toMatchObject({
    status: 0,
    stderr: expect.stringMatching(/^with several replicas: .*\nall gates and clients trust the next CA from/),
  })
  await told(2)
  expect(cas()).toEqual(oldCas)
  during = new GateClient(world, await world.grant('tenant1', 't1-web', key))
  expect(during.grant.host_cas).toHaveLength(2)
  expect(await signer(during.grant)).toBe(oldCas[0])
  expect([await login(before as GateClient), await login(during)]).toEqual([worked, worked])
  expect(await rotate('--phase', 'switch')).toMatchObject({
    status: 75,
    stderr: expect.stringContaining('not all clients are sure to trust the next host CA before'),
  })
})

it('switch: the new one signs, and certificates of the old one still log in', async () => {
  expect(await rotate('--phase', 'switch', '--force')).toMatchObject({status: 0})
  expect(cas()).not.toEqual(oldCas)
  await told(2)
  expect(await login(during as GateClient)).toEqual(worked)
  after = await path()
  expect(await signer(after.grant)).toBe(cas()[0])
  expect(await login(after)).toEqual(worked)
  // Whoever has a path of before --force does not know the gate any more, and os-ssh asks for it anew.
  expect(await before?.banner(before.alias)).toContain('Host key verification failed')
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-web\n'})
})

it('finish: the old one opens nothing', async () => {
  expect(await rotate('--phase', 'finish')).toMatchObject({
    status: 75,
    stdout: '',
    stderr: expect.stringMatching(
      /^error: certificates of the other user CA live until \d.*Z\nhint: {2}wait until then; --force/,
    ),
  })
  expect(await login(during as GateClient)).toEqual(worked)
  expect(await rotate('--phase', 'finish', '--force')).toMatchObject({status: 0})
  await told(1)
  const {grant} = during as GateClient
  const refused = await during?.gate(['-W', during.alias])
  expect(refused).toMatchObject({
    status: 255,
    stdout: '',
    stderr: `${grant.login}@${grant.gate.host}: Permission denied (publickey).\r\n`,
  })
  expect(await login(after)).toEqual(worked)
  // It is the certificate: asked for anew, the same path works.
  const again = await world.grant('tenant1', 't1-web', key)
  expect(again).toMatchObject({id: grant.id, login: grant.login})
  expect(await login(new GateClient(world, again))).toEqual(worked)
  const fresh = await path()
  expect(fresh.grant.host_cas).toEqual([publicKey('host')])
  expect(await login(fresh)).toEqual(worked)
  expect(await connect()).toMatchObject({status: 0, stdout: 't1-web\n'})
  expect(await rotate('-f', 'json')).toMatchObject({stderr: 'no rotation is under way\n'})
})

it('and the service has never been started again', async () => {
  expect(world.servicePid).toBe(pid)
  expect(world.log.match(/the SSH service listens/g)).toHaveLength(1)
  expect(world.log.match(/the CAs have changed/g)).toHaveLength(3)
  expect(statSync(`${state()}/ca/user_ca`).mode & 0o777).toBe(0o600)
})
