import type {Cloud} from '../state.ts'
import {createBridges} from './bridges.ts'
import type {Fabric} from './fabric.ts'
import {Guests} from './guests.ts'
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
  const guests = new Guests(cloud, lab, dir, bridges, security)
  return {
    boot: server => guests.boot(server),
    shutdown: server => guests.shutdown(server),
    destroy: server => guests.destroy(server),
    plug: (server, port) => guests.plug(server, port),
    unplug: (server, port) => guests.unplug(server, port),
    console: server => guests.console(server),
    syncRouter: routers.sync,
    syncSecurity: security.syncAll,
    removeNetwork: bridges.remove,
  }
}
