import {LOCAL_SNAT, type PortFact, type RouterFact, type SubnetFact} from './facts.ts'
import {type Heartbeat, readHeartbeat} from './heartbeat.ts'

/*
 * The legs of local gateways, joined: ports of device_owner `network:local_snat`, bound to the node. `device_id` is the router, when each has an
 * address of its own on a node, or the external network, when all routers of a node that lead there share one.
 */

export interface Legs {
  /** device_id -> host -> its leg. */
  readonly of: ReadonlyMap<string, ReadonlyMap<string, PortFact>>
  /** By host, the newest heartbeat of its agent. */
  readonly heartbeats: ReadonlyMap<string, Heartbeat>
}

/**
 * Only legs in a network that routers lead to are believed: who owns a network may give a port on it whatever owner they like.
 * @param external ids of these networks
 */
export function joinLegs(
  ports: readonly PortFact[],
  subnets: ReadonlyMap<string, SubnetFact>,
  external: ReadonlySet<string>,
): Legs {
  const of = new Map<string, Map<string, PortFact>>()
  const heartbeats = new Map<string, Heartbeat>()
  for (const port of ports) {
    const host = port['binding:host_id']
    const isOutside = (port.fixed_ips ?? []).some(ip =>
      external.has(subnets.get(ip.subnet_id)?.network_id ?? ''),
    )
    if (port.device_owner !== LOCAL_SNAT || !host || !isOutside) continue
    const hosts = of.get(port.device_id) ?? new Map<string, PortFact>()
    of.set(port.device_id, hosts.set(host, port))
    const said = readHeartbeat(port.description)
    if (said && said.at > (heartbeats.get(host)?.at ?? 0)) heartbeats.set(host, said)
  }
  return {of, heartbeats}
}

/** The legs of one router: its own, and those that it shares, on nodes where VMs of it are. */
export function legsOf({of}: Legs, router: RouterFact, hosts: Iterable<string>): PortFact[] {
  const shared = of.get(sharedId(router))
  const own = [...(of.get(router.id)?.values() ?? [])]
  return shared === undefined ? own : [...own, ...[...hosts].flatMap(host => shared.get(host) ?? [])]
}

/** The leg of a router on a node: while an operator changes how they are shared there may be two, and the agent says which it means. */
export function legOn({of, heartbeats}: Legs, router: RouterFact, host: string): PortFact | undefined {
  const ids = [router.id, sharedId(router)]
  if (heartbeats.get(host)?.sharing === 'per-node') ids.reverse()
  return ids.map(id => of.get(id)?.get(host)).find(leg => leg !== undefined)
}

/** `device_id` of the legs that a router shares; no port's when it shares none. */
function sharedId({distributed, external_gateway_info: gateway}: RouterFact): string {
  return (distributed === true && gateway?.network_id) || 'none'
}
