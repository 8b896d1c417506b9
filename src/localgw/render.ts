import {template} from '../system/template.ts'
import type {Keep, LegPort, LocalGateway, Member} from './desired.ts'
import {
  BIT,
  BY_ADDRESS,
  BY_MARK,
  ipv4,
  legDevice,
  memberDevice,
  PRIORITY,
  pairOf,
  ROUTES,
  routerDevice,
  TABLE,
} from './names.ts'

/*
 * The desired state of a local gateway as what the kernel is told. Whole each time, and applied atomically: `nft -f` of a text,
 * `ip -batch` of a namespace.
 */

/** How long a VM stays local when nobody says so again: a dead agent's new flows are central after this, s. */
export const LOCAL_TIMEOUT = 15

const router = template('localgw/router.nft.eta')
const leg = template('localgw/leg.nft.eta')

/** The rules of a router's namespace, for `nft -f`. @throws Error when an address is none */
export function routerRules(member: Member): string {
  return router({
    table: TABLE,
    bit: BIT,
    timeout: LOCAL_TIMEOUT,
    device: routerDevice(member.router),
    elements,
    locals: member.locals.map(ipv4),
    central: member.central.map(ipv4),
    keeps: member.keeps.map(kept),
  })
}

/** Says again which VMs are local, and nothing else: counters and the rest stay. For `nft -f`. @throws Error */
export function localRefresh({locals}: Pick<Member, 'locals'>): string {
  const all = locals.map(ipv4)
  const filled = all.length === 0 ? '' : `add element ip ${TABLE} local { ${all.join(', ')} }\n`
  return `flush set ip ${TABLE} local\n${filled}`
}

/** The rules of the leg's namespace, for `nft -f`. @throws Error */
export function legRules({id, port, members}: LocalGateway): string {
  return leg({
    table: TABLE,
    device: legDevice(id),
    address: ipv4(port.address),
    members: members.map(one => ({inside: memberDevice(one.router), number: one.number})),
  })
}

/** Addresses, routes and rules of one namespace, as ip(8) writes them after `add`. */
export interface Ways {
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  readonly rules: readonly string[]
}

/** Marked packets look for their way where the leg is. */
export const ROUTER_RULE = `priority ${PRIORITY} fwmark ${BIT}/${BIT} lookup ${ROUTES}`

/** What leads a router's marked packets to the leg. @throws Error */
export function routerWays({router: id, number}: Member): Ways {
  const [ours, theirs] = pairOf(number)
  const device = routerDevice(id)
  return {
    addresses: [`${ours}/31 dev ${device}`],
    routes: [`default via ${theirs} dev ${device} table ${ROUTES}`],
    rules: [ROUTER_RULE],
  }
}

/**
 * What leads out by the leg, and each reply to its router: no route here knows a tenant's subnet, for two may have the same.
 * Errors that this namespace itself sends to a VM have the address of the member's pair. @throws Error
 */
export function legWays({id, port, members}: LocalGateway): Ways {
  const device = legDevice(id)
  const each = members.map(({router: owner, number}) => {
    const [theirs, ours] = pairOf(number)
    const table = ROUTES + number
    return {
      address: `${ours}/31 dev ${memberDevice(owner)}`,
      route: `default via ${theirs} dev ${memberDevice(owner)} table ${table}`,
      rules: [
        `priority ${BY_MARK + number} iif ${device} fwmark ${number} lookup ${table}`,
        `priority ${BY_ADDRESS + number} from ${ours} lookup ${table}`,
      ],
    }
  })
  return {
    addresses: [`${cidrOf(port)} dev ${device}`, ...each.map(one => one.address)],
    routes: [`default via ${ipv4(port.gateway)} dev ${device}`, ...each.map(one => one.route)],
    rules: each.flatMap(one => one.rules),
  }
}

/** How the kernel of the leg's namespace is set, for sysctl(8). */
export const LEG_SETTINGS: readonly string[] = [
  'net.ipv4.ip_forward=1',
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  // The leg answers for its own address alone, never for those of the pairs.
  'net.ipv4.conf.all.arp_ignore=1',
  'net.ipv4.conf.all.arp_announce=2',
  'net.ipv4.icmp_errors_use_inbound_ifaddr=1',
]

const cidrOf = ({address, prefix}: LegPort) => `${ipv4(address)}/${prefix}`

function kept({address, protocol, ports: [first, last]}: Keep): string {
  return `${ipv4(address)} . ${protocol} . ${first === last ? first : `${first}-${last}`}`
}

/** An empty list of elements is a syntax error of nft. */
function elements(all: readonly string[]): string {
  return all.length === 0 ? '' : ` elements = { ${all.join(', ')} };`
}
