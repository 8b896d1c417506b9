import {expect, test} from '@jest/globals'
import fc from 'fast-check'

import {allocate, inside, range, toAddress, toNumber} from '../../../../lab/ops/addresses.ts'
import {createNetwork, createPort, createSubnet} from '../../../../lab/ops/networks.ts'
import {emptyCloud} from '../../../../lab/state.ts'

test('an address survives the way to a number and back', () => {
  fc.assert(fc.property(fc.ipV4(), text => expect(toAddress(toNumber(text), 4)).toBe(text)))
  fc.assert(
    fc.property(fc.ipV6(), text => expect(toNumber(toAddress(toNumber(text), 6))).toBe(toNumber(text))),
  )
})

test('first and last address of a subnet are inside, their neighbours are not', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({min: 8, max: 30}), (text, length) => {
      const cidr = `${text}/${length}`
      const {first, last, base} = range(cidr)
      fc.pre(base > 0n && last < 0xfffffffen)
      expect(inside(toAddress(first, 4), cidr)).toBe(true)
      expect(inside(toAddress(last, 4), cidr)).toBe(true)
      expect(inside(toAddress(base - 1n, 4), cidr)).toBe(false)
      expect(inside(toAddress(last + 2n, 4), cidr)).toBe(false)
    }),
  )
})

function smallNetwork() {
  const cloud = emptyCloud('x')
  const network = createNetwork(cloud, {project_id: 'p'})
  const subnet = createSubnet(cloud, {project_id: 'p', network_id: network.id, cidr: '192.168.5.77/29'})
  return {cloud, network, subnet}
}

test('a subnet gives each address once, without its gateway, and then says that it is full', () => {
  const {cloud, network, subnet} = smallNetwork()
  expect(subnet).toMatchObject({cidr: '192.168.5.72/29', gateway_ip: '192.168.5.73'})
  const given = [1, 2, 3, 4, 5].map(
    () => createPort(cloud, {project_id: 'p', network_id: network.id}).fixed_ips[0]?.ip_address,
  )
  expect(given).toEqual([74, 75, 76, 77, 78].map(last => `192.168.5.${last}`))
  expect(() => createPort(cloud, {project_id: 'p', network_id: network.id})).toThrow(
    'No more IP addresses available',
  )
})

test('an address is refused when it is taken or does not fit', () => {
  const {cloud, network} = smallNetwork()
  createPort(cloud, {project_id: 'p', network_id: network.id, fixed_ips: [{ip_address: '192.168.5.75'}]})
  const ask = (ip_address: string) => () => allocate(cloud, network.id, [{ip_address}])
  expect(ask('192.168.5.75')).toThrow('already allocated')
  expect(ask('192.168.6.1')).toThrow('not a valid IP')
  expect(ask('; reboot')).toThrow('not a valid IP')
})
