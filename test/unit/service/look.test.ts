import {afterEach, beforeEach, expect, it} from '@jest/globals'

import {type OpenStack, openStack} from '../../../src/openstack/index.ts'
import {look} from '../../../src/service/deploy/choice/look.ts'
import {image} from '../../support/seen.ts'
import {type Fake, issue, type Recorded, startFake} from '../openstack/fake.ts'

const HIDDEN = '00000000-0000-4000-8000-000000000001'
let fake: Fake
let cloud: OpenStack
let project: string
beforeEach(async () => {
  fake = await startFake()
  cloud = openStack(
    {
      name: 'fake',
      auth: {auth_url: `${fake.url}/v3`, username: 'svc', password: 'secret'},
      networks: [
        {
          name: 'public',
          routes_ipv4_externally: true,
          routes_ipv6_externally: false,
          nat_destination: false,
          default_interface: false,
        },
      ],
    },
    {retryDelay: 1, timeout: 5000},
  )
  project = (await cloud.identity.token()).project?.id ?? ''
  const listing = (path: string, key: string, rows: object[] = []) =>
    fake.on('GET', path, {body: {[key]: rows}})
  listing('/v2/images', 'images', [image('ubuntu')])
  listing('/v2.1/flavors/detail', 'flavors')
  fake.on('GET', '/v2.1/limits', {body: {limits: {absolute: {maxTotalCores: 20}}}})
  listing('/v2.1/os-availability-zone', 'availabilityZoneInfo')
  for (const kind of ['networks', 'subnets', 'routers', 'ports']) listing(`/v2.0/${kind}`, kind)
  fake.on('GET', `/v2.0/quotas/${project}/details`, {body: {quota: {}}})
})
afterEach(async () => {
  await cloud.close()
  await fake.close()
})

const queries = (path: string) =>
  fake.to(path).map(asked => Object.fromEntries(new URL(asked.path, fake.url).searchParams))

it('asks for what is the project’s own or meant for it', async () => {
  const net = {id: 'n', name: 'net', project_id: project, shared: true, 'router:external': false}
  fake.on('GET', '/v2.0/networks', {body: {networks: [net]}})
  const seen = await look(cloud)
  expect(seen).toMatchObject({
    project,
    limits: {maxTotalCores: 20},
    networks: [{...net, 'router:external': true}],
    volumes: false,
  })
  expect(seen.traits.map(({name}) => name)).toEqual(['public'])
  expect(queries('/v2.0/networks')).toEqual([
    expect.objectContaining({project_id: project}),
    expect.objectContaining({shared: 'true'}),
    expect.objectContaining({'router:external': 'true'}),
  ])
  expect(queries('/v2.0/subnets')).toEqual([expect.objectContaining({network_id: 'n'})])
  expect(queries('/v2.0/routers')).toEqual([{project_id: project}])
  expect(queries('/v2.0/ports')).toEqual([expect.objectContaining({project_id: project})])
})

it('an image of the community is seen when it is named by its id, and may be gone', async () => {
  fake.on('GET', `/v2/images/${HIDDEN}`, {body: image(HIDDEN, {visibility: 'community'})}, {status: 404})
  expect((await look(cloud, {image: HIDDEN})).images.map(({id}) => id)).toEqual(['ubuntu', HIDDEN])
  expect((await look(cloud, {image: HIDDEN})).images.map(({id}) => id)).toEqual(['ubuntu'])
  await look(cloud, {image: 'ubuntu'})
  expect(fake.to('/v2/images/ubuntu')).toEqual([])
})

it('a Neutron that counts nothing tells no quota; one that is down is no reason to go on', async () => {
  fake.on('GET', `/v2.0/quotas/${project}/details`, {status: 404}, {status: 403}, {status: 503})
  expect((await look(cloud)).quotas).toEqual({})
  expect((await look(cloud)).quotas).toEqual({})
  await expect(look(cloud)).rejects.toMatchObject({fault: 'server'})
})

it.each(['volumev3', 'block-storage'])('volumes are there with %s in the catalog', async type => {
  const answer: Recorded = issue(fake.url, 'token-9')
  const body = answer.body as {token: {catalog: object[]}}
  body.token.catalog.push({type, name: 'cinder', endpoints: []})
  fake.on('POST', '/v3/auth/tokens', answer)
  cloud.identity.renew()
  expect((await look(cloud)).volumes).toBe(true)
})

it('an account without a project cannot have a gate', async () => {
  const answer = issue(fake.url, 'token-9')
  const {project: _, ...token} = (answer.body as {token: {project: object}}).token
  fake.on('POST', '/v3/auth/tokens', {...answer, body: {token}})
  cloud.identity.renew()
  await expect(look(cloud)).rejects.toMatchObject({code: 'CONFIG'})
})
