import {isIPv4} from 'node:net'

import {isUuid} from '../names/uuid.ts'

/* What is ours on a node, by name and number: all that is there is found again by these, and taken away by them. */

/** Of nftables, in the routers' namespaces and in ours. */
export const TABLE = 'os-ssh-lsnat'
/** The bit of marks that says: leaves locally. Neutron's own are above 16 bits (scopes) and below 0x8 (floating IPs, metadata). */
export const BIT = '0x8000'
/** Routing table of a router's namespace that leads to the leg, and the priority of its rule: after floating IPs (32768 to 65535), before
 * the redirect to the central SNAT (above 2^24). neutron/agent/l3/dvr_local_router.py */
export const [ROUTES, PRIORITY] = [33_000, 100_000]
/** Priority of the leg's rules: by a member's mark, by its own address. */
export const [BY_MARK, BY_ADDRESS] = [1000, 6000]
/** Their pairs of addresses are below 169.254.31.0; Neutron's own begin at 169.254.64.0. neutron/agent/l3/dvr_fip_ns.py */
export const MAX_MEMBERS = 3967

/** Interface names have at most 15 bytes. */
const DIGITS = 11
const short = (id: string) => uuid(id).slice(0, DIGITS)

export const namespaceOf = (gateway: string) => `lsnat-${uuid(gateway)}`
export const routerNamespace = (router: string) => `qrouter-${uuid(router)}`
/** In the leg's namespace: to the outside, and to a member. */
export const legDevice = (gateway: string) => `lg-${short(gateway)}`
export const memberDevice = (router: string) => `ls-${short(router)}`
/** In the router's namespace. */
export const routerDevice = (router: string) => `lq-${short(router)}`
/** Whether one of these links is a router's to its local gateway. */
export const hasRouterDevice = (devices: readonly string[]) => devices.some(one => one.startsWith('lq-'))

/** The /31 of a member: its router's end, and the leg's. */
export function pairOf(number: number): readonly [router: string, leg: string] {
  if (!Number.isInteger(number) || number < 1 || number > MAX_MEMBERS)
    throw new Error(`${number} is no number of a member`)
  const at = (last: number) => `169.254.${last >> 8}.${last & 255}`
  return [at(2 * number), at(2 * number + 1)]
}

/** The number whose pair an address is of; undefined when it is of none. */
export function numberOf(address: string): number | undefined {
  const [a, b, c = 0, d = 0] = address.split('.').map(Number)
  const number = (c * 256 + d) >> 1
  return a === 169 && b === 254 && number > 0 && number <= MAX_MEMBERS ? number : undefined
}

/** @throws Error: what comes from outside was checked at the border */
export function uuid(id: string): string {
  if (!isUuid(id)) throw new Error(`${JSON.stringify(id)} is no UUID`)
  return id
}

/** @throws Error */
export function ipv4(address: string): string {
  if (!isIPv4(address)) throw new Error(`${JSON.stringify(address)} is no IPv4 address`)
  return address
}
