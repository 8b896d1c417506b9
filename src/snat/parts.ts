import {shortened} from '../names/plain.ts'
import {type ColumnOf, STATUS_TABLE} from './columns.ts'
import type {AlternativeRow} from './compare.ts'
import type {Quantities} from './measure.ts'
import type {LocalNode} from './nodes.ts'
import type {Hop} from './path.ts'
import type {Comparison} from './read.ts'
import type {Detail, Replica, SubnetRow, VmRow} from './show.ts'
import type {StatusRow} from './status.ts'
import type {Trace} from './trace.ts'

/** A titled listing: what `snat show` is made of, for people. */
export interface Part {
  readonly title: string
  // biome-ignore lint/suspicious/noExplicitAny: each part has rows and columns of its own type, joined by part()
  readonly rows: readonly any[]
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly columns: readonly ColumnOf<any>[]
}

function part<Row>(title: string, rows: readonly Row[], columns: readonly ColumnOf<Row>[]): Part[] {
  return rows.length === 0 ? [] : [{title, rows, columns}]
}

function columns<Row>(names: readonly (keyof Row & string)[], titles: Readonly<Record<string, string>> = {}) {
  return names.map(
    (name): ColumnOf<Row> => ({
      name,
      title: titles[name] ?? name.toUpperCase().replaceAll('_', '-'),
      get: row => orDash(row[name]),
    }),
  )
}

function orDash(value: unknown): unknown {
  return value === null || value === '' ? '-' : typeof value === 'string' ? shortened(value, 100) : value
}

/** One router in full, for programs. */
export const DETAIL_DATA = data<Detail>([
  'router',
  'seen',
  'explain',
  'replicas',
  'external',
  'local_nodes',
  'subnets',
  'vms',
  'notes',
])

/** A trace, for programs. */
export const TRACE_DATA = data<Trace>([
  'vm_id',
  'vm',
  'fixed_ip',
  'to',
  'router_id',
  'router',
  'mode',
  'kind',
  'why',
  'source_ip',
  'gateway_host',
  'inter_host_hops',
  'hops',
  'notes',
])

/** Every fact of the alternatives, for programs. */
export const COMPARE_DATA = data<AlternativeRow>([
  'alternative',
  'addresses_max',
  'addresses_lazy',
  'addresses_extra',
  'pool_free',
  'fits',
  'nat_layers',
  'hops',
  'hops_saved_vms',
  'blast_radius',
  'blast_vms',
  'source_address',
  'on_failure',
  'ports_per_vm',
  'rate_per_vm',
])

function data<Row>(names: readonly (keyof Row & string)[]): readonly ColumnOf<Row>[] {
  return names.map(name => ({name, title: name.toUpperCase().replaceAll('_', '-')}))
}

/** The parts of `snat show`; an empty one is left out. */
export function detailParts(detail: Detail, explained = false): Part[] {
  const steps = detail.explain.map(step => ({
    ...step,
    seen: step.seen.join(' '),
    holds: step.holds ? 'yes' : 'no',
  }))
  return [
    ...part('Router', [detail.router], [{name: 'id', title: 'ID'}, ...STATUS_TABLE] as ColumnOf<StatusRow>[]),
    ...(explained
      ? part(
          'How the mode was decided',
          steps,
          columns<(typeof steps)[number]>(['mode', 'when', 'seen', 'holds']),
        )
      : []),
    ...part('Replicas', detail.replicas, REPLICA_TABLE),
    ...part('External addresses', detail.external, columns(['ip_address', 'for', 'network', 'free', 'cost'])),
    ...part('Local gateways', detail.local_nodes, NODE_TABLE),
    ...part('Subnets', detail.subnets, columns<SubnetRow>(['name', 'cidr', 'gateway_ip', 'nat', 'vms'])),
    ...part(
      'VMs',
      detail.vms,
      columns<VmRow>(['vm', 'host', 'fixed_ip', 'floating_ip', 'way', 'source_ip', 'why'], {
        source_ip: 'SEEN-AS',
      }),
    ),
  ]
}

const REPLICA_TABLE: readonly ColumnOf<Replica>[] = [
  {name: 'host', title: 'HOST'},
  {
    name: 'alive',
    title: 'ALIVE',
    get: row => (row.alive === null ? '?' : row.alive ? 'yes' : 'no'),
    colour: row => (row.alive === false ? 'red' : undefined),
  },
  {name: 'state', title: 'HA-STATE', get: row => row.state ?? '?'},
]

