import type {Gate, GateCondition} from '../../protocol/index.ts'
import {gateChoices, gates} from './gates.ts'
import {machines} from './machines.ts'
import type {Store} from './open.ts'
import type {GateRow, MachineRow} from './schema.ts'

/** Gates as the API shows them to operators: all, and those that are on their way. By name. */
export async function gateViews(db: Store): Promise<Gate[]> {
  const [rows, made, choices] = await Promise.all([gates(db), machines(db), gateChoices(db)])
  const machineOf = new Map(made.map(machine => [machine.id, machine]))
  const here = new Set(rows.map(row => row.id))
  const views = [
    ...rows.map(row => {
      const choice = choices.find(gate => gate.id === row.id)
      const counts = {attachments: choice?.attachments.length ?? 0, paths: choice?.paths ?? 0}
      return {...ofGate(row, machineOf.get(row.id)), ...counts}
    }),
    ...made.filter(({id}) => !here.has(id)).map(ofMachine),
  ]
  return views.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Gates as the API shows them to users: those that may serve their project. What they are made of, and what the cloud or the gate
 * has said, is the operators'.
 *
 * @param projectId undefined for a token without a project, to which only shared gates are shown
 */
export async function gatesFor(db: Store, projectId: string | undefined): Promise<Gate[]> {
  const registered = new Set((await gates(db)).map(row => row.id))
  return (await gateViews(db))
    .filter(({id}) => registered.has(id))
    .filter(
      ({scope, serves, project_id}) =>
        scope === 'shared' || (projectId !== undefined && (serves ?? project_id) === projectId),
    )
    .map(({plan: _plan, reason: _reason, ...gate}) => ({
      ...gate,
      ...(gate.state === 'down' && {reason: 'it does not answer'}),
    }))
}

const common = (row: Pick<GateRow, 'id' | 'name' | 'scope' | 'zone' | 'serves'>) => ({
  ...{id: row.id, name: row.name, scope: row.scope},
  ...(row.zone === null ? {} : {zone: row.zone}),
  ...(row.serves === null ? {} : {serves: row.serves}),
})

function ofGate(row: GateRow, machine: MachineRow | undefined): Omit<Gate, 'attachments' | 'paths'> {
  // What is done about it, and what the gate itself has last said.
  const reasons = [machine?.reason, row.reason].filter(Boolean)
  return {
    ...common(row),
    ...{server_id: row.server_id, project_id: row.project_id, host: row.host, port: row.port},
    state: conditionOf(row, machine),
    ...(reasons.length === 0 ? {} : {reason: [...new Set(reasons)].join('; ')}),
    deployed: machine !== undefined,
    created_at: new Date(machine?.created_at ?? row.created_at).toISOString(),
    ...(machine?.plan && {plan: machine.plan}),
  }
}

function conditionOf({state, drained_at}: GateRow, machine: MachineRow | undefined): GateCondition {
  if (machine?.state === 'deleting') return 'deleting'
  return state !== 'down' && drained_at !== null ? 'draining' : state
}

/** One that is no gate yet, or never was. */
function ofMachine(row: MachineRow): Gate {
  return {
    ...common(row),
    ...{server_id: row.server_id ?? '', project_id: '', host: row.host ?? '', port: 22},
    state: row.state === 'running' ? 'booting' : row.state,
    ...(row.reason === null ? {} : {reason: row.reason}),
    ...{attachments: 0, paths: 0, deployed: true, created_at: new Date(row.created_at).toISOString()},
    ...(row.plan && {plan: row.plan}),
  }
}
