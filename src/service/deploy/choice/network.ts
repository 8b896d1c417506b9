import {OsSshError} from '../../../errors.ts'
import {called, first, type Key, listed, named, quoted} from './named.ts'
import type {Address, AddressKind, Named, Wish} from './plan.ts'
import type {Seen, SeenNetwork, SeenRouter, SeenSubnet} from './seen.ts'

/** A place for a gate, and how it is reached there. */
interface Way {
  readonly network: Named
  readonly subnet?: SeenSubnet
  readonly address: Address
}

type Candidate = Way & {readonly key: Key}
type Asked = Pick<Wish, 'network' | 'external' | 'address'>

/**
 * Where the gate stands. What clouds.yaml says of networks comes first: where floating IPs lead to, where servers are to be
 * reached, what is routed. Then a subnet of the project that a router of the project with a way out is the gateway of, with a
 * floating IP from that router's own external network; among several the one of the oldest router, then by the subnet's name.
 * Then a network that is shared or external itself, if those that are have one owner. IPv6 only when it is asked for.
 *
 * The subnets of an external network decide nothing: tenants do not see them.
 *
 * @throws OsSshError USAGE, AMBIGUOUS, NO_GATE
 */
export function chooseWay(seen: Seen, wish: Asked): Way {
  if (wish.external !== undefined && wish.address !== undefined && wish.address !== 'floating')
    throw new OsSshError(
      'USAGE',
      'an external network is for a floating IP, and another address is asked for',
      {
        hint: 'leave one of them out: --external, --address',
      },
    )
  if (wish.network === undefined) refuseAmbiguous(seen)
  const network = wish.network === undefined ? undefined : named('network', wish.network, seen.networks)
  const external =
    wish.external === undefined
      ? undefined
      : named('external network', wish.external, seen.networks.filter(isExternal))
  const kinds: readonly AddressKind[] = external
    ? ['floating']
    : wish.address
      ? [wish.address]
      : ['floating', 'direct']
  const all = kinds.flatMap(kind => candidates[kind](seen, wish.address && network))
  const fitting = all.filter(
    ({network: {id}, address}) =>
      (network === undefined || id === network.id) &&
      (external === undefined || (address.kind === 'floating' && address.network.id === external.id)),
  )
  const found = first(fitting, candidate => candidate.key)
  if (!found) throw nowhere(wish, network, external)
  if (network === undefined && found.address.kind !== 'floating') refuseStrangers(seen, found, fitting)
  const {key: _, ...way} = found
  return way
}

/** @param asked a network that is named together with the kind of address: then it is reached so, whatever we see of it */
const candidates: Readonly<
  Record<AddressKind, (seen: Seen, asked: SeenNetwork | undefined) => readonly Candidate[]>
> = {
  floating: seen =>
    routed(seen, 4).flatMap(({router, subnet, network, leg}) =>
      leg !== subnet.gateway_ip || isExternal(network)
        ? []
        : gatewaysOf(router).map(external => ({
            network: nameIn(seen, network.id),
            subnet,
            address: {kind: 'floating' as const, network: nameIn(seen, external)},
            key: [
              weight(seen, network, 'floating'),
              1,
              traitOf(seen, nameIn(seen, external))?.routes_ipv4_externally ? 0 : 1,
              ...ofRouter(seen, router, network, subnet),
              external,
            ],
          })),
    ),
  direct: (seen, asked) =>
    seen.networks.flatMap(network => {
      const open = network.shared || isExternal(network) || routesOut(seen, network, 4)
      if (!open && network !== asked) return []
      const subnet = subnetOf(seen, network, 4, network === asked)
      if (!subnet && !hides(seen, network)) return []
      return [
        {
          network: nameIn(seen, network.id),
          ...(subnet && {subnet}),
          address: {kind: 'direct' as const},
          key: [weight(seen, network, 'direct'), 2, openness(network), network.name, network.id],
        },
      ]
    }),
  ipv6: (seen, asked) => [
    ...routed(seen, 6).map(({router, subnet, network}) => ({
      network: nameIn(seen, network.id),
      subnet,
      address: {kind: 'ipv6' as const},
      key: [weight(seen, network, 'ipv6'), local(subnet), 1, ...ofRouter(seen, router, network, subnet)],
    })),
    ...seen.networks.flatMap(network => {
      const open = network.shared || isExternal(network) || routesOut(seen, network, 6)
      const subnet = open || network === asked ? subnetOf(seen, network, 6, network === asked) : undefined
      if (!subnet) return []
      return [
        {
          network: nameIn(seen, network.id),
          subnet,
          address: {kind: 'ipv6' as const},
          key: [weight(seen, network, 'ipv6'), local(subnet), 2, openness(network), network.name, network.id],
        },
      ]
    }),
  ],
}

/** Subnets behind the project's own routers that have a way out, with the router's address there. */
function routed({routers, legs, subnets, networks, project}: Seen, version: 4 | 6) {
  return routers.flatMap(router => {
    const up = router.admin_state_up && router.status === 'ACTIVE' && router.project_id === project
    if (!up || gatewaysOf(router).length === 0) return []
    const addresses = legs.filter(leg => leg.device_id === router.id).flatMap(leg => leg.fixed_ips)
    return addresses.flatMap(({subnet_id, ip_address: leg}) => {
      const subnet = subnets.find(one => one.id === subnet_id && one.ip_version === version)
      const network = networks.find(one => one.id === subnet?.network_id)
      return subnet && network ? [{router, subnet, network, leg}] : []
    })
  })
}

