import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {generateKeyPair} from '../../../src/ssh/keys.ts'
import {World} from '../../support/world.ts'

/* One member asks for everything at once; another tenant must not wait for their queue. */

jest.setTimeout(240_000)

const MOST = 60
let world: World
beforeAll(async () => {
  world = await World.open('e2e-crowd', {flags: ['--paths-per-vm', '0', '--paths-per-user', String(MOST)]})
})
afterAll(() => world?.close())

it('a crowd of one project’s requests delays nobody else’s, and ends at the user’s limit with 429 and Retry-After', async () => {
  const token = (await (await world.cloud('tenant1')).identity.token()).id
  const keys = Array.from({length: MOST + 20}, () => generateKeyPair('crowd').publicKey)
  await world.grant('tenant2', 't2-web')
  let done = 0
  const answers = keys.map(async public_key => {
    const answer = await fetch(`${world.site.ssh_endpoint}/v1/paths`, {
      method: 'POST',
      headers: {'x-auth-token': token, 'content-type': 'application/json'},
      body: JSON.stringify({server_id: world.server('t1-web'), public_key}),
    })
    await answer.arrayBuffer()
    done++
    return answer
  })
  await Promise.race(answers)
  await world.grant('tenant2', 't2-web')
  // The crowd had all been there before.
  expect(done).toBeLessThan(keys.length / 2)

  const all = await Promise.all(answers)
  const refused = all.filter(answer => answer.status === 429)
  expect(all.filter(answer => answer.status === 201)).toHaveLength(MOST)
  expect(refused).toHaveLength(20)
  expect(new Set(refused.map(answer => answer.headers.get('retry-after')))).toEqual(new Set(['40']))
})
