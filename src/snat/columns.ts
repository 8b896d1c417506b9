import {shortened} from '../names/plain.ts'
import type {HostRow, StatusRow} from './status.ts'

/** What src/ui's `render` wants of a column; restated here, because ui is for commands only. */
export interface ColumnOf<Row> {
  readonly name: string
  readonly title: string
  readonly get?: (row: Row) => unknown
  readonly colour?: (row: Row) => 'green' | 'yellow' | 'red' | 'gray' | undefined
  readonly drop?: number
  readonly shrink?: boolean
}

const yesNo = (fact: boolean | null) => (fact === null ? '?' : fact ? 'yes' : 'no')

/** `snat status` for people: nine columns on one screen. */
export const STATUS_TABLE: readonly ColumnOf<StatusRow>[] = [
  {name: 'router', title: 'ROUTER', get: row => shortened(row.router, 32)},
  {name: 'project', title: 'PROJECT', drop: 9, get: row => shortened(row.project_id, 8)},
  {name: 'mode', title: 'MODE'},
  {name: 'snat_ip', title: 'SNAT-IP', get: row => firstOf(row.snat_ips)},
  {name: 'host', title: 'HOST', get: hostCell, colour: row => (row.host_alive === false ? 'red' : undefined)},
  {name: 'replicas', title: 'REPLICAS', get: replicasCell},
  {name: 'spof', title: 'SPOF', get: spofCell, colour: row => (row.spof ? 'yellow' : undefined)},
  {name: 'vms', title: 'VMS', get: vmsCell},
  {
    name: 'remarks',
    title: 'NOTES',
    drop: 1,
    shrink: true,
    get: row => [...row.flags, ...row.notes].join('; '),
    colour: row => (row.flags.length > 0 ? 'red' : 'gray'),
  },
]

/** `snat status` for programs: every fact apart, null where it is not known. */
export const STATUS_DATA: readonly ColumnOf<StatusRow>[] = (
  [
    'id',
    'router',
    'project_id',
    'mode',
    'carrier',
    'snat_ips',
    'hosts',
    'host_alive',
    'replicas_live',
    'replicas_total',
    'spof',
    'vms_central',
    'vms_bypass',
    'vms_unknown',
    'flags',
    'notes',
  ] as const satisfies readonly (keyof StatusRow)[]
).map(name => ({name, title: name.toUpperCase().replaceAll('_', '-')}))

/** As above, and the nodes of local gateways where there are any, or who asks for them by name. */
export function statusData(
  rows: readonly StatusRow[],
  named: readonly string[] = [],
): readonly ColumnOf<StatusRow>[] {
  const isWanted = named.length > 0 || rows.some(row => row.local_nodes.length > 0)
  return isWanted ? [...STATUS_DATA, {name: 'local_nodes', title: 'LOCAL-NODES'}] : STATUS_DATA
}

/** The footer: gateway hosts. */
export const HOST_TABLE: readonly ColumnOf<HostRow>[] = [
  {name: 'host', title: 'GATEWAY HOST', get: row => shortened(row.host, 40)},
  {
    name: 'alive',
    title: 'ALIVE',
    get: row => yesNo(row.alive),
    colour: row => (row.alive === false ? 'red' : undefined),
  },
  {name: 'routers', title: 'ROUTERS'},
  {name: 'vms', title: 'VMS BEHIND IT'},
  {
    name: 'load',
    title: 'LOAD',
    get: row => `${row.load.toFixed(2)} x mean`,
    colour: row => (row.load >= 2 ? 'yellow' : undefined),
  },
]

/** The columns of a listing: those of its format, or, when some are named, the named ones of either kind. */
export function columnsFor<Row>(
  format: string,
  named: readonly string[] | undefined,
  table: readonly ColumnOf<Row>[],
  data: readonly ColumnOf<Row>[],
): readonly ColumnOf<Row>[] {
  const [own, other] = format === 'table' ? [table, data] : [data, table]
  if (named === undefined || named.length === 0) return own
  return [...own, ...other.filter(column => !own.some(known => known.name === column.name))]
}

function firstOf(ips: readonly string[]): string {
  return ips.length > 1 ? `${ips[0]} +${ips.length - 1}` : (ips[0] ?? '-')
}

function hostCell(row: StatusRow): string {
  if (row.hosts === null) return '?'
  if (row.hosts.length === 0) return '-'
  const names = row.hosts.map(host => shortened(host, 40)).join(', ')
  return row.host_alive === false ? `${names} (down)` : names
}

function replicasCell(row: StatusRow): string {
  if (row.mode === 'no-gateway') return '-'
  return `${row.replicas_live ?? '?'}/${row.replicas_total ?? '?'}`
}

function spofCell(row: StatusRow): string {
  return row.mode === 'no-gateway' ? '-' : yesNo(row.spof)
}

function vmsCell(row: StatusRow): string {
  const unknown = row.vms_unknown > 0 ? ` +${row.vms_unknown}?` : ''
  return `${row.vms_central}/${row.vms_bypass}${unknown}`
}
