import {readFileSync} from 'node:fs'
import {beforeAll, expect, test} from '@jest/globals'
import {paperLab} from '../../../support/lab-api.ts'

/* The lab's answers beside those recorded from a real cloud: the same fields, of the same kinds. */

let lab: Awaited<ReturnType<typeof paperLab>>
beforeAll(async () => {
  lab = await paperLab()
})

function recorded(name: string): {status: number; body: unknown} {
  return JSON.parse(
    readFileSync(new URL(`../../../fixtures/openstack/${name}.json`, import.meta.url), 'utf8'),
  )
}

/** Which fields there are, without their values; an array's first element stands for all. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])]
  if (typeof value !== 'object' || value === null) return 'value'
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]))
}

/** What the recorded shape has and the answer lacks, and the other way round; maps by name or free content are passed over. */
function differences(want: unknown, have: unknown, path = ''): string[] {
  if (Array.isArray(want))
    return Array.isArray(have) && want.length > 0 && have.length > 0
      ? differences(want[0], have[0], path)
      : []
  if (typeof want !== 'object' || want === null || typeof have !== 'object' || have === null) return []
  const free = /addresses$|configurations$|metadata$|vif_details$|profile$/
  if (free.test(path)) return []
  const [a, b] = [want as Record<string, unknown>, have as Record<string, unknown>]
  const missing = Object.keys(a)
    .filter(key => !(key in b))
    .map(key => `lacks ${path}.${key}`)
  const extra = Object.keys(b)
    .filter(key => !(key in a))
    .map(key => `adds ${path}.${key}`)
  return [
    ...missing,
    ...extra,
    ...Object.keys(a).flatMap(key => (key in b ? differences(a[key], b[key], `${path}.${key}`) : [])),
  ]
}

type Entry = Parameters<typeof lab.as>[0]
const cases: [string, Entry, () => string, string[]?][] = [
  ['nova-servers-detail', 'tenant1', () => '/compute/v2.1/servers/detail?name=t1-web'],
  ['nova-os-interface-list', 'tenant1', () => `/compute/v2.1/servers/${lab.id('t1-web')}/os-interface`],
  // sorted by id: the tenant's first port there has `is_default` on no network of ours
  ['neutron-networks-admin', 'admin', () => '/network/v2.0/networks?name=t1-net'],
  ['neutron-ports-of-vm-member', 'tenant1', () => `/network/v2.0/ports?device_id=${lab.id('t1-web')}`],
  ['neutron-router-t2-dvr-admin', 'admin', () => `/network/v2.0/routers/${lab.id('t1-router')}`],
  [
    'neutron-router-t1-legacy-l3-agents',
    'admin',
    () => `/network/v2.0/routers/${lab.id('t1-router')}/l3-agents`,
  ],
  ['neutron-subnets', 'tenant1', () => '/network/v2.0/subnets?name=t1-net'],
  // standard_attr_id is an implementation's leak
  [
    'neutron-security-groups',
    'tenant1',
    () => '/network/v2.0/security-groups?name=ssh',
    ['lacks .security_groups.security_group_rules.standard_attr_id'],
  ],
  ['neutron-quota-details', 'tenant1', () => `/network/v2.0/quotas/${lab.id('tenant1')}/details`],
  ['neutron-agents', 'admin', () => '/network/v2.0/agents'],
  ['keystone-auth-projects', 'tenant1', () => '/identity/v3/auth/projects'],
]

test.each(cases)('%s', async (name, entry, url, allowed = []) => {
  const want = recorded(name)
  const {status, body} = await (await lab.as(entry))('GET', url())
  expect(status).toBe(want.status ?? 200)
  const found = differences(shape(want.body ?? want), shape(body))
  expect(found.filter(line => !allowed.includes(line))).toEqual([])
})

test.each([
  [
    'nova-404-server',
    'tenant1',
    'GET',
    '/compute/v2.1/servers/00000000-0000-0000-0000-000000000000',
    undefined,
  ],
  ['nova-403-reader-deletes', 'reader', 'DELETE', '', undefined],
  ['keystone-403-member-lists-users', 'tenant1', 'GET', '/identity/v3/users', undefined],
  ['neutron-409-port-quota', 'tenant2', 'POST', '/network/v2.0/ports', 't2-net'],
] as const)('%s, word for word', async (name, entry, method, url, network) => {
  const want = recorded(name)
  if (network) lab.cloud.quotas.set(lab.id('tenant2'), {port: 1})
  const path = url === '' ? `/compute/v2.1/servers/${lab.id('t1-web')}` : url
  const body = network ? {port: {network_id: lab.id(network)}} : undefined
  const got = await (await lab.as(entry))(method, path, body)
  expect([got.status, got.body]).toEqual([want.status, want.body])
})
