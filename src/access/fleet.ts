import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {find, type Naming} from '../names/find.ts'
import {plain} from '../names/plain.ts'
import type {Deployed, DeployRequest, Gate, GateAccess, GateScope} from '../protocol/index.ts'
import {gateNaming, listGates} from './gates.ts'
import type {Session} from './session.ts'

/** How long is waited for gates to be ready, and how often they are looked at, ms. */
const [READY_MS, LOOK_MS] = [900_000, 1000]
/** How long a gate may take to be gone, ms. */
const GONE_MS = 180_000

/** What an operator asks for; its project by name or id. */
export type DeployWish = {
  readonly [key in keyof Omit<DeployRequest, 'project_id'>]: DeployRequest[key] | undefined
} & {
  readonly scope: GateScope
  readonly project?: string | undefined
  /** Whether to wait until the gates are ready. */
  readonly wait: boolean
}

/**
 * Has the service make gates, or say what it would make.
 *
 * @returns what was chosen, and the gates as they are when they are ready
 * @throws OsSshError with what does not fit; CLOUD_REFUSED when a gate could not be made, BUSY when it takes too long
 */
export async function deployGates(session: Session, {project, wait, ...wish}: DeployWish): Promise<Deployed> {
  const service = await session.service()
  const project_id = project === undefined ? undefined : await projectId(session, project)
  const body = {...wish, project_id}
  const answer = await service.request<Deployed>('POST', '/v1/gates/deploy', body)
  if (wish.dry_run || !wait) return answer
  return {
    ...answer,
    gates: await ready(
      session,
      answer.gates.map(gate => gate.id),
    ),
  }
}

/** A project that the user is in may be named; any other is said by its id. */
async function projectId(session: Session, word: string): Promise<string> {
  const projects = await session.cloud.identity.projects()
  const fits = projects.filter(one => one.id === word || one.name === word)
  if (fits.length > 1) throw new OsSshError('AMBIGUOUS', `${fits.length} projects are called ${plain(word)}`)
  return fits[0]?.id ?? word
}

/** Waits until all of them take paths. */
async function ready(session: Session, ids: readonly string[]): Promise<Gate[]> {
  const since = Date.now()
  for (;;) {
    const gates = (await listGates(session)).filter(gate => ids.includes(gate.id))
    const lost = gates.find(gate => gate.state === 'failed' || gate.state === 'deleting')
    if (lost !== undefined || gates.length < ids.length)
      throw new OsSshError(
        'CLOUD_REFUSED',
        `${lost?.name ?? 'the gate'} could not be made: ${plain(lost?.reason ?? 'it was deleted')}`,
        {hint: 'what there was of it is deleted; os-ssh gate list shows it for an hour'},
      )
    const waiting = gates.filter(gate => gate.state !== 'ready')
    if (waiting.length === 0) return gates
    const seconds = Math.round((Date.now() - since) / 1000)
    const said = waiting.map(({name, state}) => `${plain(name)} is ${state}`).join(', ')
    if (Date.now() - since > READY_MS)
      throw new OsSshError('BUSY', `after ${seconds} s ${said}`, {hint: 'see os-ssh gate list'})
    session.progress(`${said}, ${seconds} s …`)
    await sleep(LOOK_MS)
  }
}

/** A gate by its name, its UUID or a unique start of that. @throws OsSshError NOT_FOUND, AMBIGUOUS */
export async function findGate(session: Session, wanted: string): Promise<Gate> {
  return find(wanted, await listGates(session), {...gateNaming, whole: false})
}

const whole = async (session: Session, wanted: string): Promise<Gate> =>
  find(wanted, await listGates(session), gateNaming satisfies Naming<Gate>)

/**
 * Has a gate take no new paths; those that it has go on until they end. Or has it take them again.
 *
 * @param wanted its whole name or UUID
 * @throws OsSshError NOT_FOUND, DENIED
 */
export async function drainGate(session: Session, wanted: string, drain: boolean): Promise<Gate> {
  const {id} = await whole(session, wanted)
  return (await session.service()).request<Gate>('POST', `/v1/gates/${id}/drain`, {drain})
}

/**
 * Deletes a gate that the service has made, with all that it is made of, and waits until it is gone.
 *
 * @param wanted its whole name or UUID: a slip must not cut another's
 * @throws OsSshError NOT_FOUND; USAGE for one that was only registered, and when nobody is `sure`; BUSY when it is not gone in time
 */
export async function deleteGate(
  session: Session,
  wanted: string,
  {sure}: {readonly sure: boolean},
): Promise<Gate> {
  const gate = await whole(session, wanted)
  if (!gate.deployed)
    throw new OsSshError('USAGE', `${gate.name} is a VM that was registered, not made by the service`, {
      hint: `os-ssh gate remove ${gate.id} forgets it`,
    })
  if (!sure && gate.paths > 0)
    throw new OsSshError('USAGE', `this cuts ${gate.paths} paths through ${gate.name}`, {
      hint: `os-ssh gate drain ${gate.name} lets them end first; if it is meant: os-ssh gate delete ${gate.id} --yes`,
    })
  const service = await session.service()
  await service.request('DELETE', `/v1/gates/${gate.id}`)
  const deadline = Date.now() + GONE_MS
  for (;;) {
    const there = (await listGates(session)).find(other => other.id === gate.id)
    if (there === undefined) return gate
    if (Date.now() > deadline)
      throw new OsSshError('BUSY', `${gate.name} is not gone yet; the service goes on`)
    session.progress(`deleting ${gate.name} …`)
    await sleep(LOOK_MS)
  }
}

/** Who may reach port 22 of the gates that the service makes. @throws OsSshError DENIED */
export async function gateAccess(session: Session): Promise<readonly string[]> {
  return (await (await session.service()).request<GateAccess>('GET', '/v1/gates/access')).allow
}

/** From now on these address ranges may, and no others. @throws OsSshError USAGE, DENIED */
export async function allowAccess(session: Session, allow: readonly string[]): Promise<readonly string[]> {
  return (await (await session.service()).request<GateAccess>('PUT', '/v1/gates/access', {allow})).allow
}
