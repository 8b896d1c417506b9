import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {setTimeout as sleep} from 'node:timers/promises'

import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {GateClient} from '../support/gate-client.ts'
import {eventually, run} from '../support/run.ts'
import {World} from '../support/world.ts'

/* What goes on, and what does not, after a right was withdrawn: certificates are shorter than paths, operators revoke. */

jest.setTimeout(240_000)

const CERTIFICATE_S = 15
let world: World
beforeAll(async () => {
  world = await World.open('e2e-withdrawn', {flags: ['--cert-life', String(CERTIFICATE_S)]})
})
afterAll(() => world?.close())

const alice = () => `${world.home}/.ssh/id_alice`
const idOf = async (user: string) => (await (await world.cloud(user)).identity.token()).user.id

it('a session that is open lives on, but nothing begins after the certificate’s end, on an old connection either', async () => {
  const grant = await world.grant('tenant1', 't1-web')
  const ends = Date.parse(grant.certificate_until)
  expect(ends - Date.now()).toBeLessThanOrEqual(CERTIFICATE_S * 1000)
  expect(Date.parse(grant.expires_at) - ends).toBeGreaterThan(3_600_000)
  const client = new GateClient(world, grant)
  const session = client.vm(alice(), ['sleep', String(CERTIFICATE_S + 8), '&&', 'echo', 'alive'], 60_000)
  const control = ['-o', `ControlPath=${client.directory}/c`]
  const master = spawn('ssh', [...client.options(), ...control, '-M', '-N', grant.gate.host], {
    stdio: 'ignore',
  })
  const through = () =>
    run('ssh', [...client.options(), ...control, '-W', client.alias, grant.gate.host], {timeout: 10_000})
  expect((await eventually(through, answer => answer.stdout.startsWith('SSH-'))).stdout).toMatch(/^SSH-/)

  await sleep(ends - Date.now() + 2000)
  // The connection to the gate is still up; a new channel on it is refused by the guard, and would be by the namespace.
  expect(await run('ssh', [...client.options(), ...control, '-O', 'check', grant.gate.host])).toMatchObject({
    status: 0,
  })
  expect(await through()).toMatchObject({
    status: 255,
    stdout: '',
    stderr: 'Stdio forwarding request failed: Session open refused by peer\r\n',
  })
  expect(await client.banner(client.alias)).toContain('Permission denied (publickey)')
  expect(await session).toMatchObject({status: 0, stdout: 'alive\n'})

  master.kill()
  await once(master, 'exit')
  // Asked for again, with today's token, it is the same path, and works at the first try.
  const again = await world.grant('tenant1', 't1-web', grant.key)
  expect(again).toMatchObject({id: grant.id, alias: grant.alias})
  expect(await new GateClient(world, again).banner(client.alias)).toMatch(/^SSH-/)
})

describe('an operator', () => {
  it('sees everybody’s paths, which a member does not', async () => {
    const [one, two] = [await world.grant('tenant1', 't1-db'), await world.grant('tenant2', 't2-db')]
    const listing = await world.cli('service', ['paths', 'list', '--all', '-f', 'json'])
    const seen = (JSON.parse(listing.stdout) as {id: string; user_name: string}[]).map(path => path.id)
    expect(seen).toEqual(expect.arrayContaining([one.id, two.id]))
    const project = (await (await world.cloud('tenant2')).identity.token()).project?.id ?? ''
    const some = await world.cli('service', [
      'paths',
      'list',
      '--all',
      '--project',
      project,
      '-f',
      'value',
      '-c',
      'id',
    ])
    expect(some.stdout.trim().split('\n')).toEqual([two.id])
    for (const words of [
      ['paths', 'list', '--all'],
      ['paths', 'revoke', '--user', await idOf('tenant2')],
    ])
      expect(await world.cli('tenant1', words)).toMatchObject({
        status: 77,
        stdout: '',
        stderr: expect.stringContaining('this is for operators of the SSH service'),
      })
  })

  it('ends all paths of a user at once, and bars them for a minute, and nobody else', async () => {
    const [mine, theirs] = [await world.grant('tenant1', 't1-db'), await world.grant('tenant2', 't2-db')]
    const [cut, stays] = [new GateClient(world, mine), new GateClient(world, theirs)]
    const session = cut.vm(alice(), ['sleep', '60'], 70_000)
    await eventually(
      () => world.onGate(`pgrep -u ${mine.login}`),
      answer => answer.status === 0,
    )
    const revoked = await world.cli('service', ['paths', 'revoke', '--user', await idOf('tenant1')])
    expect(revoked).toMatchObject({status: 0, stdout: expect.stringMatching(/^revoked \d+ paths\n$/)})
    expect((await session).status).toBe(255)
    expect(await cut.banner(cut.alias)).toContain('Permission denied (publickey)')
    expect(await stays.banner(stays.alias)).toMatch(/^SSH-/)
    expect(await world.refusal('tenant1', world.server('t1-db'))).toMatchObject({
      status: 403,
      code: 'DENIED',
      hint: expect.stringMatching(/granted again in \d+ s/),
    })
    await expect(world.grant('tenant2', 't2-db')).resolves.toBeTruthy()
  })

  it('finds in the audit what was refused, apart from what was done', async () => {
    type Audit = {audit: {action: string; detail: string}[]; next?: number}
    const {audit, next} = await world.api<Audit>('service', 'GET', '/v1/audit?limit=3')
    expect(audit.map(entry => entry.action)).not.toContain('deny')
    expect(next).toBeGreaterThan(0)
    const older = await world.api<Audit>('service', 'GET', `/v1/audit?limit=3&before=${next}`)
    expect(older.audit).toHaveLength(3)
    const refused = await world.api<Audit>('service', 'GET', '/v1/audit?denials=true')
    expect(refused.audit.map(entry => `${entry.action} ${entry.detail}`)).toEqual(
      expect.arrayContaining(['deny DENIED', 'deny DENIED DELETE /v1/paths', 'deny DENIED GET /v1/paths']),
    )
  })
})
