import {setTimeout as sleep} from 'node:timers/promises'

import {OsSshError} from '../errors.ts'
import {find, type Naming} from '../names/find.ts'
import {plain} from '../names/plain.ts'
import {isUuid} from '../names/uuid.ts'
import type {Deployed, DeployRequest, Gate, GateAccess, GateScope} from '../protocol/index.ts'
import {gateNaming, listGates} from './gates.ts'
import {made} from './made-gates.ts'
import type {Session} from './session.ts'

/** How often a gate is looked at, ms. */
const LOOK_MS = 1000
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
 * @throws OsSshError with what does not fit; USAGE for a project that is not known; CLOUD_REFUSED when a gate could not be made, NOT_FOUND
 *   when somebody has deleted it, BUSY when it takes too long or does not answer
 */
export async function deployGates(session: Session, {project, wait, ...wish}: DeployWish): Promise<Deployed> {
  const service = await session.service()
  const project_id = project === undefined ? undefined : await projectId(session, project)
  const body = {...wish, project_id}
  const answer = await service.request<Deployed>('POST', '/v1/gates/deploy', body)
  if (wish.dry_run || !wait) return answer
  return {
    ...answer,
    gates: await made(session, answer.gates),
  }
}

/** A project that the user is in may be named; any other is said by its id. @throws OsSshError AMBIGUOUS, USAGE */
async function projectId(session: Session, word: string): Promise<string> {
  const projects = await session.cloud.identity.projects()
  const fits = projects.filter(one => one.id === word || one.name === word)
  if (fits.length > 1) throw new OsSshError('AMBIGUOUS', `${fits.length} projects are called ${plain(word)}`)
  const id = fits[0]?.id ?? (isUuid(word) ? word : undefined)
  if (id !== undefined) return id
  throw new OsSshError('USAGE', `you are in no project that is called ${plain(word)}`, {
    hint: 'a project that you are not in is said by its id: openstack project list',
  })
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

/** From now on those may that the service's configuration says. @throws OsSshError DENIED */
export async function usualAccess(session: Session): Promise<readonly string[]> {
  return (await (await session.service()).request<GateAccess>('DELETE', '/v1/gates/access')).allow
}

/** From now on these address ranges may, and no others. @throws OsSshError USAGE, DENIED */
export async function allowAccess(session: Session, allow: readonly string[]): Promise<readonly string[]> {
  return (await (await session.service()).request<GateAccess>('PUT', '/v1/gates/access', {allow})).allow
}
