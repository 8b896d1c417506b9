import {expect, it} from '@jest/globals'

import {Adapter} from '../../../src/openstack/adapter.ts'
import type {Client} from '../../../src/openstack/client.ts'
import {client, fake} from './clients.ts'
import {recorded} from './fake.ts'

/* Listings to their end, and no further; the microversion that both sides speak. */

const one = (id: string) => ({id, name: id})
const servers = '/v2.1/servers/detail'

it('a listing that never ends is given up after 10,000 pages', async () => {
  let pages = 0
  const endless = {
    config: {name: 'c', auth: {auth_url: 'http://k'}, services: {network: {endpoint: 'http://n'}}},
    token: () => Promise.reject(new Error('asked')),
    request: async () => ({
      ...{status: 200, headers: {}},
      body: JSON.stringify({ports: [one('a')], ports_links: [{rel: 'next', href: `?marker=${++pages}`}]}),
    }),
  } as unknown as Client
  const adapter = new Adapter(endless, {type: 'network', versioned: path => path})
  await expect(adapter.list(['ports'], 'ports')).rejects.toMatchObject({
    fault: 'server',
    message: 'Neutron gave an answer that makes no sense: its pages go in a circle',
  })
  expect(pages).toBe(10_000)
})

it.each([
  ['a page with nothing on it', {networks: [], networks_links: [{rel: 'next', href: '?marker=x'}]}],
  ['a page that is the last one', {networks: [one('b')], networks_links: []}],
  ['a link back', {networks: [one('b')], networks_links: [{rel: 'previous', href: '?marker=x'}]}],
  ['no links at all', {networks: [one('b')]}],
])('a listing ends at %s', async (_, last) => {
  const next = [{rel: 'next', href: '?marker=a'}]
  fake.on('GET', '/v2.0/networks', {body: {networks: [one('a')], networks_links: next}}, {body: last})
  expect((await client().network.networks()).length).toBe(1 + last.networks.length)
  expect(fake.to('/v2.0/networks')).toHaveLength(2)
})

it('Keystone’s link to the next page is followed, as Keystone writes it', async () => {
  const keystone = {
    config: {name: 'c', auth: {auth_url: 'http://k'}, services: {identity: {endpoint: 'http://k'}}},
    token: () => Promise.reject(new Error('asked')),
    request: async ({url}: {url: URL}) => ({
      ...{status: 200, headers: {}},
      body: JSON.stringify(
        url.search === ''
          ? {projects: [one('a')], links: {next: 'https://elsewhere.example/v3/projects?marker=a'}}
          : {projects: [one(url.href)], links: {next: null}},
      ),
    }),
  } as unknown as Client
  const adapter = new Adapter(keystone, {type: 'identity', versioned: path => path})
  expect(await adapter.list(['projects'], 'projects')).toEqual([one('a'), one('http://k/projects?marker=a')])
})

it.each([[7], [{}], ['http://']])('a link to the next page that is %j is nonsense', async href => {
  fake.on('GET', '/v2.0/networks', {body: {networks: [one('a')], networks_links: [{rel: 'next', href}]}})
  await expect(client().network.networks()).rejects.toMatchObject({
    ...{fault: 'server', message: expect.stringContaining('its link to the next page is no URL')},
  })
})

const versions = () => fake.to(servers).map(({headers}) => headers['openstack-api-version'])

it.each([
  ['older', 'maximum is 2.60', '2.60'],
  ['newer than all that we know', 'minimum is 2.90 and maximum is 2.96', '2.67'],
  ['too old to say what it has', 'not this one', '2.1'],
])('a cloud that is %s is spoken to once more, in a version that both know', async (_, message, version) => {
  fake.on('GET', servers, {status: 406, body: {computeFault: {message}}})
  await expect(client().compute.servers()).rejects.toMatchObject({status: 406, fault: 'bad-request'})
  expect(versions()).toEqual(['compute 2.67', `compute ${version}`])
})

it('what one user has learnt of the cloud another needs not learn', async () => {
  fake.on('GET', servers, asked =>
    asked.headers['openstack-api-version'] === 'compute 2.60'
      ? recorded('nova-servers-detail')
      : {status: 406, body: {computeFault: {message: 'maximum is 2.60'}}},
  )
  const own = client()
  await own.compute.servers()
  const theirs = own.as({...(await own.identity.token()), id: 'theirs'})
  await theirs.compute.servers()
  expect(versions()).toEqual(['compute 2.67', 'compute 2.60', 'compute 2.60'])
  expect(fake.asked.at(-1)?.headers).toMatchObject({
    ...{'x-auth-token': 'theirs', 'x-openstack-nova-api-version': '2.60'},
  })
})

it('only who has versions to choose from asks again after 406', async () => {
  fake.on('GET', '/v2.0/ports', {status: 406})
  await expect(client().network.ports()).rejects.toMatchObject({fault: 'bad-request', status: 406})
  expect(fake.to('/v2.0/ports')).toHaveLength(1)
})

it.each([
  [403, 'quota'],
  [409, 'quota'],
  [413, 'quota'],
  [400, 'bad-request'],
  [500, 'server'],
])('overLimit with %i is %s', async (status, fault) => {
  fake.on('POST', '/v2.1/servers', {status, body: {overLimit: {message: 'too much'}}})
  const booted = client().compute.createServer({name: 'n', flavorRef: 'f', networks: 'none'})
  await expect(booted).rejects.toMatchObject({fault, status, message: `Nova answered ${status}: too much`})
})
