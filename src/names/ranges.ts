import {isIP} from 'node:net'

import ipaddr from 'ipaddr.js'

/** An address range. With bits behind its length, as in 10.0.0.1/24, it may be either of two mistakes. */
export function isRange(value: string): boolean {
  const [address = '', length] = value.split('/')
  if (
    isIP(address) === 0 ||
    address.includes('%') ||
    !/^\d{1,3}$/.test(length ?? '') ||
    !ipaddr.isValidCIDR(value)
  )
    return false
  const family = isIP(address) === 4 ? ipaddr.IPv4 : ipaddr.IPv6
  return family.networkAddressFromCIDR(value).toString() === ipaddr.parse(address).toString()
}
