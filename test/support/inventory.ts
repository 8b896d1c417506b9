import type {OpenStack} from '../../src/openstack/index.ts'

/** All that a project has which a gate could be made of, as sorted lines: the same before and after means that nothing is left. */
export async function inventory(cloud: OpenStack): Promise<readonly string[]> {
  const project_id = (await cloud.identity.token()).project?.id ?? ''
  const [servers, serverGroups, ports, groups, floating] = await Promise.all([
    cloud.compute.servers(),
    cloud.compute.serverGroups(),
    cloud.network.ports({project_id}),
    cloud.network.securityGroups({project_id}),
    cloud.network.floatingIps({project_id}),
  ])
  return [
    ...servers.map(({name, id}) => `server ${name} ${id}`),
    ...serverGroups.map(({name, id}) => `server group ${name} ${id}`),
    // Neutron makes and takes its own as it needs them.
    ...ports
      .filter(port => !port.device_owner.startsWith('network:'))
      .map(({name, id}) => `port ${name} ${id}`),
    ...groups.map(({name, id, security_group_rules: rules}) => `group ${name} ${id} ${rules.length} rules`),
    ...floating.map(({floating_ip_address, port_id}) => `floating IP ${floating_ip_address} ${port_id}`),
  ].sort()
}
