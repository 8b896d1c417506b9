import {OsSshError} from '../../errors.ts'
import {gates as allGates, drainGate} from '../store/gates.ts'
import {holdings} from '../store/holdings.ts'
import {machines as allMachines, noteMachine, retireMachine, wantMachines} from '../store/machines.ts'
import type {MachineRow} from '../store/schema.ts'
import type {Making} from './machine.ts'
import {newIdentity} from './names.ts'
import {SPARE, verdict, wishOf} from './policy.ts'

/** As many gates as there shall be: idle ones above the minimum go, and what is missing comes. */
export async function resize(making: Making): Promise<void> {
  await retireIdle(making)
  await keepMinimum(making)
}

/** First it takes no new paths, and at the next look, when it still has none, it goes. */
async function retireIdle({context, config, self}: Making): Promise<void> {
  const {db, clock} = context
  const now = clock()
  const [rows, gates, held] = await Promise.all([allMachines(db), allGates(db), holdings(db)])
  const running = rows.filter(row => row.state === 'running')
  // Where no zone is listed, the minimum is of all.
  const zoneOf = ({zone}: MachineRow) => (config.zones === undefined ? null : zone)
  const left = new Map<string | null, number>()
  for (const row of running) left.set(zoneOf(row), (left.get(zoneOf(row)) ?? 0) + 1)
  for (const row of running) {
    const gate = gates.find(one => one.id === row.id)
    if (gate === undefined || !row.automatic) continue
    const isIdle = (held.get(row.id)?.all ?? 0) === 0
    if (isIdle !== (row.idle_since !== null)) await noteMachine(db, row.id, {idle_since: isIdle ? now : null})
    const isSpare = (left.get(zoneOf(row)) ?? 0) > config.min
    if (isIdle && isSpare && now - (row.idle_since ?? now) >= config.idle * 1000) {
      left.set(zoneOf(row), (left.get(zoneOf(row)) ?? 0) - 1)
      if (gate.drained_at === null) {
        // First, so that whoever finds it drained knows by whom.
        await noteMachine(db, row.id, {reason: SPARE})
        await drainGate(db, gate, true, self, now)
      } else if (gate.drained_at < now) await retireMachine(db, row, 'gate-delete', self, now, SPARE)
    } else if (row.reason === SPARE) {
      // It was about to go, and somebody came before it was, or another one has gone.
      await drainGate(db, gate, false, self, now)
      await noteMachine(db, row.id, {reason: null})
    }
  }
}

async function keepMinimum({context, config, self}: Making): Promise<void> {
  const {db, clock, log} = context
  if (config.min === 0) return
  // A minimum is of the zones, whomever its gates serve.
  const limits = {...config, perProject: Number.POSITIVE_INFINITY}
  for (const zone of config.zones ?? [null]) {
    const isThere = (row: MachineRow) =>
      (zone === null || row.zone === zone) && !['failed', 'deleting'].includes(row.state)
    const isMissing = (rows: readonly MachineRow[]) =>
      rows.filter(isThere).length < config.min &&
      'deploy' in verdict(rows, {zone, serves: null}, limits, clock())
    if (!isMissing(await allMachines(db))) continue
    const wanted = {
      ...{...newIdentity(), scope: config.scope, serves: null, zone, automatic: true},
      ...{wish: wishOf(config, zone), created_at: clock()},
    }
    log.info({zone, gate: wanted.name}, 'a gate is missing')
    const may = (rows: readonly MachineRow[]) => {
      if (!isMissing(rows)) throw new OsSshError('BUSY', 'another gate came meanwhile')
    }
    await wantMachines(db, [wanted], may, self)
  }
}
