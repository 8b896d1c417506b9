import {OsSshError} from '../errors.ts'
import type {ServiceContext} from './context.ts'
import type {Fleet} from './deploy/fleet.ts'
import {revoke} from './endings.ts'
import type {Gates} from './gates/gates.ts'
import {QUARANTINE_MS} from './gates/times.ts'
import type {Fairness} from './limits.ts'
import {type Asker, type GateChoice, type Limits, mayUse} from './planner/plan.ts'
import {retireEarly} from './store/attachment-steps.ts'
import {livePathsBy, type Owner, pathsOfGate, pathsOfUser} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

/** What a grant works with. */
export type GrantContext = Pick<ServiceContext, 'db' | 'cloud' | 'clock' | 'log' | 'events'> & {
  readonly gates: Pick<Gates, 'sessions' | 'wakeFor' | 'check'>
  /** Who makes gates. */
  readonly fleet: Pick<Fleet, 'ask' | 'zoneFor'>
}
type Context = Omit<GrantContext, 'cloud' | 'log'>

/** Accounts of ended paths rest for a while: so many rests a user may cause with one VM before they must wait. */
const RESTS = 4
/** How long a project counts as waiting after it was refused, ms. */
const WAITING_MS = 120_000
/** A path this young is not called unused, ms: by another project, and by its own user, whose jobs may start together. */
const SETTLED_MS = 60_000
const STARTED_MS = 15_000
const WAIT_S = Math.ceil(QUARANTINE_MS / 1000) + 5

/**
 * Before a user gets one more path to a VM: their own oldest one without a session gives way, since CI jobs and the keychain
 * `agent` come with a new key each time.
 *
 * @throws OsSshError RATE_LIMITED when all are in use, or too many have just ended
 */
export async function giveWay(context: Context, owner: Owner, fairness: Fairness): Promise<void> {
  const {db} = context
  if (fairness.perUser === 0 && fairness.perVm === 0) return
  const held = await pathsOfUser(db, owner.user_id)
  if (fairness.perUser > 0 && held.length >= fairness.perUser)
    throw new OsSshError('RATE_LIMITED', `you have ${held.length} paths, as many as one user may`, {
      retryAfter: WAIT_S,
    })
  const here = held.filter(path => path.server_id === owner.server_id)
  if (fairness.perVm === 0 || here.length < fairness.perVm) return
  const live = here.filter(path => path.ended_at === null)
  if (here.length >= fairness.perVm * (RESTS + 1))
    throw new OsSshError('RATE_LIMITED', 'too many paths of yours to this VM have ended just now', {
      retryAfter: WAIT_S,
    })
  if (live.length < fairness.perVm) return
  const used = live.filter(path => path.state === 'active' && path.created_at <= context.clock() - STARTED_MS)
  if (!(await endIdle(context, used, 1, 'gave way to a newer one of the same user')))
    throw new OsSshError(
      'RATE_LIMITED',
      `you have ${live.length} paths to this VM, all new or with a session`,
      {
        hint: 'use the key of one of them, or end one: os-ssh paths list',
        retryAfter: 30,
      },
    )
}

/** A project's share of so many accounts or interfaces: one at least. */
const part = (all: number, {share}: Fairness) => Math.max(1, Math.floor(all * share))

/** For whom it is planned, with what the project may hold of one gate now. @param now epoch ms */
export function askerOf(
  {fairness, paths, attachments}: Limits & {readonly fairness?: Fairness | undefined},
  project_id: string,
  now: number,
): Asker {
  const others = [...(fairness?.waiting ?? [])].some(
    ([project, until]) => project !== project_id && until > now,
  )
  if (fairness === undefined || fairness.share === 0 || !others) return {project_id}
  return {project_id, share: part(paths, fairness), networks: part(attachments, fairness)}
}

/** The gates that the project may use and that answer: as the planner has it, or others would give way for nothing. */
const usable = (gates: readonly GateChoice[], {project_id}: Asker) =>
  gates.filter(gate => gate.state !== 'down' && mayUse(gate, project_id))

/**
 * On a gate whose interfaces are all in use, the network that has been idle for longest gives way before its grace is over.
 *
 * @returns what to say meanwhile; undefined when none is idle
 */
export async function spare(
  context: Context,
  gates: readonly GateChoice[],
  asker: Asker,
  limits: Limits,
): Promise<OsSshError | undefined> {
  const full = usable(gates, asker).filter(
    gate => gate.paths < limits.paths && gate.attachments.length >= limits.attachments,
  )
  const letting = new OsSshError('BUSY', 'the gate is letting go of a network to make room', {
    hint: 'try again in a few seconds',
    retryAfter: 5,
  })
  if (full.some(gate => gate.attachments.some(one => one.removing))) return letting
  const [longest] = full
    .flatMap(gate => gate.attachments.flatMap(one => (one.idle_since === null ? [] : [{gate, one}])))
    .sort((a, b) => Number(a.one.idle_since) - Number(b.one.idle_since))
  if (longest === undefined) return undefined
  if (await retireEarly(context.db, longest.one.id)) context.gates.wakeFor([{gate_id: longest.gate.id}])
  return letting
}

