import {readMark, writeMark} from '../embedded/mark.ts'
import {comesFirst, type OtherService, otherServices} from '../embedded/others.ts'
import {settingsOf} from '../embedded/place.ts'
import {stopAt} from '../embedded/stop.ts'
import {removeTraces} from '../embedded/traces.ts'
import {OsSshError} from '../errors.ts'
import {plain} from '../names/plain.ts'
import {isRange} from '../names/ranges.ts'
import type {Deployed, DeployRequest, Gate, GateAccess, GatePlan, ServiceStatus} from '../protocol/index.ts'
import {makeDirectory, writeAtomic} from '../system/files.ts'
import {withLock} from '../system/lock.ts'
import {endHere} from './destroy.ts'
import {listGates} from './gates.ts'
import {made} from './made-gates.ts'
import {ownPlace, ownService} from './own-service.ts'
import type {Session} from './session.ts'
import type {SshService} from './ssh-service.ts'

/** What the gates shall be; what is not said the service chooses. */
export interface InitWish {
  /** Names or ids. */
  readonly image: string | undefined
  readonly flavor: string | undefined
  readonly network: string | undefined
  readonly external: string | undefined
  /** So many gates. */
  readonly gates: number
  /** Who may reach their port 22: prefixes, or `auto` for whoever is seen coming from here; undefined: everybody. */
  readonly allow: readonly string[] | undefined
  /** Whether gates of somebody else in the project are no reason to make none. */
  readonly beside: boolean
}

/** What is there, and what is to be made. */
export interface Beginning {
  readonly service: SshService
  readonly status: ServiceStatus
  readonly wish: InitWish
  /** Gates that were asked for before. */
  readonly there: readonly Gate[]
  /** Undefined when there is nothing to be made. */
  readonly plan: GatePlan | undefined
}

/** Gates that there are; what is gone or going counts for nothing. */
async function present(service: SshService): Promise<readonly Gate[]> {
  const {gates} = await service.request<{gates: Gate[]}>('GET', '/v1/gates')
  return gates.filter(({state}) => state !== 'failed' && state !== 'deleting')
}

/**
 * Looks what there is of one's own gates, and what is to be made. In the cloud nothing is changed.
 *
 * @throws OsSshError USAGE where a service is there already; CONFIG for gates of somebody else; with what does not fit
 */
export async function beginInit(session: Session, wish: InitWish): Promise<Beginning> {
  const wrong = isAuto(wish.allow ?? []) ? undefined : wish.allow?.find(prefix => !isRange(prefix))
  if (wrong !== undefined)
    throw new OsSshError(
      'USAGE',
      `--allow-from ${plain(wrong)} is not an address range such as 192.0.2.0/24`,
      {
        hint: 'or auto, alone: this machine’s own address, as a gate sees it',
      },
    )
  const endpoint = await session.endpoint()
  if (endpoint)
    throw new OsSshError('USAGE', `cloud ${session.name} has an SSH service already: ${endpoint}`, {
      hint: 'there is nothing to prepare: os-ssh list, os-ssh connect VM',
    })
  const {project} = await session.token()
  if (project === undefined)
    throw new OsSshError('CONFIG', 'you are in no project: gates are made in one', {
      hint: 'name one in clouds.yaml (project_name)',
    })
  const isNew = (await readMark(ownPlace(session))) === undefined
  if (isNew) await writeSettings(session, wish)
  const service = (await ownService(session, {begin: true})) as SshService
  const status = await service.request<ServiceStatus>('GET', '/v1/service')
  const others = await otherServices(session.cloud, status.id)
  if (others[0] !== undefined && !wish.beside) {
    await abandon(session)
    throw somebodyElse(others[0])
  }
  const there = await present(service)
  const count = wish.gates - there.length
  if (count <= 0) return {service, status, wish, there, plan: undefined}
  const body = {...choice(wish), count, dry_run: true}
  const {plan} = await service.request<Deployed>('POST', '/v1/gates/deploy', body)
  return {service, status, wish, there, plan}
}

