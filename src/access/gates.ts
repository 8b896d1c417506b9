import {OsSshError} from '../errors.ts'
import {find, type Naming} from '../names/find.ts'
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

/** What is removed is named as a whole. */
export const gateNaming: Naming<Gate> = {
  kind: 'gate',
  ids: ({id}) => [id],
  names: ({name}) => [name],
  whole: true,
  line: ({id, name}) => `${id}  ${name}`,
  hint: 'see os-ssh gate list',
}

/**
 * Cuts the gate's paths, takes its networks away and forgets it. Asks again until the networks are gone.
 *
 * @param wanted its whole name or UUID: a slip must not cut another's
 * @throws OsSshError NOT_FOUND, AMBIGUOUS, USAGE when nobody is `sure`, BUSY when the networks are not gone after a minute
 */
export async function removeGate(
  session: Session,
  wanted: string,
  {sure}: {readonly sure: boolean},
): Promise<Gate> {
  const service = await session.service()
  const gate = find(wanted, await listGates(session), gateNaming)
  if (gate.deployed)
    throw new OsSshError('USAGE', `${gate.name} was made by the service`, {
      hint: `os-ssh gate delete ${gate.id} deletes it, with all that it is made of`,
    })
  if (!sure)
    throw new OsSshError(
      'USAGE',
      `this cuts ${gate.paths} paths through ${gate.name} and takes its ${gate.attachments} networks away`,
      {
        hint: `if that is meant: os-ssh gate remove ${gate.id} --yes`,
      },
    )
  const deadline = Date.now() + 60_000
  do {
    await service.request('DELETE', `/v1/gates/${gate.id}`)
    if (!(await listGates(session)).some(other => other.id === gate.id)) return gate
    await new Promise(resolve => setTimeout(resolve, 500))
  } while (Date.now() < deadline)
  throw new OsSshError('BUSY', `the networks of ${gate.name} are not gone yet`)
}
