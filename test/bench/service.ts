import type {PathGrant} from '../../src/protocol/index.ts'
import {generateKeyPair} from '../../src/ssh/keys.ts'
import {eventually} from '../support/run.ts'
import {World} from '../support/world.ts'
import {type Bench, type Measured, measured} from './measure.ts'
import {memory} from './rss.ts'

/**
 * The service by itself: a path on an attachment that is there and on a new one, as the client sees it, the cloud's
 * own calls included, and its memory with 1,000 paths.
 */
export const service: Bench = {
  names: ['grant-reuse', 'grant-attach', 'service-rss'],
  async run(names, runs) {
    const world = await World.open('bench-service', {
      flags: ['--grace', '0', '--paths-per-vm', '0', '--paths-per-user', '0'],
    })
    try {
      const results: Measured[] = []
      const token = (await (await world.cloud('tenant1')).identity.token()).id
      const ask = async (name: string) => grant(world, token, name)
      if (names.includes('grant-attach')) {
        const took: number[] = []
        for (let n = 0; n < runs; n++) {
          const path = await ask('t1-db')
          took.push(path.took)
          await world.api('tenant1', 'DELETE', `/v1/paths/${path.id}`, undefined, 204)
          await eventually(
            () => attachments(world),
            count => count === 0,
          )
        }
        results.push(measured('grant-attach', 'ms', took))
      }
      if (names.includes('grant-reuse')) {
        await ask('t1-db')
        const took: number[] = []
        for (let n = 0; n < runs * 2; n++) took.push((await ask('t1-db')).took)
        results.push(measured('grant-reuse', 'ms', took))
      }
      if (names.includes('service-rss')) results.push(await rss(world, ask))
      return results
    } finally {
      await world.close()
    }
  },
}

async function grant(world: World, token: string, name: string): Promise<{id: string; took: number}> {
  const body = JSON.stringify({server_id: world.server(name), public_key: generateKeyPair('bench').publicKey})
  const begun = performance.now()
  const answer = await fetch(`${world.site.ssh_endpoint}/v1/paths`, {
    method: 'POST',
    headers: {'x-auth-token': token, 'content-type': 'application/json'},
    body,
  })
  const path = (await answer.json()) as PathGrant
  const took = performance.now() - begun
  if (answer.status !== 201) throw new Error(`grant: ${answer.status} ${JSON.stringify(path)}`)
  return {id: path.id, took}
}

const attachments = async (world: World) => (await world.attachments()).length

async function rss(world: World, ask: (name: string) => Promise<{took: number}>): Promise<Measured> {
  const paths = 1000
  for (let n = 0; n < paths; n += 25) await Promise.all(Array.from({length: 25}, () => ask('t1-db')))
  const late = [await ask('t1-db'), await ask('t1-db'), await ask('t1-db')].map(path => path.took)
  return {
    ...measured('service-rss', 'MB', [memory(world).now]),
    paths,
    grant_ms: Math.round(Math.min(...late)),
  }
}
