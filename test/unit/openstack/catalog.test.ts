import {expect, it} from '@jest/globals'

import {findEndpoint} from '../../../src/openstack/catalog.ts'
import type {CloudConfig} from '../../../src/openstack/index.ts'
import {proxyOf} from '../../../src/openstack/proxy.ts'
import type {Token} from '../../../src/openstack/types.ts'

/* Which of a catalog's addresses is taken: a token that goes to the wrong one is in the wrong hands. */

const at = (type: string, name: string, region?: string) => ({
  ...{interface: name, url: `https://${type}.${name}.${region ?? 'nowhere'}.example`},
  ...(region && {region}),
})
const names = ['admin', 'internal', 'public']
const all = (type: string) => ['north', 'south'].flatMap(region => names.map(name => at(type, name, region)))
const token = {
  project: {id: 'p1', name: 'shop'},
  catalog: [
    {type: 'compute', name: 'nova', endpoints: all('compute')},
    {type: 'imagev2', name: 'glance', endpoints: all('image')},
    {
      type: 'network',
      name: 'neutron',
      endpoints: [at('network', 'publicURL', 'south'), at('network', 'adminURL')],
    },
  ],
} as unknown as Token
const auth = {auth_url: 'https://keystone.example'}
const found = (type: string, config: Partial<CloudConfig> = {}) =>
  findEndpoint({name: 'c', auth, ...config}, type, async () => token)

it.each<[string, string, Partial<CloudConfig>, string | undefined]>([
  ['public, and the first region', 'compute', {}, 'https://compute.public.north.example'],
  ['another region', 'compute', {region: 'south'}, 'https://compute.public.south.example'],
  ['a region that it has not', 'compute', {region: 'west'}, undefined],
  ['no other region instead', 'network', {region: 'north'}, undefined],
  ['another interface', 'compute', {interface: ['internal']}, 'https://compute.internal.north.example'],
  ['an old name of an interface', 'network', {}, 'https://network.publicURL.south.example'],
  ['an interface that it has not', 'network', {interface: ['internal']}, undefined],
  [
    'the best interface that there is',
    'network',
    {interface: ['internal', 'public']},
    'https://network.publicURL.south.example',
  ],
  ['an old name of a type', 'image', {region: 'south'}, 'https://image.public.south.example'],
  ['a type that it has not', 'placement', {}, undefined],
  [
    'a region for one service',
    'compute',
    {region: 'north', services: {compute: {region: 'south'}}},
    'https://compute.public.south.example',
  ],
  [
    'an interface for one service',
    'compute',
    {interface: ['public'], services: {compute: {interface: ['admin']}}},
    'https://compute.admin.north.example',
  ],
  [
    'what is for another service',
    'compute',
    {services: {image: {region: 'south', endpoint: 'https://x.example'}}},
    'https://compute.public.north.example',
  ],
  [
    'an address of the configuration, with the project in it',
    'compute',
    {region: 'west', services: {compute: {endpoint: 'https://x.example/%(tenant_id)s/$(project_id)s'}}},
    'https://x.example/p1/p1',
  ],
])('%s: %s', async (_, type, config, url) => {
  expect(await found(type, config)).toBe(url)
})

it('an address of the configuration needs no token', async () => {
  const never = () => Promise.reject(new Error('asked'))
  const services = {ssh: {endpoint: 'https://ssh.example'}}
  expect(await findEndpoint({name: 'c', auth, services}, 'ssh', never)).toBe('https://ssh.example')
})

it.each([
  ['https://nova.example', {}, undefined],
  ['https://nova.example', {https_proxy: 'http://me:pw@proxy:3128'}, 'http://proxy:3128/'],
  ['http://nova.example', {https_proxy: 'http://proxy:3128'}, undefined],
  ['http://nova.example', {http_proxy: 'http://proxy:3128'}, 'http://proxy:3128/'],
  ['https://nova.example', {https_proxy: 'http://proxy', no_proxy: '*'}, undefined],
  ['https://nova.example', {https_proxy: 'http://proxy', no_proxy: 'a, NOVA.example'}, undefined],
  ['https://nova.example:8774', {https_proxy: 'http://proxy', no_proxy: 'nova.example:8774'}, undefined],
  ['https://nova.example:8774', {https_proxy: 'http://proxy', no_proxy: 'nova.example:1'}, 'http://proxy/'],
  ['https://nova.example', {https_proxy: 'http://proxy', no_proxy: '*.example'}, undefined],
  ['https://nova.example', {https_proxy: 'http://proxy', no_proxy: '.example'}, undefined],
  ['https://nova.example.org', {https_proxy: 'http://proxy', no_proxy: '.example'}, 'http://proxy/'],
  ['https://[fd00::1]', {https_proxy: 'http://proxy', no_proxy: 'fd00::1'}, undefined],
])('a request to %s goes by the proxy of %j: %s', (url, settings, by) => {
  expect(proxyOf(new URL(url), settings)).toBe(by)
})
