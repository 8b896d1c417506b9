import type {ServiceContext} from './context.ts'
import type {Gates} from './gates/gates.ts'
import {gate as gateById} from './store/gates.ts'
import {isUncut} from './store/lifecycle.ts'
import type {PathRow} from './store/schema.ts'

/** So long is waited for whoever holds a gate's lease, ms. */
const CUT_MS = 30_000

/** Waits until gates have acknowledged a state without these, whoever told them; false where one does not answer. */
export async function areCut(
  context: Pick<ServiceContext, 'db' | 'clock' | 'events'>,
  gates: Pick<Gates, 'wake'>,
  ended: readonly PathRow[],
): Promise<boolean> {
  const ids = new Set(ended.map(path => path.gate_id).filter(id => id !== ''))
  const here = new Map(await Promise.all([...ids].map(async id => [id, await gates.wake(id)] as const)))
  const deadline = context.clock() + CUT_MS
  const looked = new Set<string>()
  // Where another replica was asked, it has its time to try: what it finds is said.
  const isOver = async (path: PathRow) => {
    const tried = here.get(path.gate_id) === true || looked.has(path.id)
    looked.add(path.id)
    return !isUncut(path) || (tried && (await gateById(context.db, path.gate_id))?.state === 'down')
  }
  const cut = ended.map(async ({id}) => {
    const row = await context.events.wait(context, id, deadline, isOver)
    return row === undefined || !isUncut(row)
  })
  return (await Promise.all(cut)).every(Boolean)
}
