import {shortId} from '../names/brief.ts'
import {plain} from '../names/plain.ts'
import type {Gate, GatePlan} from '../protocol/index.ts'
import type {Column} from './output.ts'
import {lines} from './table.ts'

/* Columns of gates, and of what they are made of. */

const colours = {
  wanted: 'yellow',
  booting: 'yellow',
  new: 'yellow',
  ready: 'green',
  draining: 'yellow',
  deleting: 'yellow',
  down: 'red',
  failed: 'red',
} as const satisfies Record<Gate['state'], string>

const state: Column<Gate> = {name: 'state', title: 'State', colour: gate => colours[gate.state]}

export const gateColumns: readonly Column<Gate>[] = [
  {name: 'name', title: 'Name'},
  {name: 'id', title: 'ID', brief: gate => shortId(gate.id)},
  state,
  {name: 'scope', title: 'Scope', drop: 3},
  {name: 'zone', title: 'Zone', drop: 3.5},
  {name: 'host', title: 'Host'},
  {name: 'attachments', title: 'Networks'},
  {name: 'paths', title: 'Paths'},
  {name: 'reason', title: 'Reason', drop: 2.5, shrink: true},
]

/** How a gate is, and how much of what it takes it has. */
export const gateLoad = (limits: {readonly paths: number; readonly networks: number}) => {
  const of = (gate: Gate) => Math.max(gate.paths / limits.paths, gate.attachments / limits.networks)
  const load: Column<Gate> & {readonly get: (gate: Gate) => unknown} = {
    ...{name: 'load', title: 'Load', get: gate => Math.ceil(of(gate) * 100)},
    text: gate => `${Math.ceil(of(gate) * 100)} %`,
  }
  const wanted = ['name', 'state', 'host', 'zone', 'attachments', 'paths', 'reason']
  const columns = gateColumns.filter(({name}) => wanted.includes(name))
  return [...columns.slice(0, -1), load, ...columns.slice(-1)]
}

type Planned = Column<GatePlan> & {readonly get: (plan: GatePlan) => unknown}

/** Programs get the plan's own data, people words. */
const planned = (name: keyof GatePlan, title: string, text?: (plan: GatePlan) => string): Planned => ({
  name,
  title,
  get: plan => plan[name],
  ...(text && {text}),
})

/** Of a plan. */
export const planColumns: readonly Planned[] = [
  planned('image', 'Image', plan => plan.image.name),
  planned('flavor', 'Flavor', plan => plan.flavor.name),
  planned('volume', 'Volume', plan => (plan.volume === undefined ? '' : `${plan.volume} GB`)),
  planned('network', 'Network', plan => plan.network.name),
  planned('address', 'Address', ({address: {kind, network}}) =>
    network === undefined ? kind : `${kind} of ${network.name}`,
  ),
  planned('zone', 'Zone'),
  planned('count', 'Count'),
  planned('quota', 'Quota', plan =>
    plan.quota
      .map(({resource, needs, used, limit}) =>
        limit < 0 ? `${needs} ${resource}` : `${needs} ${resource} (${used} of ${limit} used)`,
      )
      .join(', '),
  ),
]

/** A plan for people who are asked whether it is meant: what there is of it, a line each. */
export function planLines(plan: GatePlan): string {
  const said = planColumns.map(
    ({title, text, get}) => [title, text?.(plan) ?? String(get(plan) ?? '')] as const,
  )
  return lines(said.filter(([, text]) => text !== '').map(([title, text]) => [title, plain(text)] as const))
}

/** Of one gate, whole. */
export const gateDetails: readonly Column<Gate>[] = [
  ...['id', 'name'].map(name => ({name, title: name})),
  state,
  ...['reason', 'scope', 'project_id', 'serves', 'zone', 'server_id', 'host', 'port'].map(name => ({
    name,
    title: name,
  })),
  ...['attachments', 'paths', 'deployed', 'created_at'].map(name => ({name, title: name})),
  ...planColumns
    .filter(({name}) => ['image', 'flavor', 'volume', 'network', 'address'].includes(name))
    .map(({name, title, get, text}) => ({
      name,
      title,
      get: ({plan}: Gate) => plan && get(plan),
      text: ({plan}: Gate) => (plan && text?.(plan)) ?? '',
    })),
]
