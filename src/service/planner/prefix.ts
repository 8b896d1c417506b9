import ipaddr from 'ipaddr.js'

/** Is the address in the prefix? @param cidr `address/length` */
export function contains(cidr: string, address: string): boolean {
  const [base, length] = ipaddr.parseCIDR(cidr)
  const one = ipaddr.parse(address)
  return one.kind() === base.kind() && one.match(base, length)
}

/** Have two prefixes an address in common? */
export function overlap(a: string, b: string): boolean {
  return contains(a, b.split('/')[0] ?? '') || contains(b, a.split('/')[0] ?? '')
}

/** One spelling for all of a prefix: host bits zero, IPv6 as short as RFC 5952 has it. @param cidr `address/length` */
export function normalized(cidr: string): string {
  const [base, length] = ipaddr.parseCIDR(cidr)
  const kind = base.kind() === 'ipv4' ? ipaddr.IPv4 : ipaddr.IPv6
  return `${kind.networkAddressFromCIDR(`${base}/${length}`)}/${length}`
}
