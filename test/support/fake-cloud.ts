import ipaddr from 'ipaddr.js'

import {OsSshError} from '../../src/errors.ts'
import {
  type FloatingIp,
  OpenStackError,
  type Port,
  type PortCreate,
  type SecurityGroup,
  type SecurityGroupRule,
  type SecurityGroupRuleCreate,
  type Server,
  type ServerCreate,
  type ServerGroup,
} from '../../src/openstack/index.ts'
import type {GateLink} from '../../src/service/context.ts'
import type {GateAddress} from '../../src/service/gates/connection.ts'
import {FakeHost} from './fake-host.ts'
import {matches, picked} from './fake-rows.ts'
import {seen} from './seen.ts'

/*
 * A cloud in memory, as far as gates are made of it: rows that are found by the same filters as Nova's and Neutron's, servers that
 * boot, hosts behind addresses. Any call may be cut off, before it has done anything or after. Its clock moves by what is slept
 * (virtual-time.ts).
 */

/** The process has died: nothing that is asked for is answered any more, until `revive`. */
export class Crash extends Error {}

/** `lost`: it was done, and the answer is 502; an error: instead of doing it. */
export type Cut = 'die before' | 'die after' | 'lost' | Error | undefined

type Mutable<T> = {-readonly [K in keyof T]: T[K]}
export interface FakeServer extends Mutable<Server> {
  readonly port: string
  readonly made: number
  /** Of Nova, when the test says so. */
  forced?: string
  gone?: number
}

/** How long a server builds, its host boots, and Nova deletes, ms. */
export const [BUILD_MS, BOOT_MS, DELETE_MS] = [1000, 2000, 500]
export const EPOCH = Date.UTC(2026, 10, 25)
export const PUBLIC = 'public'

export class FakeCloud {
  /** Epoch ms. */
  now = EPOCH
  /** How far the service's clock is ahead, ms. */
  skew = 0
  /** The account's. */
  project = 'infra'
  readonly facts = seen()
  readonly servers: FakeServer[] = []
  readonly ports: Mutable<Port>[] = []
  readonly floating: Mutable<FloatingIp>[] = []
  readonly groups: Mutable<SecurityGroup>[] = []
  readonly serverGroups: ServerGroup[] = []
  /** By the server's id. */
  readonly hosts = new Map<string, FakeHost>()
  /** What was asked for, as `servers`, `createPort`, `run take-host-key`. */
  readonly calls: string[] = []
  /** What becomes of the n-th call, from 1. */
  cut: (n: number, call: string) => Cut | Promise<Cut> = () => undefined
  /** What becomes of a server that Nova has just made. */
  booted: (server: FakeServer, host: FakeHost) => void = () => undefined
  /** What Nova was asked to boot, and beside whom. */
  readonly boots: {readonly server: ServerCreate; readonly hints: unknown}[] = []
  #dead = false
  #next = 0

  revive(): void {
    this.#dead = false
    this.cut = () => undefined
    this.calls.length = 0
  }

  /** A row's id that nobody has. */
  id(): string {
    return `00000000-0000-4000-8000-${String(++this.#next).padStart(12, '0')}`
  }

  /** Does what is asked for, unless it is cut off. */
  async asked<T>(call: string, act: () => T, lost?: () => Error): Promise<T> {
    // As over the wire: others have their turn meanwhile.
    await new Promise(done => setImmediate(done))
    const cut = this.#dead ? ('die before' as const) : await this.cut(this.calls.push(call), call)
    if (cut instanceof Error) throw cut
    if (cut === 'die before') return this.#die(call)
    if (cut === 'die after') {
      try {
        act()
      } finally {
        this.#die(call)
      }
    }
    const answer = act()
    if (cut === 'lost')
      throw lost?.() ?? new OpenStackError('server', `${call}: 502 Bad Gateway`, {status: 502})
    return structuredClone(answer)
  }

