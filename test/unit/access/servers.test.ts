import {expect, test} from '@jest/globals'

import {loginOf} from '../../../src/access/hosts.ts'
import {findServer} from '../../../src/access/servers.ts'
import type {Session} from '../../../src/access/session.ts'
import {OpenStackError} from '../../../src/openstack/errors.ts'
import {fileName} from '../../../src/system/directories.ts'

const uuid = (start: string) => `${start}-0000-4000-8000-000000000001`
const servers = [
  {id: uuid('aaaa0001'), name: 'web', status: 'ACTIVE', addresses: {net: [{addr: '10.0.0.7'}]}},
  {id: uuid('aaaa0002'), name: 'db', status: 'ACTIVE'},
  {id: uuid('bbbb0003'), name: 'db', status: 'SHUTOFF'},
  {id: uuid('cccc0004'), name: 'aaaa0001', status: 'ACTIVE'},
]
const session = {
  token: async () => ({project: {id: 'p', name: 'shop'}}),
  during: <T>(_: string, work: Promise<T>) => work,
  cloud: {
    compute: {
      servers: async () => servers,
      async server(id: string) {
        const found = servers.find(server => server.id === id)
        if (found) return found
        throw new OpenStackError('not-found', 'Instance could not be found')
      },
    },
  },
} as unknown as Session
const find = async (word: string) => (await findServer(session, word)).id

test('a VM is found by its UUID, its name, and a unique start of its UUID', async () => {
  expect(await find(uuid('aaaa0002'))).toBe(uuid('aaaa0002'))
  expect(await find('web')).toBe(uuid('aaaa0001'))
  expect(await find('BBBB')).toBe(uuid('bbbb0003'))
  expect(await find(uuid('AAAA0002'))).toBe(uuid('aaaa0002'))
})

test('it is found by name.project, by an address, and in any case', async () => {
  for (const word of ['web.shop', 'WEB', 'Web.Shop', '10.0.0.7'])
    expect(await find(word)).toBe(uuid('aaaa0001'))
})

test('who mistypes a name is told the one that is near', async () => {
  await expect(find('webb')).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: 'there is no VM "webb" that you may see',
    suggestions: ['did you mean "web"? list what you may see: os-ssh list'],
  })
})

test('a name wins over the start of another’s UUID', async () => {
  expect(await find('aaaa0001')).toBe(uuid('cccc0004'))
})

test('an ambiguous word lists the candidates', async () => {
  await expect(find('db')).rejects.toMatchObject({
    code: 'AMBIGUOUS',
    message: expect.stringMatching(/aaaa0002.*\n.*bbbb0003/),
  })
  await expect(find('aaaa')).rejects.toMatchObject({code: 'AMBIGUOUS', exit: 65})
})

test('an unknown VM, another project’s and too short a start look the same', async () => {
  for (const word of ['nope', uuid('dddd0005'), 'aaa', '$(reboot)', '-x']) {
    await expect(find(word)).rejects.toMatchObject({code: 'NOT_FOUND', exit: 66})
  }
})

test('the login is the image’s own, then its distribution’s, and never anything odd', () => {
  const image = (values: object) => loginOf(values)
  expect(image({os_admin_user: 'admin', os_distro: 'debian'})).toBe('admin')
  expect(image({os_distro: 'Ubuntu'})).toBe('ubuntu')
  expect(image({os_distro: 'constructor'})).toBeUndefined()
  expect(image({os_admin_user: 'root\n  ProxyCommand id'})).toBeUndefined()
  expect(image({os_admin_user: '-oProxyCommand=id'})).toBeUndefined()
  expect(loginOf(undefined)).toBeUndefined()
})

test('a cloud’s name is a directory name, or a hash of one', () => {
  expect(fileName('my-cloud.1')).toBe('my-cloud.1')
  for (const name of ['..', '../x', 'a b', '.c', '', 'ü', 'x'.repeat(40)])
    expect(fileName(name)).toMatch(/^x-[0-9a-f]{16}$/)
})
