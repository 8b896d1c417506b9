import {beforeEach, expect, it} from '@jest/globals'

import type {ServiceContext} from '../../../src/service/context.ts'
import {ensureGroup, ensureServerGroup} from '../../../src/service/deploy/objects.ts'

/* The groups that all gates of a service share, looked for by two machines that are made at once. */

interface Group {
  readonly id: string
  readonly name: string
  readonly security_group_rules: readonly object[]
}

let made: Group[]
/** As slow as a real one: whoever lists at the same time as another sees none. */
let late: () => Promise<void>
beforeEach(() => {
  made = []
  late = () => new Promise(resolve => setTimeout(resolve, 5))
})

async function listed(): Promise<Group[]> {
  const now = [...made]
  await late()
  return now
}

async function create({name}: {name: string}): Promise<Group> {
  await late()
  const group = {id: `group ${made.length + 1}`, name, security_group_rules: []}
  made.push(group)
  return group
}

const context = () =>
  ({
    ...{serviceId: 'service', by: 'ops on here'},
    cloud: {
      identity: {token: async () => ({project: {id: 'infra'}})},
      network: {securityGroups: listed, createSecurityGroup: create, createSecurityGroupRule: late},
      compute: {serverGroups: listed, createServerGroup: create},
    },
  }) as unknown as ServiceContext

it.each([
  ['security', (of: ServiceContext) => ensureGroup(of, ['0.0.0.0/0'])],
  ['server', (of: ServiceContext) => ensureServerGroup(of)],
])('one %s group is made', async (_, ensure) => {
  const one = context()
  expect(await Promise.all([ensure(one), ensure(one), ensure(one)])).toEqual(Array(3).fill('group 1'))
  expect(made).toHaveLength(1)
})

it('a fault is that of the machine which met it, and the next one makes the group', async () => {
  const one = context()
  late = () => {
    late = async () => {}
    return Promise.reject(new Error('the cloud is down'))
  }
  const lost = ensureServerGroup(one)
  const next = ensureServerGroup(one)
  await expect(lost).rejects.toThrow('the cloud is down')
  expect(await next).toBe('group 1')
})
