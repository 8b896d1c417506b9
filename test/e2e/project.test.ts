import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {GateClient} from '../support/gate-client.ts'
import {World} from '../support/world.ts'

/* A team's own service: its account is a plain member of the project, and so is its gate's. No admin right anywhere. */

jest.setTimeout(120_000)

let world: World
beforeAll(async () => {
  world = await World.open('e2e-project', {account: 'service-member', gate: 1})
})
afterAll(() => world?.close())

it.each(['t1-web', 't1-db', 't1-six', 't1-default', 't1-default2'])(
  'serves %s with a member’s rights alone',
  async name => {
    const grant = await world.grant('tenant1', name)
    const answer = await new GateClient(world, grant).vm(`${world.home}/.ssh/id_alice`, ['uname', '-n'])
    expect(answer).toMatchObject({status: 0, stdout: `${name}\n`})
  },
)

it('serves no other project', async () => {
  expect(await world.refusal('tenant2', world.server('t2-web'))).toMatchObject({code: 'NO_GATE'})
})