const choice = ({image, flavor, network, external}: InitWish): DeployRequest => ({
  ...{scope: 'project' as const},
  ...Object.fromEntries(
    Object.entries({image, flavor, network, external}).filter(([, value]) => value !== undefined),
  ),
})

/** What gates that are made later shall be, as the first ones: a file that its user may edit. The service reads it when it starts. */
async function writeSettings(session: Session, wish: InitWish): Promise<void> {
  const place = ownPlace(session)
  await stopAt(place, async () => undefined)
  const {gates, allow} = wish
  const {scope: _, ...said} = choice(wish)
  const settings = {
    ...{automatic: true, max: Math.max(4, gates), per_zone: Math.max(2, gates), per_project: gates, ...said},
    ...(allow === undefined || isAuto(allow) ? {} : {allow}),
  }
  const lines = Object.entries(settings).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`)
  await makeDirectory(place.state)
  const text = ['# Of os-ssh init. What may stand here: docs/service-config.md', 'gates:', ...lines, ''].join(
    '\n',
  )
  await writeAtomic(settingsOf(place), text, 0o600)
}

const isAuto = (allow: readonly string[]) => allow.length === 1 && allow[0] === 'auto'

/** It was not meant, or may not be: what was begun on this machine goes, unless there are gates already. @throws OsSshError */
export async function abandon(session: Session): Promise<void> {
  if ((await readMark(ownPlace(session))) === undefined) await endHere(session)
}

/**
 * Has it made, and waits until the gates are ready. Who is cut off in the middle calls it again: what was begun goes on meanwhile.
 *
 * @returns the gates
 * @throws OsSshError CONFIG when somebody else was faster; CLOUD_REFUSED for a gate that could not be made, BUSY
 */
export async function carryOut(session: Session, beginning: Beginning): Promise<readonly Gate[]> {
  const {service, status, wish} = beginning
  const place = ownPlace(session)
  const project = {id: status.project_id, name: status.project_name}
  // Before anything is made: whatever happens, it can be found and taken away.
  if ((await readMark(place)) === undefined) await writeMark(place, {service: status.id, project})
  const wanted = await withLock(`${settingsOf(place)}.lock`, async () => {
    const there = await present(service)
    const count = wish.gates - there.length
    if (count <= 0) return there
    const body = {...choice(wish), count}
    return [...there, ...(await service.request<Deployed>('POST', '/v1/gates/deploy', body)).gates]
  })
  const gates = await made(
    session,
    wanted.filter(gate => gate.deployed),
  )
  if (!wish.beside) await mayStay(session, status.id)
  if (wish.allow !== undefined)
    await service.request<GateAccess>('PUT', '/v1/gates/access', {allow: wish.allow})
  return gates.length === wanted.length ? gates : listGates(session)
}

/** Somebody else may have begun at the same moment: one of the two stays. @throws OsSshError CONFIG, after all of ours has gone */
async function mayStay(session: Session, own: string): Promise<void> {
  const all = await otherServices(session.cloud)
  const ours = all.find(({id}) => id === own)
  const first = all.find(other => other !== ours && (ours === undefined || comesFirst(other, ours)))
  if (first === undefined) return
  await endHere(session)
  await removeTraces(session.cloud, own, session.progress)
  throw somebodyElse(first)
}

function somebodyElse({by, servers, since, id}: OtherService): OsSshError {
  const who = /^(.*) on [^ ]+$/.exec(by)?.[1] ?? by
  return new OsSshError(
    'CONFIG',
    `this project has gates already: ${servers.join(', ')}, of ${by} since ${plain(since)}`,
    {
      hint:
        `ask ${who} where their service answers (OS_SSH_ENDPOINT), or for the file of os-ssh service export; gates of your own beside ` +
        `them: os-ssh init --beside; are they left over: os-ssh destroy --service ${id}`,
    },
  )
}
