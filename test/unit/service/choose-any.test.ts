import {describe, expect, it} from '@jest/globals'
import fc from 'fast-check'

import {OsSshError} from '../../../src/errors.ts'
import type {Flavor, Image} from '../../../src/openstack/index.ts'
import {choose} from '../../../src/service/deploy/choice/choose.ts'
import type {DeployPlan, Wish} from '../../../src/service/deploy/choice/plan.ts'
import type {Seen} from '../../../src/service/deploy/choice/seen.ts'
import {GiB, seen} from '../../support/seen.ts'

/* Whatever there is: few names, so that things meet. */
const few = (...words: string[]) => fc.constantFrom(...words)
const rows = <T extends {readonly id: string}>(one: fc.Arbitrary<T>) =>
  fc.uniqueArray(one, {maxLength: 5, selector: row => row.id})
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, {nil: undefined})
const number = (...numbers: number[]) => fc.constantFrom(...numbers)
const stamp = few('2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z')
const images = rows(
  fc.record({
    id: few('i1', 'i2', 'i3', 'i4', 'i5'),
    name: few('ubuntu-24.04', 'debian-12', 'debian-12-nocloud', 'x', ''),
    status: few('active', 'active', 'queued'),
    visibility: few('public', 'shared', 'private', 'community'),
    owner: few('infra', 'admin', 't1'),
    disk_format: few('qcow2', 'raw', 'iso'),
    size: number(0, GiB),
    virtual_size: fc.constantFrom(null, GiB, 4 * GiB),
    min_ram: number(0, 2048),
    min_disk: number(0, 15),
    created_at: stamp,
    os_distro: optional(few('ubuntu', 'debian', 'fedora', 'Ubuntu')),
    os_version: optional(few('12', '22.04', '24.04', 'noble')),
    architecture: optional(few('x86_64', 'aarch64')),
    image_type: optional(few('snapshot', 'image')),
  }),
) as fc.Arbitrary<Image[]>
const flavors = rows(
  fc.record({
    id: few('1', '2', '3', '4', '5'),
    name: few('m1.a', 'm1.b'),
    vcpus: number(0, 1, 2),
    ram: number(256, 512, 1024, 4096),
    disk: number(0, 1, 10, 20),
    'OS-FLV-DISABLED:disabled': optional(fc.boolean()),
    extra_specs: fc.constantFrom(undefined, {}, {'resources:VGPU': '1'}),
  }),
) as fc.Arbitrary<Flavor[]>
const networkIds = ['n1', 'n2', 'n3', 'n4']
const subnetIds = ['s1', 's2', 's3', 's4']
const random: fc.Arbitrary<Seen> = fc.record({
  project: fc.constant('infra'),
  images,
  flavors,
  volumes: fc.boolean(),
  limits: fc.record({maxTotalInstances: number(-1, 1, 5), totalInstancesUsed: number(0, 1)}),
  quotas: fc.record({
    floatingip: fc.record({limit: number(-1, 1, 9), used: number(0, 1), reserved: number(0, 1)}),
  }),
  networks: rows(
    fc.record({
      id: few(...networkIds),
      name: few('a', 'b', 'c'),
      project_id: few('infra', 'admin'),
      shared: fc.boolean(),
      'router:external': fc.boolean(),
    }),
  ),
  subnets: rows(
    fc.record({
      id: few(...subnetIds),
      name: few('a', 'b'),
      network_id: few(...networkIds),
      project_id: few('infra', 'admin'),
      ip_version: fc.constantFrom(4 as const, 6 as const),
      cidr: few('10.0.0.0/24'),
      gateway_ip: fc.constantFrom(null, '10.0.0.1'),
    }),
  ),
  routers: rows(
    fc.record({
      id: few('r1', 'r2', 'r3'),
      project_id: few('infra', 'infra', 't1'),
      status: few('ACTIVE', 'ACTIVE', 'ERROR'),
      admin_state_up: fc.boolean(),
      external_gateway_info: fc.constantFrom(null, {network_id: 'n1', external_fixed_ips: []}),
      created_at: stamp,
    }),
  ),
  legs: fc.array(
    fc.record({
      device_id: few('r1', 'r2', 'r3'),
      fixed_ips: fc.array(
        fc.record({subnet_id: few(...subnetIds), ip_address: few('10.0.0.1', '10.0.0.2')}),
        {
          minLength: 1,
          maxLength: 2,
        },
      ),
    }),
    {maxLength: 6},
  ),
  zones: fc.constant(['nova']),
  traits: fc.array(
    fc.record({
      name: few('a', 'n2'),
      routes_ipv4_externally: fc.boolean(),
      routes_ipv6_externally: fc.boolean(),
      nat_destination: fc.boolean(),
      default_interface: fc.boolean(),
    }),
    {maxLength: 2},
  ),
})
/** Most of them with something that fits, for each thing. */
const mostly = fc.constantFrom(true, true, true, false)
const facts = fc.tuple(random, mostly, mostly, fc.boolean()).map(([some, one, two, three]) => {
  const good = seen()
  return {
    ...some,
    images: [...some.images, ...(one ? good.images : [])],
    flavors: [...some.flavors, ...(two ? good.flavors : [])],
    networks: [...some.networks, ...(three ? good.networks : [])],
    subnets: [...some.subnets, ...(three ? good.subnets : [])],
    routers: [...some.routers, ...(three ? good.routers : [])],
    legs: [...some.legs, ...(three ? good.legs : [])],
  }
})
const wishes: fc.Arbitrary<Wish> = fc.oneof(
  {weight: 2, arbitrary: fc.constant({})},
  {
    weight: 1,
    arbitrary: fc.record(
      {
        network: few('n1', 'n2', 'a'),
        address: fc.constantFrom('floating' as const, 'direct' as const, 'ipv6' as const),
        count: number(1, 2),
      },
      {requiredKeys: []},
    ) as fc.Arbitrary<Wish>,
  },
)

