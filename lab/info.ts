import {addresses} from './api/nova-view.ts'
import {labFiles} from './paths.ts'
import type {Cloud} from './state.ts'
import type {Topology} from './topology.ts'

/** A lab that is up; also in lab.json of its state folder. */
export interface LabInfo {
  readonly name: string
  /** Keystone and the others are below: API/identity/v3, … */
  readonly api: string
  /** What the catalog says of the service of type `ssh`. */
  readonly ssh_endpoint: string
  readonly clouds_yaml: string
  /** Private key that opens root on the gates. */
  readonly management_key: string
  /** Private keys of the tenants' Nova key pairs. */
  readonly user_keys: {readonly alice: string; readonly bob: string}
  readonly external_cidr: string
  readonly gates: readonly {
    readonly server_id: string
    readonly name: string
    readonly project_id: string
    readonly host: string
    readonly host_key: string
  }[]
  readonly servers: readonly {
    readonly id: string
    readonly name: string
    readonly project: string
    readonly status: string
    /** Network name -> fixed addresses. */
    readonly addresses: Readonly<Record<string, readonly string[]>>
  }[]
}

/** What lab.json says. */
export function labInfo(cloud: Cloud, dir: string, topology: Topology): LabInfo {
  const files = labFiles(dir)
  const fixed = (server: Topology['servers'][number]) =>
    Object.fromEntries(
      Object.entries(addresses(cloud, server)).map(([net, all]) => [
        net,
        all.flatMap(one => {
          const {addr, 'OS-EXT-IPS:type': type} = one as {addr: string; 'OS-EXT-IPS:type': string}
          return type === 'fixed' ? addr : []
        }),
      ]),
    )
  return {
    name: cloud.name,
    api: cloud.url,
    ssh_endpoint: cloud.ssh_endpoint,
    clouds_yaml: files.clouds,
    management_key: files.managementKey,
    user_keys: {alice: files.userKey('alice'), bob: files.userKey('bob')},
    external_cidr: topology.external_cidr,
    gates: topology.gates.map(gate => ({
      server_id: gate.id,
      name: gate.name,
      project_id: gate.tenant_id,
      host: fixed(gate)['public']?.[0] ?? '',
      host_key: gate.host_key,
    })),
    servers: topology.servers.map(server => ({
      id: server.id,
      name: server.name,
      project: cloud.projects.get(server.tenant_id)?.name ?? '',
      status: server.status,
      addresses: fixed(server),
    })),
  }
}
