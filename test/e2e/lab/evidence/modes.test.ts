import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals'

import {sshServiceClient} from '../../../../src/access/ssh-service.ts'
import type {Gate, Path, PathGrant, ServiceStatus} from '../../../../src/protocol/index.ts'
import {generateKeyPair} from '../../../../src/ssh/keys.ts'
import {GateClient} from '../../../support/gate-client.ts'
import {eventually} from '../../../support/run.ts'
import {World} from '../../../support/world.ts'

/* One service, three ways to run it: what its clients rely on is the same, and who it serves is what differs. */

jest.setTimeout(300_000)

interface Mode {
  readonly name: string
  open(): Promise<World>
  readonly endpoint: (world: World) => string
  /** What another project's member hears who asks for their own VM. */
  readonly others: 'active' | 'NO_GATE'
}

const listening = (world: World) => world.service.url
const modes: readonly Mode[] = [
  {
    ...{name: 'cloud', others: 'active', endpoint: listening},
    open: () => World.open('e2e-mode-cloud'),
  },
  {
    ...{name: 'project', others: 'NO_GATE', endpoint: listening},
    open: () => World.open('e2e-mode-project', {account: 'service-member', gate: 1}),
  },
  {
    ...{name: 'embedded', others: 'NO_GATE'},
    endpoint: world => `unix:${world.home}/run/os-ssh/tenant1/service.sock`,
    async open() {
      const world = await World.open('e2e-mode-embedded', {alone: true})
      const {status, stderr} = await world.cli('tenant1', ['init', '--yes'], {timeout: 240_000})
      if (status !== 0) throw new Error(stderr)
      return world
    },
  },
]

describe.each(modes)('$name', mode => {
  let world: World
  const key = generateKeyPair('alice')
  beforeAll(async () => {
    world = await mode.open()
  }, 300_000)
  afterAll(async () => {
    if (mode.name === 'embedded') await world?.cli('tenant1', ['destroy', '--yes'], {timeout: 240_000})
    await world?.close()
  }, 300_000)

  const service = (who: string) =>
    sshServiceClient({endpoint: mode.endpoint(world), token: () => world.token(who)})
  const ask = (who: string, name: string, wait = 60) =>
    service(who).request<PathGrant>('POST', `/v1/paths?wait=${wait}`, {
      server_id: world.server(name),
      public_key: key.publicKey,
    })

  it.each(['t1-web', 't1-db'])('reaches %s', async name => {
    const grant = await ask('tenant1', name)
    const client = new GateClient(world, {...grant, key})
    expect(await client.vm(`${world.home}/.ssh/id_alice`, ['uname', '-n'])).toMatchObject({
      ...{status: 0, stdout: `${name}\n`},
    })
  })

  it('gives the same path for the same key, and renews it', async () => {
    const [one, other] = [await ask('tenant1', 't1-web'), await ask('tenant1', 't1-web')]
    expect(other.id).toBe(one.id)
    const renewed = await service('tenant1').request<PathGrant>('PATCH', `/v1/paths/${one.id}`, {})
    expect(renewed).toMatchObject({id: one.id, state: 'active'})
  })

  it('says what it is, and which gates serve', async () => {
    const status = await service('tenant1').request<ServiceStatus>('GET', '/v1/service')
    expect(status).toMatchObject({id: expect.stringMatching(/^[0-9a-f-]{36}$/), limits: {networks: 24}})
    const {gates} = await service('tenant1').request<{gates: Gate[]}>('GET', '/v1/gates')
    expect(gates.map(({state}) => state)).toEqual(['ready'])
  })

  it('shows nobody what is not theirs', async () => {
    await expect(ask('tenant2', 't1-web')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(world.server('t1-web')),
    })
    expect(await service('tenant2').request('GET', '/v1/paths')).toEqual({paths: []})
  })

  it('lets no reader in', async () => {
    await expect(ask('reader', 't1-web')).rejects.toMatchObject({code: 'DENIED'})
  })

  it('takes no token that is none', async () => {
    const nobody = sshServiceClient({endpoint: mode.endpoint(world), token: async () => 'x'.repeat(40)})
    await expect(nobody.request('GET', '/v1/paths')).rejects.toMatchObject({code: 'NOT_LOGGED_IN'})
  })

  it(`another project’s VM: ${mode.others}`, async () => {
    const outcome = await ask('tenant2', 't2-web').then(
      path => path.state,
      error => error.code,
    )
    expect(outcome).toBe(mode.others)
  })

  it('ends a path at once when it is revoked', async () => {
    const grant = await ask('tenant1', 't1-web')
    await service('tenant1').request('DELETE', `/v1/paths/${grant.id}`)
    const {paths} = await service('tenant1').request<{paths: Path[]}>('GET', '/v1/paths')
    expect(paths.map(({id}) => id)).not.toContain(grant.id)
    const client = new GateClient(world, {...grant, key})
    const refused = await eventually(
      () => client.vm(`${world.home}/.ssh/id_alice`, ['uname', '-n']),
      ({status}) => status !== 0,
      10_000,
    )
    expect(refused).toMatchObject({status: 255, stdout: ''})
  })
})
