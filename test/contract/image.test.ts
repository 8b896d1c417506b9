import {afterAll, beforeAll, expect, it, jest} from '@jest/globals'

import {Contract} from '../support/contract.ts'

/* Glance as src/openstack uses it, on the lab and on the real one. */

jest.setTimeout(180_000)

let contract: Contract
beforeAll(async () => {
  contract = await Contract.open('contract-image')
})
afterAll(() => contract?.close())

it('lists and shows images with their properties', async () => {
  const {image} = await contract.as('tenant1')
  const [listed] = await contract.holds('images', () => image.images({name: 'debian-12'}))
  expect(listed).toMatchObject({os_admin_user: 'debian', os_distro: 'debian'})
  expect(await contract.holds('image', () => image.image(listed?.id ?? ''))).toEqual(listed)
})

it('lists page by page', async () => {
  const {image} = await contract.as('tenant1')
  const whole = await image.images()
  const paged = await contract.holds('images-last-page', () => image.images({limit: 1}))
  expect(paged.map(one => one.id).sort()).toEqual(whole.map(one => one.id).sort())
})

it('says in JSON that one is not there, to those who accept it', async () => {
  const {image} = await contract.as('tenant1')
  await contract.holds(
    'image-unknown',
    () => image.image('00000000-0000-4000-8000-00000000dead'),
    'not-found',
  )
})
