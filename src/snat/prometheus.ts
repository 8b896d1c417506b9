import {plain} from '../names/plain.ts'
import {MODES} from './modes.ts'
import type {Status, StatusRow} from './status.ts'

/** The facts as a textfile for Prometheus' node exporter (exposition format 0.0.4). Write it to a file, then rename. */
export function prometheus({rows, hosts, local_agents, gaps}: Status): string {
  const failed = gaps.filter(gap => gap.why === 'failed').length
  const modes = MODES.map(mode => ({labels: {mode}, value: rows.filter(row => row.mode === mode).length}))
  const flagged = rows.flatMap(row => row.flags.map(flag => ({labels: {...ids(row), flag}, value: 1})))
  return [
    metric('os_ssh_snat_complete', 'Whether every listing of Neutron came.', [
      {labels: {}, value: failed === 0 ? 1 : 0},
    ]),
    metric('os_ssh_snat_routers', 'Routers by SNAT mode.', modes),
    metric('os_ssh_snat_router_problem', 'Problems of a router, one series a problem.', flagged),
    metric(
      'os_ssh_snat_router_spof',
      'Whether one host carries the router.',
      of(rows, row => row.spof),
    ),
    metric(
      'os_ssh_snat_router_replicas_live',
      'Live replicas of the gateway.',
      of(rows, row => row.replicas_live),
    ),
    metric(
      'os_ssh_snat_router_vms_central',
      'VMs that cross the gateway host.',
      of(rows, row => row.vms_central),
    ),
    metric(
      'os_ssh_snat_router_vms_bypass',
      'VMs that leave from their own host.',
      of(rows, row => row.vms_bypass),
    ),
    metric(
      'os_ssh_snat_host_up',
      'Whether the agent of a gateway host is alive.',
      hosts.flatMap(h => sample(h.host, h.alive)),
    ),
    metric(
      'os_ssh_snat_host_routers',
      'Routers on a gateway host.',
      hosts.flatMap(h => sample(h.host, h.routers)),
    ),
    metric(
      'os_ssh_snat_host_vms',
      'VMs behind a gateway host.',
      hosts.flatMap(h => sample(h.host, h.vms)),
    ),
    ...localGateways(rows, local_agents),
  ].join('')
}

/** Nothing at all in a cloud without them. */
function localGateways(rows: readonly StatusRow[], agents: Status['local_agents']): string[] {
  const nodes = rows.flatMap(row =>
    [...Map.groupBy(row.local_nodes, node => node.state)].map(([state, some]) => ({
      labels: {...ids(row), state},
      value: some.length,
    })),
  )
  const metrics = [
    ['os_ssh_snat_local_nodes', 'Nodes of a router with local gateways, by state.', nodes],
    [
      'os_ssh_snat_local_agent_heartbeat_age_seconds',
      'Since the agent of local gateways on a node was last heard of.',
      agents.flatMap(one => sample(one.host, one.age)),
    ],
    [
      'os_ssh_snat_local_agent_routers_local',
      'Routers that leave from a node, as its agent said last.',
      agents.flatMap(one => sample(one.host, one.routers_local)),
    ],
    [
      'os_ssh_snat_local_agent_routers_other',
      'Routers that could leave from a node and do not, as its agent said last.',
      agents.flatMap(one => sample(one.host, one.routers_other)),
    ],
  ] as const
  return metrics.flatMap(([name, help, samples]) =>
    samples.length === 0 ? [] : [metric(name, help, samples)],
  )
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** An unknown value is no sample: an alert on absence tells it from zero. */
function of(rows: readonly StatusRow[], get: (row: StatusRow) => number | boolean | null): Sample[] {
  return rows.flatMap(row => {
    const value = get(row)
    return value === null || row.mode === 'no-gateway' ? [] : [{labels: ids(row), value: Number(value)}]
  })
}

function ids(row: StatusRow): Record<string, string> {
  return {router: row.id, name: row.router, project: row.project_id, mode: row.mode}
}

function sample(host: string, value: number | boolean | null): Sample[] {
  return value === null ? [] : [{labels: {host}, value: Number(value)}]
}

function metric(name: string, help: string, samples: readonly Sample[]): string {
  const lines = samples.map(({labels, value}) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`)
    return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${lines.join('')}`
}

function escaped(text: string): string {
  return plain(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')
}
