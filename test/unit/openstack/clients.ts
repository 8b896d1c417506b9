import {afterEach, beforeEach} from '@jest/globals'

import {
  type CloudConfig,
  type OpenStack,
  type OpenStackOptions,
  openStack,
} from '../../../src/openstack/index.ts'
import {type Fake, startFake} from './fake.ts'

/** A new one for each test of the file that imports this. */
export let fake: Fake
let clouds: OpenStack[]
beforeEach(async () => {
  fake = await startFake()
  clouds = []
})
afterEach(async () => {
  for (const cloud of clouds) await cloud.close()
  await fake.close()
})

/** A client of it, which ends with the test: alice, of no project unless `config` says so. */
export function client(config: Partial<CloudConfig> = {}, options: OpenStackOptions = {}): OpenStack {
  const cloud = openStack(
    {name: 'fake', auth: alice(), ...config},
    {retryDelay: 1, timeout: 5000, ...options},
  )
  clouds.push(cloud)
  return cloud
}

/** The same, of the project tenant1. */
export const member = (config: Partial<CloudConfig> = {}, options: OpenStackOptions = {}): OpenStack =>
  client({auth: {...alice(), project_name: 'tenant1'}, ...config}, options)

const alice = () => ({auth_url: `${fake.url}/v3`, username: 'alice', password: 'secret'})
