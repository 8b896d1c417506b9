import {namespaceOf, TABLE} from '../names.ts'
import type {Leg} from './leg.ts'
import type {Visitor} from './visitor.ts'

/** What is counted in a leg's namespace. */
export interface LegCount {
  readonly id: string
  /** Connections that leave by it. */
  readonly flows: number
  /** Packets that would have left untranslated, and were dropped. */
  readonly leaked: number
}

/** Counts in each leg's namespace. @throws OsSshError */
export async function count(visitor: Visitor, legs: readonly Leg[]): Promise<readonly LegCount[]> {
  const visits = await visitor.visit(legs.map(({id}) => [namespaceOf(id), `list counter ip ${TABLE} leaked`]))
  return visits.map(({flows = 0, output = ''}, index) => ({
    id: legs[index]?.id ?? '',
    flows,
    leaked: Number(/packets (\d+)/.exec(output)?.[1] ?? 0),
  }))
}

const STATES = ['local', 'probing', 'fallback', 'draining', 'waiting', 'no-address'] as const

/** For the textfile collector of Prometheus' node exporter. Pure. */
export function metricsText(legs: readonly Leg[], counts: readonly LegCount[], at: number): string {
  const states = legs.flatMap(leg => leg.states().map(([, state]) => state))
  const sum = (numbers: readonly number[]) => numbers.reduce((all, one) => all + one, 0)
  const one = (name: string, type: 'gauge' | 'counter', help: string, ...lines: string[]) => [
    `# HELP os_ssh_lsnat_${name} ${help}`,
    `# TYPE os_ssh_lsnat_${name} ${type}`,
    ...lines.map(line => `os_ssh_lsnat_${name}${line}`),
  ]
  const byState = STATES.map(state => `{state="${state}"} ${states.filter(other => other === state).length}`)
  return `${[
    ...one(
      'routers',
      'gauge',
      'Routers of this node that could leave locally, by what they are in.',
      ...byState,
    ),
    ...one('addresses', 'gauge', 'External addresses taken.', ` ${legs.filter(leg => leg.port).length}`),
    ...one('flows', 'gauge', 'Connections that leave locally.', ` ${sum(counts.map(({flows}) => flows))}`),
    ...one(
      'fallbacks_total',
      'counter',
      'Times that a leg’s gateway fell silent.',
      ` ${sum(legs.map(leg => leg.fallbacks))}`,
    ),
    ...one(
      'leaks_caught_total',
      'counter',
      'Packets dropped that were not translated.',
      ` ${sum(counts.map(({leaked}) => leaked))}`,
    ),
    ...one('at_seconds', 'gauge', 'When this was written.', ` ${Math.floor(at / 1000)}`),
  ].join('\n')}\n`
}
