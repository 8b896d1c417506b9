import {describe, expect, it} from '@jest/globals'

import {choose} from '../../../src/service/deploy/choice/choose.ts'
import type {Wish} from '../../../src/service/deploy/choice/plan.ts'
import type {Seen} from '../../../src/service/deploy/choice/seen.ts'
import {external, fault, leg, network, router, seen, subnet, trait} from '../../support/seen.ts'

describe('the network', () => {
  const where = (change: Partial<Seen>, wish: Wish = {}) => {
    const {network: on, subnet: sub, address} = choose(seen(change), wish)
    return [on.id, sub, address.kind, ...(address.kind === 'floating' ? [address.network.id] : [])].join(' ')
  }
  const shared = network('shared', {project_id: 'admin', shared: true})
  const sharedSub = subnet('shared-sub', 'shared', {project_id: 'admin'})
  const bare = {routers: [], legs: [], subnets: []}
  const two: Partial<Seen> = {
    networks: [network('net'), network('net2'), external('ext1'), external('ext2')],
    subnets: [subnet('sub', 'net'), subnet('sub2', 'net2')],
    routers: [router('r', 'ext1'), router('r2', 'ext2', {created_at: '2020-01-01T00:00:00Z'})],
    legs: [leg('r', 'sub'), leg('r2', 'sub2')],
  }
  const six = (id: string, on: string, cidr = '2001:db8::/64') =>
    subnet(id, on, {ip_version: 6, cidr, gateway_ip: 'fe80::1'})

  it.each<[string, Partial<Seen>, Wish, string]>([
    [
      'the router’s own external network, not the first one',
      {networks: [external('a-first'), network('net'), external('public')]},
      {},
      'net sub floating public',
    ],
    ['the oldest router’s', two, {}, 'net2 sub2 floating ext2'],
    [
      'of one router the first subnet by name',
      {...two, routers: [router('r', 'ext1')], legs: [leg('r', 'sub2'), leg('r', 'sub')]},
      {},
      'net sub floating ext1',
    ],
    [
      'not through a router that is off',
      {
        ...two,
        routers: [
          router('r', 'ext1'),
          router('r2', 'ext2', {admin_state_up: false, created_at: '2020-01-01T00:00:00Z'}),
        ],
      },
      {},
      'net sub floating ext1',
    ],
    [
      'not through a router that leads nowhere',
      {...two, routers: [router('r', 'ext1'), router('r2', null, {created_at: '2020-01-01T00:00:00Z'})]},
      {},
      'net sub floating ext1',
    ],
    [
      'not through a router in ERROR',
      {
        ...two,
        routers: [
          router('r', 'ext1'),
          router('r2', 'ext2', {status: 'ERROR', created_at: '2020-01-01T00:00:00Z'}),
        ],
      },
      {},
      'net sub floating ext1',
    ],
    [
      'no floating IP for an address that is external itself',
      {networks: [external('net', {project_id: 'infra'}), external('public')]},
      {},
      'net sub direct',
    ],
    [
      'not through another project’s router',
      {
        ...two,
        routers: [
          router('r', 'ext1'),
          router('r2', 'ext2', {project_id: 't1', created_at: '2000-01-01T00:00:00Z'}),
        ],
      },
      {},
      'net sub floating ext1',
    ],
    [
      'not where the router is not the gateway',
      {...two, legs: [leg('r', 'sub'), leg('r2', 'sub2', '10.0.0.9')]},
      {},
      'net sub floating ext1',
    ],
    [
      'its own before one that it is let on',
      {
        ...two,
        networks: [
          network('net'),
          network('net2', {project_id: 'admin', shared: true}),
          external('ext1'),
          external('ext2'),
        ],
      },
      {},
      'net sub floating ext1',
    ],
    [
      'a shared one where it has no router',
      {...bare, networks: [external('public'), shared], subnets: [sharedSub]},
      {},
      'shared shared-sub direct',
    ],
    [
      'a shared one only with a gateway',
      {...bare, networks: [external('public'), shared], subnets: [{...sharedSub, gateway_ip: null}]},
      {},
      'public  direct',
    ],
    [
      'an external one, whose subnets it does not see, last',
      {...bare, networks: [external('public')]},
      {},
      'public  direct',
    ],
    [
      'an external one that is shared first',
      {
        ...bare,
        networks: [shared, external('public', {shared: true})],
        subnets: [sharedSub, subnet('pub', 'public')],
      },
      {},
      'public pub direct',
    ],
    ['a network that is named', two, {network: 'net'}, 'net sub floating ext1'],
    ['an external network that is named', two, {external: 'ext1'}, 'net sub floating ext1'],
    [
      'an address that is named',
      {networks: [network('net'), external('public')]},
      {address: 'direct'},
      'public  direct',
    ],
    [
      'a network whose addresses its operator says are reached',
      {},
      {network: 'net', address: 'direct'},
      'net sub direct',
    ],
    [
      'where clouds.yaml has floating IPs lead',
      {...two, traits: [trait('net', {nat_destination: true})]},
      {},
      'net sub floating ext1',
    ],
    [
      'where clouds.yaml has servers reached',
      {...two, traits: [trait('net', {default_interface: true})]},
      {},
      'net sub floating ext1',
    ],
    [
      'what clouds.yaml says is routed',
      {traits: [trait('net', {routes_ipv4_externally: true})]},
      {},
      'net sub direct',
    ],
    [
      'a router to what clouds.yaml says is routed',
      {...two, traits: [trait('ext1', {routes_ipv4_externally: true})]},
      {},
      'net sub floating ext1',
    ],
    [
      'nothing that clouds.yaml names and nobody sees',
      {traits: [trait('gone', {nat_destination: true})]},
      {},
      'net sub floating public',
    ],
    [
      'IPv6 behind a router',
      {subnets: [subnet('sub', 'net'), six('s6', 'net')], legs: [leg('r', 'sub'), leg('r', 's6', 'fe80::1')]},
      {address: 'ipv6'},
      'net s6 ipv6',
    ],
    [
      'IPv6 of the world before that of a site',
      {
        subnets: [six('a', 'net', 'fd00::/64'), six('b', 'net')],
        legs: [leg('r', 'a', 'fd00::1'), leg('r', 'b', 'fe80::1')],
      },
      {address: 'ipv6'},
      'net b ipv6',
    ],
    [
      'IPv6 of a shared network',
      {...bare, networks: [shared], subnets: [sharedSub, six('s6', 'shared')]},
      {address: 'ipv6'},
      'shared s6 ipv6',
    ],
    [
      'IPv4 first on a network of both',
      {...bare, networks: [shared], subnets: [six('a6', 'shared'), sharedSub]},
      {},
      'shared shared-sub direct',
    ],
  ])('%s', (_, change, wish, expected) => {
    expect(where(change, wish)).toBe(expected)
  })

  it('is not IPv6 unless it is asked for', () => {
    const only = {subnets: [six('s6', 'net')], legs: [leg('r', 's6', 'fe80::1')], networks: [network('net')]}
    expect(fault(seen(only)).code).toBe('NO_GATE')
  })

  it('is not IPv6 behind a router without a way out', () => {
    const inside = {
      subnets: [six('s6', 'net')],
      legs: [leg('r', 's6', 'fe80::1')],
      routers: [router('r', null)],
    }
    expect(fault(seen(inside), {address: 'ipv6'}).code).toBe('NO_GATE')
  })

  it('is not a stranger’s that looks like the cloud’s own', () => {
    const theirs = network('a', {project_id: 't1', shared: true, 'router:external': true})
    const both = {...bare, networks: [external('public'), theirs]}
    expect(fault(seen(both))).toMatchObject({
      code: 'AMBIGUOUS',
      message: 'a gate could stand on networks of several other projects: a, public',
    })
    expect(where(both, {network: 'public'})).toBe('public  direct')
    const routed = [trait('public', {default_interface: true})]
    expect(where({...both, traits: routed})).toBe('public  direct')
    expect(where({networks: [network('net'), external('public'), theirs]})).toBe('net sub floating public')
    // Its own router leads there: somebody of the project wanted that one.
    const joined = network('net', {project_id: 'admin', shared: true})
    expect(where({networks: [joined, external('public'), theirs]})).toBe('net sub floating public')
  })

  it('is not a stranger’s of a name that clouds.yaml has', () => {
    const named = {traits: [trait('own', {routes_ipv4_externally: true})]}
    const networks = [
      external('public'),
      network('net', {name: 'own'}),
      network('9', {name: 'own', shared: true, project_id: 't1'}),
    ]
    expect(fault(seen({...named, networks})).code).toBe('AMBIGUOUS')
    expect(where({networks, traits: [trait('net', {nat_destination: true})]})).toBe('net sub floating public')
  })
})
