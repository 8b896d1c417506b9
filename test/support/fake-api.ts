import {
  type OpenStack,
  OpenStackError,
  type PortCreate,
  type SecurityGroupRuleCreate,
  type ServerCreate,
} from '../../src/openstack/index.ts'
import {DELETE_MS, type FakeCloud, type FakeServer} from './fake-cloud.ts'
import {matches, picked} from './fake-rows.ts'

/** The calls that `src/service/deploy` makes; others are none. */
export function fakeApi(cloud: FakeCloud): OpenStack {
  const list =
    <T extends object>(call: string, rows: () => readonly T[]) =>
    (filter: object = {}) =>
      cloud.asked(call, () => rows().filter(row => matches(row, filter)))
  const remove = (call: string, rows: {id: string}[]) => (id: string) =>
    cloud.asked(call, () => {
      rows.splice(rows.indexOf(picked(rows, id)), 1)
    })
  const change =
    <T extends {id: string}>(call: string, rows: T[]) =>
    (id: string, what: object) =>
      cloud.asked(call, () => Object.assign(picked(rows, id), what))
  const shown = (server: FakeServer) => ({...server, status: cloud.statusOf(server)})
  const {facts} = cloud
  const act = (call: string, what: (server: FakeServer) => void) => (id: string) =>
    cloud.asked(call, () => what(cloud.one(id)))
  const compute = {
    servers: (filter: {name?: string} = {}) =>
      cloud.asked('servers', () =>
        cloud
          .alive()
          .filter(one => new RegExp(filter.name ?? '').test(one.name))
          .map(shown),
      ),
    server: (id: string) => cloud.asked('server', () => shown(cloud.one(id))),
    createServer: (server: ServerCreate, hints: unknown) =>
      cloud.asked('createServer', () => {
        cloud.boots.push({server, hints})
        return cloud.makeServer(server)
      }),
    deleteServer: act('deleteServer', server => {
      server.gone ??= cloud.now + DELETE_MS
    }),
    startServer: act('startServer', server => {
      server.forced = 'ACTIVE'
    }),
    rebootServer: act('rebootServer', () => undefined),
    instanceActions: list('instanceActions', () => []),
    consoleLog: (id: string) =>
      cloud.asked('consoleLog', () => cloud.hosts.get(cloud.one(id).id)?.console ?? ''),
    flavors: list('flavors', () => facts.flavors),
    limits: () => cloud.asked('limits', () => facts.limits),
    availabilityZones: () => cloud.asked('availabilityZones', () => facts.zones),
    serverGroups: list('serverGroups', () => cloud.serverGroups),
    createServerGroup: ({name, policy}: {name: string; policy: string}) =>
      cloud.asked('createServerGroup', () => {
        cloud.serverGroups.push({id: cloud.id(), name, policy, members: []})
        return cloud.serverGroups.at(-1)
      }),
    deleteServerGroup: remove('deleteServerGroup', cloud.serverGroups),
  }
  const network = {
    networks: list('networks', () => facts.networks),
    subnets: list('subnets', () => facts.subnets),
    routers: list('routers', () => facts.routers),
    ports: (filter: {device_owner?: unknown}) =>
      cloud.asked('ports', (): object[] =>
        Array.isArray(filter.device_owner)
          ? [...facts.legs]
          : cloud.ports.filter(port => matches(port, filter)),
      ),
    createPort: (wanted: PortCreate) => cloud.asked('createPort', () => cloud.makePort(wanted)),
    updatePort: change('updatePort', cloud.ports),
    deletePort: (id: string) =>
      cloud.asked('deletePort', () => {
        cloud.ports.splice(cloud.ports.indexOf(picked(cloud.ports, id)), 1)
        for (const one of cloud.floating) if (one.port_id === id) one.port_id = null
      }),
    floatingIps: list('floatingIps', () => cloud.floating),
    createFloatingIp: (wanted: {floating_network_id: string}) =>
      cloud.asked('createFloatingIp', () => cloud.makeFloating(wanted)),
    updateFloatingIp: change('updateFloatingIp', cloud.floating),
    deleteFloatingIp: remove('deleteFloatingIp', cloud.floating),
    securityGroups: list('securityGroups', () => cloud.groups),
    createSecurityGroup: (wanted: {name: string}) =>
      cloud.asked('createSecurityGroup', () => cloud.makeGroup(wanted)),
    deleteSecurityGroup: (id: string) =>
      cloud.asked('deleteSecurityGroup', () => {
        if (cloud.ports.some(port => port.security_groups.includes(id)))
          throw new OpenStackError('conflict', 'Security Group in use.', {status: 409})
        cloud.groups.splice(cloud.groups.indexOf(picked(cloud.groups, id)), 1)
      }),
    createSecurityGroupRule: (rule: SecurityGroupRuleCreate) =>
      cloud.asked('createSecurityGroupRule', () => cloud.makeRule(rule)),
    deleteSecurityGroupRule: (id: string) =>
      cloud.asked('deleteSecurityGroupRule', () => {
        for (const group of cloud.groups)
          group.security_group_rules = group.security_group_rules.filter(rule => rule.id !== id)
      }),
    quotas: () => cloud.asked('quotas', () => facts.quotas),
  }
  const identity = {
    token: () =>
      cloud.asked('token', () => ({
        project: {id: cloud.project, name: cloud.project},
        catalog: facts.volumes ? [{type: 'volumev3'}] : [],
      })),
  }
  const image = {images: list('images', () => facts.images)}
  return {config: {}, identity, compute, network, image} as unknown as OpenStack
}
