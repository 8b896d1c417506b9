import {type Networking, type NetworkLog, OpenStackError} from '../../openstack/index.ts'
import {FIELDS, LOCAL_SNAT, NO_FACTS, type PortFact, SNAT_LOGS} from '../../snat/facts.ts'
import {inventory} from '../../snat/inventory.ts'
import type {Survey} from '../desire.ts'

/** What the agent of a node asks of Neutron. */
export type NodeCloud = Pick<
  Networking,
  | 'routers'
  | 'ports'
  | 'agents'
  | 'floatingIps'
  | 'networks'
  | 'subnets'
  | 'subnetPools'
  | 'logs'
  | 'createPort'
  | 'updatePort'
  | 'deletePort'
>

/** So many ids fit into a URL that every proxy takes. */
const IDS = 100
const PAGE = {limit: 2000}
const PORTS = [...FIELDS.ports, 'network_id', 'mac_address', 'description']

/**
 * Asks for what is on a node, and for its routers: the cost grows with the node, not with the cloud.
 *
 * @param routers those that have a namespace here
 * @throws OpenStackError
 */
export async function survey(network: NodeCloud, host: string, routers: readonly string[]): Promise<Survey> {
  const of = <T>(
    key: string,
    ids: readonly string[],
    list: (filter: Record<string, readonly string[]>) => Promise<readonly T[]>,
  ) => Promise.all(chunks(ids).map(some => list({[key]: some}))).then(all => all.flat())
  const [here, theirs, rows, floatingIps, agents, logs] = await Promise.all([
    network.ports({'binding:host_id': host, fields: PORTS, ...PAGE}),
    of('device_id', routers, filter => network.ports({...filter, fields: PORTS, ...PAGE})),
    of('id', routers, filter => network.routers({...filter, fields: FIELDS.routers})),
    of('router_id', routers, filter => network.floatingIps({...filter, fields: FIELDS.floatingIps})),
    network.agents({host, fields: FIELDS.agents}),
    of('resource_id', routers, filter => network.logs({...filter, ...SNAT_LOGS})).catch(withoutLogs),
  ])
  const ports = [...new Map([...here, ...theirs].map(port => [port.id, port])).values()]
  const legs = here.filter(port => port.device_owner === LOCAL_SNAT)
  const inner = theirs.flatMap(port => port.fixed_ips.map(ip => ip.subnet_id))
  const outer = [
    ...legs.flatMap(port => port.fixed_ips),
    ...rows.flatMap(row => row.external_gateway_info?.external_fixed_ips ?? []),
  ]
  const subnetIds = unique([...inner, ...outer.map(ip => ip.subnet_id)])
  const subnets = await of('id', subnetIds, filter => network.subnets({...filter, fields: FIELDS.subnets}))
  const networkIds = unique(subnets.map(subnet => subnet.network_id))
  const [networks, subnetPools] = await Promise.all([
    of('id', networkIds, filter => network.networks({...filter, fields: [...FIELDS.networks, 'mtu']})),
    subnets.some(subnet => subnet.subnetpool_id) ? network.subnetPools({fields: FIELDS.subnetPools}) : [],
  ])
  const facts = {
    ...NO_FACTS,
    routers: rows,
    ports: ports.filter(isTheirs),
    floatingIps,
    agents,
    subnets,
    networks,
    subnetPools,
    logs,
  }
  return {inv: inventory(facts), legs}
}

/** Our own ports would say of a router what we ask it for. */
const isTheirs = (port: PortFact) => port.device_owner !== LOCAL_SNAT

/** A cloud that writes none, or whose operator does not show them to this account. @throws every other error */
function withoutLogs(error: unknown): readonly NetworkLog[] {
  if (error instanceof OpenStackError && (error.fault === 'not-found' || error.fault === 'forbidden'))
    return []
  throw error
}

const unique = (ids: readonly string[]) => [...new Set(ids)]

function chunks(ids: readonly string[]): string[][] {
  const count = Math.ceil(ids.length / IDS)
  return Array.from({length: count}, (_, index) => ids.slice(index * IDS, (index + 1) * IDS))
}
