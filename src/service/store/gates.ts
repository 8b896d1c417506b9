import type {Gate} from '../../protocol/index.ts'
import type {GateChoice} from '../planner/plan.ts'
import type {Store} from './open.ts'
import {countPaths} from './paths.ts'
import type {Reach} from './schema.ts'

/** All gates with what is plugged into them, as the planner wants them. */
export async function gateChoices(db: Store): Promise<GateChoice[]> {
  const [gates, attachments, counts] = await Promise.all([
    db.selectFrom('gates').selectAll().execute(),
    db.selectFrom('attachments').selectAll().execute(),
    countPaths(db),
  ])
  return gates.map(gate => ({
    id: gate.id,
    project_id: gate.project_id,
    scope: gate.scope,
    state: gate.state,
    paths: [...(counts.get(gate.id)?.values() ?? [])].reduce((sum, n) => sum + n, 0),
    held: counts.get(gate.id) ?? new Map<string, number>(),
    attachments: attachments
      .filter(row => row.gate_id === gate.id)
      .map(row => ({
        id: row.id,
        network_id: row.network_id,
        project_id: row.project_id,
        idle_since: row.idle_since,
        reach: JSON.parse(row.reach) as Reach[],
        removing: row.state === 'removing',
      })),
  }))
}

/** Gates as the API shows them: those of `projectId` and the shared ones, or all. */
export async function gateViews(db: Store, projectId?: string): Promise<Gate[]> {
  const [rows, choices] = await Promise.all([
    db.selectFrom('gates').selectAll().orderBy('name').execute(),
    gateChoices(db),
  ])
  return rows
    .filter(row => projectId === undefined || row.scope === 'shared' || row.project_id === projectId)
    .map(row => {
      const choice = choices.find(gate => gate.id === row.id)
      return {
        id: row.id,
        name: row.name,
        server_id: row.server_id,
        project_id: row.project_id,
        scope: row.scope,
        host: row.host,
        port: row.port,
        state: row.state,
        ...(row.reason === null ? {} : {reason: row.reason}),
        attachments: choice?.attachments.length ?? 0,
        paths: choice?.paths ?? 0,
      }
    })
}