const gatewaysOf = ({external_gateway_info: one, external_gateways: all}: SeenRouter) => [
  ...new Set((all ?? (one ? [one] : [])).map(gateway => gateway.network_id)),
]

/** The project's own networks before others', the oldest router, the subnet's name. */
const ofRouter = ({project}: Seen, router: SeenRouter, network: SeenNetwork, subnet: SeenSubnet): Key => [
  network.project_id === project ? 0 : 1,
  router.created_at ? Date.parse(router.created_at) : Number.MAX_SAFE_INTEGER,
  router.id,
  subnet.name,
  subnet.id,
]

const isExternal = (network: SeenNetwork) => network['router:external']

/** Nova refuses members a server on an external network that is not shared, unless its policy was changed: those come last. */
const openness = (network: SeenNetwork) => (isExternal(network) ? (network.shared ? 0 : 2) : 1)

/**
 * Anybody can share a network with the project, or make theirs external for it (RBAC), and nothing tells it from the cloud's
 * own: where there are both, one has to be named, in clouds.yaml or by whoever asks.
 */
function refuseStrangers({networks, project}: Seen, found: Candidate, fitting: readonly Candidate[]): void {
  const owned = ({network: {id}}: Candidate) => networks.find(one => one.id === id)?.project_id
  if (owned(found) === project || (found.key[0] as number) < UNSAID) return
  const theirs = fitting.filter(one => one.address.kind !== 'floating' && owned(one) !== project)
  if (new Set(theirs.map(owned)).size === 1) return
  throw new OsSshError(
    'AMBIGUOUS',
    `a gate could stand on networks of several other projects: ${listed(theirs.map(one => one.network))}`,
    {hint: 'anybody can share one: name the network that is meant, --network'},
  )
}

/** The same of names in clouds.yaml: what it says is not for a stranger's network of that name. */
function refuseAmbiguous({traits, networks}: Seen): void {
  for (const {name} of traits) if (networks.some(one => one.name === name)) named('network', name, networks)
}

const traitOf = ({traits}: Seen, network: Named) =>
  traits.find(trait => trait.name === network.id) ?? traits.find(trait => trait.name === network.name)

function routesOut(seen: Seen, network: SeenNetwork, version: 4 | 6): boolean {
  const trait = traitOf(seen, network)
  return (version === 4 ? trait?.routes_ipv4_externally : trait?.routes_ipv6_externally) === true
}

/** The weight of what clouds.yaml does not speak for. */
const UNSAID = 3

/** How far clouds.yaml speaks for this network with this kind of address; 0 is most. */
function weight(seen: Seen, network: SeenNetwork, kind: AddressKind): number {
  const trait = traitOf(seen, network)
  if (kind === 'floating' && trait?.nat_destination) return 0
  if (trait?.default_interface) return 1
  if (kind !== 'floating' && routesOut(seen, network, kind === 'ipv6' ? 6 : 4) && openness(network) < 2)
    return 2
  return UNSAID
}

/** The subnet of that version, one with a gateway unless any will do. */
const subnetOf = ({subnets}: Seen, network: SeenNetwork, version: 4 | 6, any: boolean) =>
  first(
    subnets.filter(
      one => one.network_id === network.id && one.ip_version === version && (any || one.gateway_ip),
    ),
    one => [local(one), one.name, one.id],
  )

/** Does the network show nothing of its subnets? Then it has some that only its owner sees. */
const hides = ({subnets}: Seen, network: SeenNetwork) =>
  isExternal(network) && !subnets.some(one => one.network_id === network.id)

/** Addresses of a site (fc00::/7, fe80::/10) are seldom routed: those come after the others. */
const local = ({cidr}: SeenSubnet) => (/^f(c|d|e[89ab])/i.test(cidr) ? 1 : 0)

const nameIn = ({networks}: Seen, id: string): Named => ({
  id,
  name: networks.find(network => network.id === id)?.name || id,
})

function nowhere({address}: Asked, network?: SeenNetwork, external?: SeenNetwork): OsSshError {
  const where = network ? `the network ${called(network)}` : 'any network'
  if (external)
    return new OsSshError(
      'NO_GATE',
      `no router of the project leads from ${where} to ${called(external)}, so that a floating IP could`,
      {hint: 'connect them by a router, or name others: --network, --external'},
    )
  if (address === 'ipv6')
    return new OsSshError('NO_GATE', `there is no IPv6 subnet with a way out on ${where}`, {
      hint: 'name another address: --address floating',
    })
  if (address === 'floating')
    return new OsSshError(
      'NO_GATE',
      `a floating IP needs a router of the project with a way out, and there is none on ${where}`,
      {hint: 'make one, or take the address as it is: --address direct'},
    )
  if (address === 'direct' && network)
    return new OsSshError('NO_GATE', `there is no IPv4 subnet on ${where}`, {hint: 'name another: --network'})
  if (network)
    return new OsSshError(
      'NO_GATE',
      `nothing leads to the network ${quoted(network.name)}: no router of the project with a way out is its gateway, and it is neither shared nor external`,
      {hint: 'if its addresses can be reached all the same, say so: --address direct'},
    )
  return new OsSshError(
    'NO_GATE',
    'there is no network for a gate: no router of the project has a way out, and none is shared or external',
    {
      hint: 'make a network with a router, or name a network that can be reached: --network, --address direct',
    },
  )
}