const NODE_TABLE: readonly ColumnOf<LocalNode>[] = [
  {name: 'host', title: 'HOST', get: node => shortened(node.host, 40)},
  {
    name: 'state',
    title: 'STATE',
    colour: node => (node.state === 'local' ? 'green' : node.state === 'silent' ? 'red' : 'yellow'),
  },
  {name: 'address', title: 'ADDRESS', get: node => node.address ?? '-'},
  {name: 'vms', title: 'VMS'},
  {name: 'heard', title: 'HEARD', get: ({age}) => (age === null ? 'never' : `${Math.max(0, age)} s ago`)},
  {
    name: 'routers',
    title: 'ROUTERS THERE local/other',
    drop: 2,
    get: node => (node.routers_local === null ? '?' : `${node.routers_local}/${node.routers_other}`),
  },
  {name: 'why', title: 'WHY', drop: 1, shrink: true, get: node => shortened(node.why, 120)},
]

/** The hops of a trace, for people. */
export const HOP_TABLE: readonly ColumnOf<Hop>[] = [
  {name: 'host', title: 'HOST', drop: 2, get: hop => shortened(hop.host ?? '-', 40)},
  {name: 'where', title: 'WHERE', drop: 0, get: hop => `${hop.kind} ${shorten(hop.name)}`},
  {name: 'device', title: 'DEVICE', get: hop => hop.device ?? '-'},
  {name: 'address', title: 'ADDRESS', get: hop => hop.address ?? '-'},
  {name: 'does', title: 'WHAT HAPPENS', drop: 1, shrink: true, get: hop => shortened(hop.does, 100)},
]

/** A namespace keeps its whole name: it is what one types after `ip netns exec`. */
function shorten(name: string): string {
  return shortened(name, 48)
}

/** What a trace says in two lines, above its hops. */
export function traceSummary(trace: Trace): string[] {
  const via = trace.router === null ? 'no router' : `router ${shortened(trace.router, 40)} (${trace.mode})`
  const seen = trace.source_ip === null ? '' : `, seen as ${trace.source_ip}`
  const target = trace.to ?? 'the outside'
  return [
    `${shortened(trace.vm, 60)} (${trace.fixed_ip ?? 'no address'}) to ${target} by ${via}${seen}; hosts crossed: ${trace.inter_host_hops ?? '?'}`,
    `because: ${trace.why}`,
  ]
}

/** The alternatives, for people. */
export const COMPARE_TABLE: readonly ColumnOf<AlternativeRow>[] = [
  {name: 'alternative', title: 'ALTERNATIVE'},
  {
    name: 'addresses',
    title: 'ADDRESSES max/lazy',
    drop: 1,
    get: row => `${row.addresses_max ?? '?'}/${row.addresses_lazy ?? '?'}`,
  },
  {
    name: 'pool',
    title: 'POOL HAS',
    drop: 2,
    get: row =>
      row.fits === null ? '?' : row.fits ? 'enough' : `${row.pool_free} of ${row.addresses_extra}`,
    colour: row => (row.fits === false ? 'red' : undefined),
  },
  {name: 'nat_layers', title: 'NAT', drop: 10},
  {name: 'hops', title: 'HOPS', drop: 4, shrink: true},
  {name: 'saved', title: 'HOP SAVED BY', drop: 8, get: row => `${row.hops_saved_vms ?? '?'} VMs`},
  {
    name: 'blast',
    title: 'ONE FAILURE TAKES',
    drop: 3,
    shrink: true,
    get: row => `${row.blast_radius}${row.blast_vms === null ? '' : ` (${row.blast_vms} VMs)`}`,
  },
  {name: 'source_address', title: 'SOURCE ADDRESS', drop: 9},
  {name: 'ports', title: 'PORTS A VM', get: row => row.ports_per_vm ?? '?'},
  {name: 'rate', title: 'RUNS OUT AT', get: row => (row.rate_per_vm === null ? '?' : `${row.rate_per_vm}/s`)},
]

/** A comparison as one record, for JSON and YAML; the VMs of each router are left out. */
export const COMPARISON_DATA: readonly ColumnOf<Comparison>[] = [
  {name: 'now', title: 'NOW', get: c => figures(c.now)},
  {name: 'then', title: 'THEN', get: c => figures(c.then)},
  {name: 'alternatives', title: 'ALTERNATIVES', get: c => c.rows},
]

function figures({router_vms: _, ...rest}: Quantities) {
  return rest
}

/** The figures in lines that fit a terminal: today's, and those after the growth that was asked for. */
export function compareSummary({now, then}: Comparison): string[] {
  const lines = (q: Quantities) => [
    `${q.routers} SNAT routers of ${q.tenants} tenants, ${q.external_networks} external networks, ${q.nodes ?? '?'} compute nodes`,
    `${q.snat_vms} of ${q.vms} VMs without floating IP, ${q.pairs ?? '?'} (router, node) pairs, ${q.pool_free ?? '?'} addresses free`,
  ]
  return now === then ? lines(now) : ['today:', ...lines(now), 'then:', ...lines(then)]
}