const outcome = (from: Seen, wish: Wish) => {
  try {
    return choose(from, wish)
  } catch (error) {
    if (!(error instanceof OsSshError)) throw error
    return {code: error.code, message: error.message, hints: error.suggestions}
  }
}

/** Everything that a plan promises of what was seen, said once more. */
function holds(plan: DeployPlan, from: Seen, wish: Wish): void {
  const chosen = from.images.find(one => one.id === plan.image.id)
  const size = from.flavors.find(one => one.id === plan.flavor.id)
  const place = from.networks.find(one => one.id === plan.network.id)
  const sub = from.subnets.find(one => one.id === plan.subnet)
  if (!chosen || !size || !place) throw new Error('it is not there')
  expect(chosen.status).toBe('active')
  expect(chosen.image_type).not.toBe('snapshot')
  expect(chosen.disk_format).not.toBe('iso')
  expect([undefined, 'x86_64']).toContain(chosen.architecture)
  expect(chosen.visibility === 'community' && chosen.owner !== 'infra').toBe(false)
  expect(`${chosen.os_distro ?? chosen.name}`).toMatch(/ubuntu|debian/i)
  expect(size['OS-FLV-DISABLED:disabled']).not.toBe(true)
  expect(size.extra_specs ?? {}).toEqual({})
  expect(size.vcpus).toBeGreaterThanOrEqual(1)
  expect(size.ram).toBeGreaterThanOrEqual(Math.max(512, chosen.min_ram))
  const root = plan.volume ?? size.disk
  expect(root).toBeGreaterThanOrEqual(Math.max(1, chosen.min_disk, (chosen.virtual_size ?? 0) / GiB))
  expect(plan.volume === undefined).toBe(size.disk > 0)
  expect(sub?.network_id ?? place.id).toBe(place.id)
  if (sub) expect(sub.ip_version).toBe(plan.address.kind === 'ipv6' ? 6 : 4)
  else expect([plan.address.kind, place['router:external']]).toEqual(['direct', true])
  if (wish.address) expect(plan.address.kind).toBe(wish.address)
  else expect(plan.address.kind).not.toBe('ipv6')
  if (wish.network) expect([place.id, place.name]).toContain(wish.network)
  if (plan.address.kind === 'floating') {
    const to = plan.address.network.id
    const ways = from.routers.filter(
      one =>
        one.project_id === 'infra' &&
        one.status === 'ACTIVE' &&
        one.admin_state_up &&
        one.external_gateway_info?.network_id === to,
    )
    const there = from.legs.filter(one => ways.some(way => way.id === one.device_id))
    expect(there.flatMap(one => one.fixed_ips)).toContainEqual({
      subnet_id: sub?.id,
      ip_address: sub?.gateway_ip,
    })
  }
  for (const {needs, used, limit} of plan.quota)
    if (limit >= 0) expect(needs + used).toBeLessThanOrEqual(limit)
}

describe('whatever there is', () => {
  it('a plan is what was promised, and anything else is one line', () => {
    let plans = 0
    fc.assert(
      fc.property(facts, wishes, (from, wish) => {
        const result = outcome(from, wish)
        if ('code' in result) {
          expect(['USAGE', 'AMBIGUOUS', 'QUOTA', 'NO_GATE']).toContain(result.code)
          expect(result.message).not.toMatch(/\p{Cc}/u)
        } else {
          plans++
          holds(result, from, wish)
        }
      }),
      {numRuns: 2000},
    )
    // Of facts that never fit it would say nothing.
    expect(plans).toBeGreaterThan(300)
  })

  it('the order of what is listed does not matter', () => {
    const shuffled = facts.chain(from =>
      fc.tuple(
        fc.constant(from),
        fc.record({
          images: all(from.images),
          flavors: all(from.flavors),
          networks: all(from.networks),
          subnets: all(from.subnets),
          routers: all(from.routers),
          legs: all(from.legs),
        }),
      ),
    )
    fc.assert(
      fc.property(shuffled, wishes, ([from, other], wish) => {
        expect(outcome({...from, ...other}, wish)).toEqual(outcome(from, wish))
      }),
      {numRuns: 1000},
    )
  })

  const all = <T>(list: readonly T[]) =>
    fc.shuffledSubarray([...list], {minLength: list.length, maxLength: list.length})
})
