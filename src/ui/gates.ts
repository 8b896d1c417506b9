import {shortId} from '../names/brief.ts'
import type {Gate, GatePlan} from '../protocol/index.ts'
import type {Column} from './output.ts'

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
