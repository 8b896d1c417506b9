/*
 * A cloud of 10,000 routers and 100,000 ports, served on a loopback port by a process of its own: Keystone as far as a
 * password goes, and Neutron's listings with `fields`, `limit` and `marker`. Prints its address when it is ready.
 * A listing named by a third word answers 503, or the status behind a colon.
 */
import {createServer} from 'node:http'

const ROUTERS = Number(process.argv[2] ?? 10_000)
const PORTS = Number(process.argv[3] ?? 100_000)
const [BROKEN, BROKEN_STATUS = '503'] = (process.argv[4] ?? '').split(':')
const COMPUTES = 200
const GATEWAYS = 20

type Row = Record<string, unknown> & {readonly id: string}

let serial = 0
/** Looks like a UUID, and is the same on every run. */
function uuid(): string {
  const hex = (++serial * 2_654_435_761).toString(16).padStart(16, '0').slice(-16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8000-${serial.toString(16).padStart(12, '0')}`
}

const tables: Record<string, Row[]> = {
  extensions: [],
  routers: [],
  ports: [],
  agents: [],
  floatingips: [],
  networks: [],
  subnets: [],
  'network-ip-availabilities': [],
}
const rows = (name: string) => tables[name] ?? []
const external = uuid()
const externalSubnet = uuid()

function port(
  device_id: string,
  device_owner: string,
  network_id: string,
  subnet_id: string,
  ip_address: string,
  host: string,
): Row {
  const row = {
    id: uuid(),
    name: '',
    network_id,
    project_id: device_id.replaceAll('-', ''),
    device_id,
    device_owner,
    fixed_ips: [{subnet_id, ip_address}],
    status: 'ACTIVE',
    'binding:host_id': host,
    security_groups: [],
    mac_address: 'fa:16:3e:00:00:01',
  }
  rows('ports').push(row)
  return row
}

function agent(agent_type: string, host: string, configurations: Record<string, unknown>): void {
  rows('agents').push({
    id: uuid(),
    agent_type,
    binary: 'x',
    host,
    alive: serial % 97 !== 0,
    admin_state_up: true,
    configurations,
  })
}

function generate(): void {
  for (const alias of ['router', 'l3_agent_scheduler', 'dvr', 'l3-ha', 'agent', 'network-ip-availability']) {
    rows('extensions').push({id: alias, alias, name: alias})
  }
  for (let n = 0; n < COMPUTES; n++) agent('L3 agent', `compute${n}`, {agent_mode: 'dvr'})
  for (let n = 0; n < COMPUTES; n++)
    agent('Open vSwitch agent', `compute${n}`, {bridge_mappings: {external: 'br-ex'}})
  for (let n = 0; n < GATEWAYS; n++) agent('L3 agent', `network${n}`, {agent_mode: 'dvr_snat'})
  rows('networks').push({
    id: external,
    name: 'public',
    'router:external': true,
    'provider:network_type': 'flat',
    'provider:physical_network': 'external',
  })
  rows('subnets').push({
    id: externalSubnet,
    name: 'public',
    network_id: external,
    ip_version: 4,
    cidr: '10.0.0.0/8',
    gateway_ip: '10.0.0.1',
    subnetpool_id: null,
  })
  const usage = {
    subnet_id: externalSubnet,
    subnet_name: 'public',
    cidr: '10.0.0.0/8',
    ip_version: 4,
    total_ips: 65_000,
    used_ips: 22_000,
  }
  rows('network-ip-availabilities').push({
    id: external,
    network_id: external,
    network_name: 'public',
    subnet_ip_availability: [usage],
  })
  for (let r = 0; r < ROUTERS; r++) router(r)
  for (let p = rows('ports').length, r = 0; p < PORTS; p++, r++) vm(r % ROUTERS, p)
}

const inside: {network: string; subnet: string; router: string}[] = []

function router(r: number): void {
  const kind = r % 4
  const [id, network, subnet] = [uuid(), uuid(), uuid()]
  inside.push({network, subnet, router: id})
  const address = `10.${1 + (r >> 16)}.${(r >> 8) & 255}.${r & 255}`
  const host = `network${r % GATEWAYS}`
  const project_id = id.replaceAll('-', '')
  const [distributed, ha] = [kind >= 2, kind % 2 === 1]
  const info = {
    network_id: external,
    enable_snat: true,
    external_fixed_ips: [{subnet_id: externalSubnet, ip_address: address}],
  }
  rows('routers').push({
    id,
    name: `router${r}`,
    project_id,
    status: 'ACTIVE',
    admin_state_up: true,
    distributed,
    ha,
    flavor_id: null,
    routes: [],
    external_gateway_info: info,
    description: '',
    tags: [],
  })
  rows('networks').push({
    id: network,
    name: `net${r}`,
    'router:external': false,
    'provider:network_type': 'vxlan',
    'provider:physical_network': null,
  })
  rows('subnets').push({
    id: subnet,
    name: `net${r}`,
    network_id: network,
    ip_version: 4,
    cidr: '10.0.0.0/24',
    gateway_ip: '10.0.0.1',
    subnetpool_id: null,
  })
  port(id, 'network:router_gateway', external, externalSubnet, address, host)
  const owner = distributed
    ? 'router_interface_distributed'
    : ha
      ? 'ha_router_replicated_interface'
      : 'router_interface'
  port(id, `network:${owner}`, network, subnet, '10.0.0.1', distributed ? '' : host)
  if (distributed) port(id, 'network:router_centralized_snat', network, subnet, '10.0.0.2', host)
  if (ha)
    for (let i = 0; i < 2; i++)
      port(
        id,
        'network:router_ha_interface',
        network,
        subnet,
        `169.254.192.${i}`,
        `network${(r + i) % GATEWAYS}`,
      )
}

function vm(r: number, n: number): void {
  const net = inside[r]
  if (!net) return
  const made = port(
    uuid(),
    'compute:nova',
    net.network,
    net.subnet,
    `10.0.0.${10 + (n % 200)}`,
    `compute${n % COMPUTES}`,
  )
  if (n % 8 !== 0) return
  rows('floatingips').push({
    id: uuid(),
    floating_ip_address: `172.${16 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`,
    floating_network_id: external,
    fixed_ip_address: null,
    port_id: made.id,
    router_id: net.router,
    project_id: 'x',
    status: 'ACTIVE',
    port_forwardings: [],
  })
}

generate()
const index = new Map(
  Object.entries(tables).map(([name, list]) => [name, new Map(list.map((row, i) => [row.id, i]))]),
)
const byDevice = Map.groupBy(rows('ports'), row => String(row['device_id']))

function listing(name: string, url: URL, base: string): unknown {
  const key = name.replaceAll('-', '_')
  const device = url.searchParams.get('device_id')
  const all = name === 'ports' && device !== null ? (byDevice.get(device) ?? []) : rows(name)
  const fields = url.searchParams.getAll('fields')
  const marker = url.searchParams.get('marker')
  const start = marker === null ? 0 : (index.get(name)?.get(marker) ?? all.length) + 1
  const limit = Number(url.searchParams.get('limit') ?? all.length)
  const page = all.slice(start, start + limit)
  const cut =
    fields.length === 0
      ? page
      : page.map(row => Object.fromEntries(fields.flatMap(f => (f in row ? [[f, row[f]]] : []))))
  const last = page.at(-1)
  if (start + limit >= all.length || !last) return {[key]: cut}
  const next = new URL(url)
  next.searchParams.set('marker', last.id)
  return {[key]: cut, [`${key}_links`]: [{rel: 'next', href: `${base}${next.pathname}${next.search}`}]}
}

function answer(method: string, url: URL, base: string): unknown {
  if (method === 'POST') return token(base)
  const [, version, name = '', id, more] = url.pathname.split('/')
  if (version !== 'v2.0')
    return {version: {id: 'v3.14', status: 'stable', links: [{rel: 'self', href: `${base}/v3/`}]}}
  if (more === 'l3-agents') return {agents: rows('agents').slice(0, 2)}
  if (id !== undefined) return {router: rows(name)[index.get(name)?.get(id) ?? 0]}
  return listing(name, url, base)
}

function token(base: string): unknown {
  const domain = {id: 'default', name: 'Default'}
  const endpoint = (type: string, path: string) => ({
    type,
    name: type,
    id: type,
    endpoints: [
      {id: type, interface: 'public', region: 'RegionOne', region_id: 'RegionOne', url: `${base}${path}`},
    ],
  })
  return {
    token: {
      methods: ['password'],
      user: {id: 'u', name: 'admin', domain},
      project: {id: 'p', name: 'admin', domain},
      roles: [{id: 'r', name: 'admin'}],
      issued_at: new Date().toISOString(),
      expires_at: new Date(Date.now() + 3_600_000).toISOString(),
      catalog: [endpoint('identity', '/v3'), endpoint('network', '')],
    },
  }
}

const server = createServer((request, response) => {
  const base = `http://${request.headers.host}`
  request.resume().on('end', () => {
    const broken = BROKEN !== '' && request.url?.split(/[?]/)[0] === `/v2.0/${BROKEN}`
    const status = broken ? Number(BROKEN_STATUS) : request.method === 'POST' ? 201 : 200
    response.writeHead(status, {'content-type': 'application/json', 'x-subject-token': 'bench'})
    response.end(JSON.stringify(answer(request.method ?? 'GET', new URL(request.url ?? '/', base), base)))
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address && typeof address === 'object') console.log(`http://127.0.0.1:${address.port}`)
})
// The parent went away: so does the cloud.
process.stdin.resume().on('end', () => process.exit(0))