  #die(call: string): never {
    this.#dead = true
    throw new Crash(call)
  }

  statusOf(server: FakeServer): string {
    if (server.forced !== undefined) return server.forced
    return this.now - server.made < BUILD_MS ? 'BUILD' : 'ACTIVE'
  }

  /** Those that are not deleted yet. */
  alive(): FakeServer[] {
    for (const server of this.servers)
      if (server.gone !== undefined && server.gone <= this.now) {
        this.servers.splice(this.servers.indexOf(server), 1)
        this.hosts.delete(server.id)
        for (const port of this.ports)
          if (port.device_id === server.id) Object.assign(port, {device_id: '', device_owner: ''})
      }
    return this.servers
  }

  one(id: string): FakeServer {
    const server = this.alive().find(one => one.id === id)
    if (server === undefined) throw notFound(`Instance ${id} could not be found.`)
    return server
  }

  /** The host that answers at an address. */
  at(address: string): FakeHost | undefined {
    const behind = this.floating.find(one => one.floating_ip_address === address)?.port_id
    const port = this.ports.find(
      one => one.id === behind || one.fixed_ips.some(ip => ip.ip_address === address),
    )
    const server = this.alive().find(one => one.id === port?.device_id)
    if (port === undefined || server === undefined || this.statusOf(server) !== 'ACTIVE') return undefined
    const isOpen = this.groups.some(
      group =>
        port.security_groups.includes(group.id) &&
        group.security_group_rules.some(rule => rule.direction === 'ingress' && rule.port_range_min === 22),
    )
    const host = this.hosts.get(server.id)
    return isOpen && host !== undefined && this.now >= server.made + BOOT_MS && !host.isSilent
      ? host
      : undefined
  }

  readonly connect = (gate: GateAddress): GateLink => {
    // The key is looked at when it connects, and the connection stays.
    let to: FakeHost | undefined
    const run = async (script: string) => {
      const what = FakeHost.nameOf(script)
      const down = () => new OsSshError('GATE_DOWN', 'the connection was lost')
      return this.asked(
        `run ${what}`,
        () => {
          const host = this.at(gate.host)
          if (host === undefined) throw new OsSshError('GATE_DOWN', 'nothing answers')
          if (to !== host) host.meet(gate.hostKey)
          to = host
          return host.run(what)
        },
        down,
      )
    }
    return {run, close: () => undefined} as unknown as GateLink
  }

  #quota(resource: string): void {
    const {limit = -1, used = 0} = this.facts.quotas[resource] ?? {}
    const count = {port: this.ports, floatingip: this.floating, security_group: this.groups}[resource] ?? []
    if (limit >= 0 && used + count.length >= limit)
      throw new OpenStackError('quota', `Quota exceeded for resources: ['${resource}'].`, {status: 409})
  }

  makeServer({name, networks, user_data, metadata = {}, availability_zone: zone}: ServerCreate): {
    id: string
  } {
    const {maxTotalInstances: max = -1} = this.facts.limits
    if (max >= 0 && this.alive().length >= max)
      throw new OpenStackError(
        'quota',
        `Quota exceeded for instances: Requested 1, but already used ${max}`,
        {
          status: 403,
        },
      )
    const [wanted] = Array.isArray(networks) ? networks : []
    const port = this.ports.find(one => one.id === wanted?.port)
    if (port === undefined || port.device_id !== '')
      throw new OpenStackError('conflict', 'Port is still in use.', {status: 409})
    const id = this.id()
    const server = {
      ...{id, name, status: '', tenant_id: this.project, user_id: 'u', key_name: null, image: null},
      ...{addresses: {}, metadata, created: '', port: port.id, made: this.now},
      'OS-EXT-AZ:availability_zone': zone ?? 'nova',
    }
    this.servers.push(server)
    const host = new FakeHost(user_data ?? '')
    this.hosts.set(id, host)
    Object.assign(port, {device_id: id, device_owner: 'compute:nova'})
    this.booted(server, host)
    return {id}
  }

  makePort({name = '', network_id, security_groups = [], description = ''}: PortCreate): Port {
    this.#quota('port')
    const id = this.id()
    const port = {
      ...{id, name, network_id, project_id: this.project, description, security_groups},
      ...{mac_address: 'fa:16:3e:00:00:01', status: 'DOWN', device_id: '', device_owner: ''},
      fixed_ips: [{subnet_id: 'sub', ip_address: `10.0.0.${this.#next + 10}`}],
    }
    this.ports.push(port)
    return port
  }

  makeFloating(given: {floating_network_id: string; port_id?: string; description?: string}): FloatingIp {
    this.#quota('floatingip')
    const id = this.id()
    const row = {
      ...{id, floating_ip_address: `203.0.113.${this.#next}`, fixed_ip_address: null, router_id: null},
      ...{port_id: null, project_id: this.project, status: 'ACTIVE', description: '', ...given},
    }
    this.floating.push(row)
    return row
  }

  makeGroup({name, description = ''}: {name: string; description?: string}): SecurityGroup {
    this.#quota('security_group')
    const id = this.id()
    const group = {id, name, description, project_id: this.project, security_group_rules: []}
    this.groups.push(group)
    for (const ethertype of ['IPv4', 'IPv6'] as const)
      this.makeRule({security_group_id: id, direction: 'egress', ethertype})
    return group
  }

  makeRule(given: SecurityGroupRuleCreate): SecurityGroupRule {
    const group = picked(this.groups, given.security_group_id)
    const none = {protocol: null, port_range_min: null, port_range_max: null, remote_ip_prefix: null}
    // As netaddr writes it: IPv6 short, host bits as they were.
    const prefix = given.remote_ip_prefix?.replace(/^.*:.*(?=\/)/, six => ipaddr.parse(six).toString())
    const rule = {id: '', ...none, remote_group_id: null, ...given, ...(prefix && {remote_ip_prefix: prefix})}
    if (group.security_group_rules.some(one => matches(one, {...rule, id: undefined})))
      throw new OpenStackError('conflict', 'Security group rule already exists.', {status: 409})
    const made = {...rule, id: this.id()}
    group.security_group_rules = [...group.security_group_rules, made]
    return made
  }
}

export const notFound = (message: string) => new OpenStackError('not-found', message, {status: 404})