/**
 * On a gate whose accounts or interfaces are all in use, what projects above their share have without a session gives way to one
 * below its own, which counts as waiting from now on.
 *
 * @returns what to say meanwhile; undefined when the project has its own share already
 */
export async function makeRoom(
  context: Context,
  gates: readonly GateChoice[],
  asker: Asker,
  limits: Limits & {readonly fairness?: Fairness | undefined},
): Promise<OsSshError | undefined> {
  const {fairness} = limits
  if (fairness === undefined || fairness.share === 0) return undefined
  const now = context.clock()
  for (const [project, until] of fairness.waiting) if (until <= now) fairness.waiting.delete(project)
  for (const gate of usable(gates, asker)) {
    const full = gate.paths >= limits.paths ? ACCOUNTS : INTERFACES
    const [held, most] =
      full === ACCOUNTS
        ? [gate.held, part(limits.paths, fairness)]
        : [networksOf(gate), part(limits.attachments, fairness)]
    if ((held.get(asker.project_id) ?? 0) >= most) continue
    fairness.waiting.set(asker.project_id, now + WAITING_MS)
    const greedy = [...held].flatMap(([project, n]) => (n > most ? [project] : []))
    if (greedy.length === 0) continue
    if (await (full === ACCOUNTS ? freeAccounts : freeInterface)(context, gate, greedy, most))
      return new OsSshError('RATE_LIMITED', 'the gate is full; others are making room', {retryAfter: WAIT_S})
  }
  return undefined
}

const [ACCOUNTS, INTERFACES] = ['accounts', 'interfaces'] as const
/** Paths that give way at a time: enough for one who waits to go on for a while. */
const ROOM = 8
const DETAIL = 'gave way: its project has more than its share'

/** Networks on the gate by the project that owns them. */
function networksOf(gate: GateChoice): ReadonlyMap<string, number> {
  const byProject = Map.groupBy(gate.attachments, one => one.project_id)
  return new Map([...byProject].map(([project, some]) => [project, some.length]))
}

/** @returns whether accounts of the gate become free, now or by what was done before */
async function freeAccounts(
  context: Context,
  gate: GateChoice,
  greedy: readonly string[],
  most: number,
): Promise<boolean> {
  const held = await pathsOfGate(context.db, gate.id)
  // Accounts that rest are room that is being made: whoever asks again and again makes no more.
  const resting = held.filter(path => path.ended_at !== null).length
  if (resting >= ROOM) return true
  for (const project of greedy) {
    const live = held.filter(path => path.project_id === project && path.ended_at === null)
    const above = Math.min(live.length - most, ROOM - resting)
    if (above > 0 && (await endIdle(context, established(context, live), above, DETAIL))) return true
  }
  return resting > 0
}

/** Frees the oldest network of these projects whose paths are all without a session. @returns whether there was one */
async function freeInterface(
  context: Context,
  gate: GateChoice,
  greedy: readonly string[],
): Promise<boolean> {
  const ids = gate.attachments.filter(one => greedy.includes(one.project_id)).map(one => one.id)
  const paths = await livePathsBy(context.db, ids)
  const busy = await context.gates.sessions(gate.id)
  if (busy === undefined) return false
  for (const [, some] of Map.groupBy(paths, path => path.attachment_id)) {
    if (established(context, some).length < some.length || some.some(path => busy.has(path.login))) continue
    return endIdle(context, some, some.length, DETAIL)
  }
  return false
}

/** Those that their users have had time to use. */
const established = ({clock}: Context, paths: readonly PathRow[]) =>
  paths.filter(path => path.state === 'active' && path.created_at <= clock() - SETTLED_MS)

/** Ends at most `most` of these, first come first, that have no session. @returns whether there were any */
async function endIdle(
  context: Context,
  paths: readonly PathRow[],
  most: number,
  detail: string,
): Promise<boolean> {
  const gates = [...new Set(paths.map(path => path.gate_id))]
  const busy = new Map(
    await Promise.all(gates.map(async id => [id, await context.gates.sessions(id)] as const)),
  )
  const idle = paths.filter(path => busy.get(path.gate_id)?.has(path.login) === false).slice(0, most)
  if (idle.length === 0) return false
  const ended = await revoke(context, {ids: idle.map(path => path.id)}, {detail})
  context.gates.wakeFor(ended)
  return true
}
