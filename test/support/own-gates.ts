import {groupName, machineDescription, machineMetadata} from '../../src/service/deploy/names.ts'
import {portDescription} from '../../src/service/marks.ts'
import type {FakeCloud, FakeServer} from './fake-cloud.ts'

/** A gate as `service` makes one, with a network plugged in. @param by who runs that service */
export function gateOf(cloud: FakeCloud, service: string, name: string, by = 'alice on one'): FakeServer {
  const description = machineDescription(service, {id: name, name})
  const group =
    cloud.groups.find(one => one.name === groupName(service)) ?? cloud.makeGroup({name: groupName(service)})
  const port = cloud.makePort({network_id: 'n', name, description, security_groups: [group.id]})
  cloud.makePort({network_id: 'm', description: portDescription(service)})
  cloud.makeFloating({floating_network_id: 'public', port_id: port.id, description})
  if (!cloud.serverGroups.some(one => one.name === groupName(service)))
    cloud.serverGroups.push({id: cloud.id(), name: groupName(service), policy: 'anti-affinity', members: []})
  const metadata = machineMetadata(service, {id: name, name}, by)
  const {id} = cloud.makeServer({
    name,
    networks: [{uuid: '', port: port.id}] as never,
    metadata,
    flavorRef: 'f',
  })
  return cloud.one(id)
}

/** How many servers, floating IPs, ports, security groups and server groups there are. */
export const counts = (cloud: FakeCloud): number[] =>
  [cloud.alive(), cloud.floating, cloud.ports, cloud.groups, cloud.serverGroups].map(all => all.length)
