import {OsSshError} from '../../errors.ts'
import type {ServiceContext} from '../context.ts'
import {fail} from '../endings.ts'
import type {Gates} from '../gates/gates.ts'
import {retireAll} from '../store/attachment-steps.ts'
import type {Actor} from '../store/audit.ts'
import {gate as gateById, removeGate} from '../store/gates.ts'
import {pathsOfGate} from '../store/paths.ts'
import type {MachineRow} from '../store/schema.ts'

const GONE = new OsSshError('GATE_DOWN', 'its gate is gone; another one takes it')

/**
 * Ends a gate that is about to be deleted: its paths go for others when they are asked for again, its networks are let go. Asked for
 * again until nothing is plugged in.
 *
 * @returns whether it is no gate any more
 */
export async function retireGate(
  context: ServiceContext,
  gates: Gates,
  {id}: Pick<MachineRow, 'id'>,
  self: Actor,
): Promise<boolean> {
  const {db, clock} = context
  const gate = await gateById(db, id)
  if (gate === undefined) return true
  const paths = await pathsOfGate(db, id)
  await fail(
    context,
    paths.map(path => path.id),
    GONE,
  )
  await retireAll(db, id)
  // One that answers forgets them first; for one that does not, its ports are taken out beside this.
  if (gate.state !== 'down') await gates.wake(id)
  if (!(await removeGate(db, gate, self, clock()))) return false
  await gates.drop(id)
  return true
}
