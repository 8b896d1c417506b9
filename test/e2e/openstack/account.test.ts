import {readFileSync} from 'node:fs'

import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {login} from '../../openstack/identity.ts'
import {dir} from '../../openstack/place.ts'
import {eventually} from '../../support/run.ts'
import {root, World} from '../../support/world.ts'

/* docs/service-account.md lists the calls of the service's account: held against what the real services have logged. */

jest.setTimeout(240_000)

let world: World
let since: Record<string, number>
beforeAll(async () => {
  since = {nova: log('nova').length, neutron: log('neutron').length}
  world = await World.open('account', {flags: ['--grace', '1']})
})
afterAll(() => world?.close())

const log = (service: string) =>
  readFileSync(`${dir}/log/${service === 'nova' ? 'nova-api' : 'neutron-server'}.log`, 'utf8')

/** What a user has asked from the workstation, ids taken out: what came from elsewhere was asked by the services themselves. */
function asked(service: 'nova' | 'neutron', userId: string): string[] {
  const lines = log(service).slice(since[service]).split('\n')
  const calls = lines.flatMap(line => {
    if (!line.includes(` ${userId} `)) return []
    const [, method, path = ''] = /127\.0\.0\.1 "([A-Z]+) (\S+)/.exec(line) ?? []
    return method === undefined ? [] : [`${method} ${general(path)}`]
  })
  return [...new Set(calls)].sort()
}

function general(path: string): string {
  return (path.split('?')[0] ?? '')
    .replace(/\/servers\/[^/]+/, '/servers/GATE')
    .replace(/\/(os-interface|ports)\/[^/]+/, '/$1/PORT')
}

function documented(service: string): string[] {
  const text = readFileSync(`${root}docs/service-account.md`, 'utf8')
  const rows = [...text.matchAll(/^\| (\w+) \| ([A-Z]+ \S+) \|/gm)]
  return rows.flatMap(([, name, call = '']) => (name === service ? [call] : [])).sort()
}

it('makes the calls that are documented, and no other', async () => {
  const grants = await Promise.all([
    world.grant('tenant1', 't1-web'),
    world.grant('tenant1', 't1-default'),
    world.grant('tenant2', 't2-db'),
  ])
  // A survey that finds all there, and one that misses a VM.
  const vm = await world.throwaway()
  const {id} = await world.grant('tenant1', vm)
  await world.surveyed()
  await (await world.cloud('tenant1')).compute.deleteServer(vm)
  const look = () => world.api<{state: string}>('tenant1', 'GET', `/v1/paths/${id}`)
  expect(await eventually(look, path => path.state === 'failed', 60_000)).toMatchObject({state: 'failed'})
  for (const [index, grant] of grants.entries())
    await world.api(index === 2 ? 'tenant2' : 'tenant1', 'DELETE', `/v1/paths/${grant.id}`, undefined, 204)
  await eventually(
    () => world.attachments(),
    found => found.length === 0,
    60_000,
  )
  await world.stopService()

  const {userId} = await login('service')
  expect(asked('nova', userId)).toEqual(documented('Nova'))
  expect(asked('neutron', userId)).toEqual(documented('Neutron'))
})
