import {OpenStackError} from '../../openstack/index.ts'
import {LOCAL_SNAT} from '../../snat/facts.ts'
import {heartbeatText} from '../../snat/heartbeat.ts'
import type {Sharing} from '../desired.ts'
import type {State} from './leg.ts'
import type {NodeCloud} from './survey.ts'

/*
 * The Neutron ports that legs are. They are in the agent's own project, so that no tenant can delete them; the tenant's router, or the
 * external network, is their device.
 */

/** Takes an external address for a local gateway on a node. @throws OpenStackError `exhausted`, `quota`, `forbidden` */
export async function addressFor(
  network: NodeCloud,
  host: string,
  gateway: string,
  external: string,
): Promise<void> {
  await network.createPort({
    network_id: external,
    device_owner: LOCAL_SNAT,
    device_id: gateway,
    'binding:host_id': host,
    name: 'os-ssh-lsnat',
  })
}

/** @throws OpenStackError */
export async function dropPort(network: NodeCloud, id: string): Promise<void> {
  await network.deletePort(id).catch(error => {
    if (!(error instanceof OpenStackError) || error.fault !== 'not-found') throw error
  })
}

/** Says in one of the ports of a node how its routers are. @throws OpenStackError */
export async function publish(
  network: NodeCloud,
  port: string,
  sharing: Sharing,
  states: readonly (readonly [router: string, state: State])[],
): Promise<void> {
  const exceptions = states.flatMap(([router, state]) => (state === 'local' ? [] : [{router, state}]))
  const description = heartbeatText({
    at: Date.now(),
    sharing,
    local: states.length - exceptions.length,
    exceptions,
    more: 0,
  })
  await network.updatePort(port, {description})
}
