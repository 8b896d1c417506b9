import type {Cloud} from '../state.ts'
import {createBridges} from './bridges.ts'
import type {Fabric} from './fabric.ts'
import {createGuests} from './guests.ts'
import {createRouters} from './routers.ts'
import {createSecurity} from './security.ts'

/**
 * The lab's network and compute side in network namespaces of this machine. Needs root.
 * @param index of the external network, 172.24.INDEX.0/24
 */
export function namespaceFabric(cloud: Cloud, lab: string, dir: string, index: number): Fabric {
  const bridges = createBridges(cloud, lab, index)
  const routers = createRouters(cloud, lab, bridges)
  const security = createSecurity(cloud, bridges)
  const guests = createGuests(cloud, lab, dir, bridges, security)
  return {
    ...guests,
    syncRouter: routers.sync,
    syncSecurity: security.syncAll,
    removeNetwork: bridges.remove,
  }
}
