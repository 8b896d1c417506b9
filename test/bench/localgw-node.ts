import {mkdtempSync, rmSync} from 'node:fs'
import {createServer, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'

import {ipBatch, run} from '../../src/system/commands.ts'
import {root} from '../support/world.ts'

/*
 * A node with many routers: their namespaces on the real kernel, as the L3 agent makes them, a Neutron that answers for them, and an OVS
 * of which there is only what makes a device. For the cost of an agent when nothing changes.
 */

export const [ROUTERS, VMS_EACH] = [200, 10] as const
const EXTERNAL = uuid('e', 0)
const GATEWAY = '172.31.0.1'
const HOST = 'bench-node'

function uuid(kind: string, number: number): string {
  return `${number.toString(16).padStart(8, '0')}-0000-4000-8000-${kind.charCodeAt(0).toString(16).padStart(12, '0')}`
}

export class Node {
  readonly home = mkdtempSync('/tmp/os-ssh-bench-')
  readonly #server: Server
  #legs: object[] = []

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request
        .on('data', chunk => chunks.push(chunk))
        .on('end', () => {
          const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString())
          const {
            status = 200,
            headers = {},
            json,
          } = this.#answer(request.method ?? '', new URL(request.url ?? '/', 'http://bench'), body)
          response
            .writeHead(status, {'content-type': 'application/json', ...headers})
            .end(JSON.stringify(json))
        })
    })
  }

  async open(): Promise<void> {
    await sweep()
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    await run(['ip', 'netns', 'add', 'lgb-outside'])
    await ipBatch('lgb-outside', [
      'link add br0 type bridge',
      'link set br0 up',
      `address add ${GATEWAY}/16 dev br0`,
    ])
    const all = Array.from({length: ROUTERS}, (_, index) => index)
    await ipBatch(
      undefined,
      all.map(index => `netns add qrouter-${uuid('r', index)}`),
    )
    for (const index of all)
      await ipBatch(`qrouter-${uuid('r', index)}`, [
        ...[
          'link set lo up',
          'link add qr-1 type bridge',
          'link set qr-1 up',
          'address add 10.0.0.1/24 dev qr-1',
        ],
        'route add default via 10.0.0.2 dev qr-1 table 167772161',
        'rule add priority 167772161 from 10.0.0.0/24 lookup 167772161',
      ])
  }

  /** What the agent is started with. */
  get env(): NodeJS.ProcessEnv {
    return {
      ...process.env,
      PATH: `${root}test/bench/localgw-ovs:${process.env['PATH']}`,
      HOME: this.home,
      OS_AUTH_URL: `${this.#url}/v3`,
      OS_USERNAME: 'lsnat',
      OS_PASSWORD: 'bench',
      OS_PROJECT_NAME: 'lsnat',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
    }
  }

  readonly flags = ['--host', HOST]

  get #url() {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.close()
    await sweep()
    rmSync(this.home, {recursive: true})
  }

  #answer(
    method: string,
    url: URL,
    body: Record<string, object>,
  ): {status?: number; headers?: Record<string, string>; json: object} {
    const path = url.pathname
    if (path === '/v3/auth/tokens')
      return {status: 201, headers: {'x-subject-token': 'bench'}, json: {token: this.#token()}}
    if (!path.startsWith('/network/v2.0/')) return {json: {version: {id: 'v3'}, versions: []}}
    const kind = path.slice('/network/v2.0/'.length)
    if (method === 'POST') {
      const number = this.#legs.length
      const address = `172.31.${1 + (number >> 8)}.${number & 255}`
      const fixed_ips = [{subnet_id: uuid('x', 0), ip_address: address}]
      const port = {...port_(uuid('l', number)), ...body['port'], fixed_ips}
      this.#legs.push(port)
      return {status: 201, json: {port}}
    }
    if (method === 'PUT') return {json: {port: this.#legs[0] ?? {}}}
    const ids = url.searchParams.getAll(
      kind === 'ports' ? 'device_id' : kind === 'floatingips' ? 'router_id' : 'id',
    )
    return {json: {[kind]: this.#rows(kind, ids)}}
  }

  #rows(kind: string, ids: readonly string[]): readonly object[] {
    const numbers = ids.map(id => Number.parseInt(id.slice(0, 8), 16))
    if (kind === 'agents') return [agent()]
    if (kind === 'routers') return numbers.map(router)
    if (kind === 'networks')
      return ids.map(id => ({id, name: 'net', mtu: 1450, 'router:external': id === EXTERNAL}))
    if (kind === 'subnets') return ids.map((id, index) => subnet(id, numbers[index] ?? 0))
    if (kind === 'ports')
      return ids.length > 0 ? numbers.flatMap(inner) : [...all().flatMap(vms), ...this.#legs]
    return []
  }

  #token() {
    const expires_at = new Date(Date.now() + 86_400_000).toISOString()
    const endpoints = [
      {id: 'n', interface: 'public', region: 'R', region_id: 'R', url: `${this.#url}/network`},
    ]
    return {
      ...{
        methods: ['password'],
        issued_at: new Date().toISOString(),
        expires_at,
        roles: [{id: 'm', name: 'member'}],
      },
      user: {id: 'u', name: 'lsnat', domain: {id: 'default', name: 'Default'}},
      project: {id: 'p', name: 'lsnat', domain: {id: 'default', name: 'Default'}},
      catalog: [{type: 'network', name: 'neutron', id: 'n', endpoints}],
    }
  }
}

/** By the ids that are made here: others may have namespaces of such names on this machine. */
const OURS = /^(lgb-|(qrouter|lsnat)-[0-9a-f]{8}-0000-4000-8000-0{10}[0-9a-f]{2}$)/

/** What is there of such a node, of this run or another. */
async function sweep(): Promise<void> {
  const names = (await run(['ip', 'netns', 'list'])).split('\n').map(line => line.split(' ')[0] ?? '')
  await ipBatch(
    undefined,
    names.filter(name => OURS.test(name)).map(name => `netns delete ${name}`),
  )
}

const all = () => Array.from({length: ROUTERS}, (_, index) => index)
const port_ = (id: string) => ({
  ...{
    id,
    name: '',
    network_id: EXTERNAL,
    project_id: uuid('p', 0),
    mac_address: 'fa:16:3e:00:00:01',
    status: 'ACTIVE',
  },
  ...{device_id: '', device_owner: '', description: '', security_groups: [], 'binding:host_id': HOST},
})
const router = (index: number) => ({
  ...{
    id: uuid('r', index),
    name: `r${index}`,
    project_id: uuid('p', index),
    status: 'ACTIVE',
    admin_state_up: true,
  },
  ...{distributed: true, ha: false, routes: []},
  external_gateway_info: {
    network_id: EXTERNAL,
    enable_snat: true,
    external_fixed_ips: [{subnet_id: uuid('x', 0), ip_address: '172.31.200.1'}],
  },
})
const subnet = (id: string, index: number) =>
  id === uuid('x', 0)
    ? {
        id,
        name: 'ext',
        network_id: EXTERNAL,
        ip_version: 4,
        cidr: '172.31.0.0/16',
        gateway_ip: GATEWAY,
        subnetpool_id: null,
      }
    : {
        id,
        name: 'in',
        network_id: uuid('n', index),
        ip_version: 4,
        cidr: '10.0.0.0/24',
        gateway_ip: '10.0.0.1',
        subnetpool_id: null,
      }
const at = (index: number, last: number) => [{subnet_id: uuid('s', index), ip_address: `10.0.0.${last}`}]
const inner = (index: number) => [
  {
    ...port_(`${uuid('i', index)}`),
    ...{
      network_id: uuid('n', index),
      device_id: uuid('r', index),
      device_owner: 'network:router_interface_distributed',
      fixed_ips: at(index, 1),
    },
  },
  {
    ...port_(`${uuid('c', index)}`),
    ...{
      network_id: uuid('n', index),
      device_id: uuid('r', index),
      device_owner: 'network:router_centralized_snat',
    },
    ...{fixed_ips: at(index, 2), 'binding:host_id': 'network1'},
  },
]
const vms = (index: number) =>
  Array.from({length: VMS_EACH}, (_, vm) => ({
    ...port_(uuid('v', index * VMS_EACH + vm)),
    ...{
      network_id: uuid('n', index),
      device_id: uuid('m', index * VMS_EACH + vm),
      device_owner: 'compute:nova',
      fixed_ips: at(index, 10 + vm),
    },
  }))
const agent = () => ({
  ...{id: uuid('a', 0), agent_type: 'L3 agent', host: HOST, alive: true, admin_state_up: true},
  configurations: {agent_mode: 'dvr'},
})
