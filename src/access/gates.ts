import {OsSshError} from '../errors.ts'
import type {Gate, GateRequest} from '../protocol/index.ts'
import type {Session} from './session.ts'

/** Gates that the caller may see. @throws OsSshError */
export async function listGates(session: Session): Promise<readonly Gate[]> {
  const {gates} = await (await session.service()).request<{gates: Gate[]}>('GET', '/v1/gates')
  return gates
}

/** Registers a gate; answers when the service has tried to configure it: see its state. @throws OsSshError */
export async function addGate(session: Session, gate: GateRequest): Promise<Gate> {
  return (await session.service()).request<Gate>('POST', '/v1/gates', gate)
}

/**
 * Cuts the gate's paths, takes its networks away and forgets it. Asks again until the networks are gone.
 *
 * @throws OsSshError NOT_FOUND, AMBIGUOUS, BUSY when the networks are not gone after a minute
 */
export async function removeGate(session: Session, wanted: string): Promise<Gate> {
  const service = await session.service()
  const found = (await listGates(session)).filter(gate => gate.name === wanted || gate.id.startsWith(wanted))
  const [gate] = found
  if (gate === undefined)
    throw new OsSshError('NOT_FOUND', `there is no gate ${wanted}`, {hint: 'see os-ssh gate list'})
  if (found.length > 1)
    throw new OsSshError('AMBIGUOUS', `${wanted} may be any of ${found.map(g => g.id).join(', ')}`)
  const deadline = Date.now() + 60_000
  do {
    await service.request('DELETE', `/v1/gates/${gate.id}`)
    if (!(await listGates(session)).some(other => other.id === gate.id)) return gate
    await new Promise(resolve => setTimeout(resolve, 500))
  } while (Date.now() < deadline)
  throw new OsSshError('BUSY', `the networks of ${gate.name} are not gone yet`)
}
