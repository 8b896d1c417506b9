import {rm} from 'node:fs/promises'

import {forget, type Mark, readMark, writeMark} from '../embedded/mark.ts'
import {faultOf, lastWordsOf, startingOf} from '../embedded/place.ts'
import {stopAt} from '../embedded/stop.ts'
import {removeTraces, type Trace, tracesOf} from '../embedded/traces.ts'
import {OsSshError} from '../errors.ts'
import type {Gate} from '../protocol/index.ts'
import {closeHop} from '../ssh/hop.ts'
import {keyStore, ownPlace, ownService} from './own-service.ts'
import {forgetPath, keptPaths, readPath} from './path-files.ts'
import type {Session} from './session.ts'

/** What would go. */
export interface Ending {
  /** Id of the service that has made it. */
  readonly service: string
  readonly traces: readonly Trace[]
  /** Undefined for a service of another machine. */
  readonly mark: Mark | undefined
}

/**
 * Looks what there is of one's own service, in the cloud and here.
 *
 * @param other id of another one, whose own machine is lost
 * @throws OsSshError NOT_FOUND when there is nothing; CONFIG when its gates are in another project
 */
export async function beginDestroy(session: Session, other?: string): Promise<Ending> {
  const mark = await readMark(ownPlace(session))
  const service = other ?? mark?.service
  if (service === undefined)
    throw new OsSshError('NOT_FOUND', `there are no gates of your own in cloud ${session.name}`, {
      hint: 'os-ssh init makes some',
    })
  const isOwn = mark?.service === service
  const {project} = await session.token()
  if (isOwn && project?.id !== mark.project.id)
    throw new OsSshError('CONFIG', `your gates are in project ${mark.project.name}, and you are not`)
  return {service, traces: await tracesOf(session.cloud, service), mark: isOwn ? mark : undefined}
}

/**
 * Takes all of it away; where somebody else runs the gates by now, what is on this machine alone. May be killed anywhere, and called again.
 *
 * @returns who runs the gates, where they stay
 * @throws OsSshError, OpenStackError for what cannot be taken away
 */
export async function destroy(session: Session, {service, mark}: Ending): Promise<string | undefined> {
  if (mark !== undefined && !mark.ending) {
    const moved = await letGo(session)
    if (moved !== undefined) {
      await endHere(session)
      return moved
    }
    await writeMark(ownPlace(session), {...mark, ending: true})
  }
  if (mark !== undefined) await stopAt(ownPlace(session), async () => undefined)
  await removeTraces(session.cloud, service, session.progress)
  if (mark !== undefined) await endHere(session)
  return undefined
}

/**
 * VMs that were only registered as gates stay, and are told. A service that cannot be asked is not waited for.
 *
 * @returns what says that somebody else runs the gates
 */
async function letGo(session: Session): Promise<string | undefined> {
  try {
    const service = await ownService(session)
    await service?.request('GET', '/v1/service?fresh=true')
    const {gates} = (await service?.request<{gates: Gate[]}>('GET', '/v1/gates')) ?? {gates: []}
    for (const {id, deployed} of gates) if (!deployed) await service?.request('DELETE', `/v1/gates/${id}`)
    return undefined
  } catch (error) {
    if (!(error instanceof OsSshError)) throw error
    if (error.code === 'MOVED') return error.message
    session.say(`the service does not say what it has: ${error.message}`)
    return undefined
  }
}

/** Forgets the service on this machine: paths, process, keys, files. */
export async function endHere(session: Session): Promise<void> {
  const {directory} = session
  const place = ownPlace(session)
  for (const id of await keptPaths(directory)) {
    const path = await readPath(directory, id)
    if (path) await closeHop(path)
    await forgetPath(directory, id)
  }
  await stopAt(place, async () => {
    await keyStore(session).delete()
    await forget(place)
  })
  for (const file of [faultOf(place), lastWordsOf(place), startingOf(place)]) await rm(file, {force: true})
}
