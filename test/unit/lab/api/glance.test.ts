import {beforeEach, expect, test} from '@jest/globals'

import {type Ask, paperLab} from '../../../support/lab-api.ts'

let lab: Awaited<ReturnType<typeof paperLab>>
let alice: Ask
beforeEach(async () => {
  lab = await paperLab()
  alice = await lab.as('tenant1')
})
const names = async (query = '') =>
  (await alice('GET', `/image/v2/images${query}`)).body.images.map((image: {name: string}) => image.name)

test('images have what a chooser looks at, newest first', async () => {
  const {images} = (await alice('GET', '/image/v2/images?sort=created_at:desc')).body
  expect(images.map((image: {created_at: string}) => image.created_at)).toEqual(
    images
      .map((image: {created_at: string}) => image.created_at)
      .toSorted()
      .reverse(),
  )
  const found = images.find((image: {name: string}) => image.name === 'ubuntu-24.04')
  expect(found).toMatchObject({
    os_distro: 'ubuntu',
    os_version: '24.04',
    architecture: 'x86_64',
    min_ram: 512,
    min_disk: 4,
    status: 'active',
    visibility: 'public',
    disk_format: 'qcow2',
  })
  expect(images.find((image: {name: string}) => image.name === 'cirros')).not.toHaveProperty('os_distro')
})

test('are chosen by status, properties, names and visibility', async () => {
  expect(await names('?status=deactivated')).toEqual(['ubuntu-22.04'])
  expect(await names('?os_distro=ubuntu&status=active&sort=name:asc')).toEqual([
    'ubuntu-24.04',
    'ubuntu-24.04-arm64',
  ])
  expect(await names('?name=in:cirros,debian-12&sort_key=name&sort_dir=asc')).toEqual(['cirros', 'debian-12'])
  expect(await names('?visibility=private')).toEqual([])
  const {status, body} = await alice('GET', '/image/v2/images?visibility=mine')
  expect([status, body]).toEqual([400, expect.stringContaining('Invalid visibility value: mine')])
})

test("community images of others are listed to those only who ask, private ones to their project's", async () => {
  const [first] = [...lab.cloud.images.values()]
  if (!first) throw new Error('no image')
  for (const visibility of ['community', 'private'] as const)
    lab.cloud.images.set(visibility, {...first, id: visibility, name: visibility, visibility})
  expect(await names()).not.toContain('community')
  expect(await names('?visibility=community')).toEqual(['community'])
  expect(await names('?visibility=all')).not.toContain('private')
  expect((await alice('GET', '/image/v2/images/private')).status).toBe(404)
  expect((await alice('GET', '/image/v2/images/community')).status).toBe(200)
})

test('pages keep the filters', async () => {
  const seen: string[] = []
  let next: string | undefined = '/v2/images?os_distro=ubuntu&limit=1&sort=name:asc'
  while (next !== undefined) {
    const {body} = await alice('GET', `/image${next}`)
    seen.push(...body.images.map((image: {name: string}) => image.name))
    next = body.next
  }
  expect(seen).toEqual(['ubuntu-22.04', 'ubuntu-24.04', 'ubuntu-24.04-arm64'])
})
