import {counted} from '../names/counted.ts'
import {plain, shortened} from '../names/plain.ts'
import type {ColumnOf} from '../snat/columns.ts'
import type {Part} from '../snat/parts.ts'
import type {Need, Pool, Proposal, ProposedNode} from './proposal.ts'

/* `snat plan` for people, and for programs. */

/** For programs. */
export const PROPOSAL_DATA: readonly ColumnOf<Proposal>[] = (
  [
    'id',
    'router',
    'mode',
    'eligible',
    'reason',
    'why',
    'nodes',
    'addresses',
    'pools',
    'notes',
  ] as const satisfies readonly (keyof Proposal)[]
).map(name => ({name, title: name.toUpperCase()}))

const NODE_TABLE: readonly ColumnOf<ProposedNode>[] = [
  {name: 'host', title: 'HOST', get: node => shortened(node.host, 40)},
  {name: 'vms', title: 'VMS'},
  {name: 'now', title: 'NOW', colour: node => (node.now === 'local' ? 'green' : undefined)},
  {
    name: 'then',
    title: 'WITH AN AGENT',
    get: node => (node.reason === null ? 'local' : 'central'),
    colour: node => (node.reason === null ? 'green' : 'yellow'),
  },
  {name: 'other_routers', title: 'OTHER ROUTERS IT TAKES', drop: 2},
  {name: 'why', title: 'WHY NOT', drop: 1, shrink: true, get: node => node.why || '-'},
]

const NEED_TABLE: readonly ColumnOf<Need>[] = [
  {name: 'mode', title: 'MODE'},
  {name: 'addresses', title: 'FOR THIS ROUTER', get: need => need.addresses},
  {name: 'there', title: 'THERE ALREADY'},
  {name: 'all_routers', title: 'FOR ALL ROUTERS ON THESE NODES'},
]

const POOL_TABLE: readonly ColumnOf<Pool>[] = [
  {name: 'subnet', title: 'SUBNET', get: pool => shortened(pool.subnet, 40)},
  {name: 'cidr', title: 'CIDR'},
  {name: 'kept', title: 'KEPT FOR IT', get: pool => (pool.kept ? 'yes' : 'no')},
  {
    name: 'free',
    title: 'FREE',
    get: pool => pool.free ?? '?',
    colour: pool => (pool.free === 0 ? 'red' : undefined),
  },
]

/** What a plan says in a line, above its tables. */
export function proposalSummary({router, mode, eligible, why, nodes}: Proposal): string {
  const name = `router ${shortened(router, 40)} (${mode})`
  if (!eligible) return `${name} stays central: ${why}`
  const able = nodes.filter(node => node.reason === null)
  const vms = able.reduce((sum, node) => sum + node.vms, 0)
  const all = nodes.reduce((sum, node) => sum + node.vms, 0)
  if (all === 0) return `${name} may leave locally, and no node has a VM of it that SNAT translates`
  return `${name}: ${vms} of ${counted(all, 'VM')} that SNAT translates would leave from ${vms === 1 ? 'its' : 'their'} own node, on ${able.length} of ${counted(nodes.length, 'node')}`
}

/** Its tables; an empty one is left out. */
export function proposalParts({nodes, addresses, pools}: Proposal): Part[] {
  return [
    {title: 'Nodes', rows: nodes, columns: NODE_TABLE},
    {title: 'External addresses', rows: nodes.length === 0 ? [] : addresses, columns: NEED_TABLE},
    {title: 'Where these come from', rows: nodes.length === 0 ? [] : pools, columns: POOL_TABLE},
  ].filter(part => part.rows.length > 0)
}

/** As many names of nodes fit into a line. */
const NAMED = 3

/** What to type, and where; none when no node can leave locally. */
export function proposalCommands({nodes, addresses}: Proposal): string[] {
  const hosts = nodes.filter(node => node.reason === null).map(node => shortened(node.host, 40))
  const named = [
    ...hosts.slice(0, NAMED),
    ...(hosts.length > NAMED ? [`${hosts.length - NAMED} more`] : []),
  ].join(', ')
  const commands = addresses.flatMap(({command}) => command ?? [])
  if (commands.length === 0) return []
  return [
    `as root on ${plain(named)}${commands.length > 1 ? ', one of these' : ''} (--dry-run only says what it would do):`,
    ...commands.flatMap(command => [`  ${command} --dry-run`, `  ${command}`]),
  ]
}
