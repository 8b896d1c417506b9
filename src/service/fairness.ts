import {OsSshError} from '../errors.ts'
import type {ServiceContext} from './context.ts'
import {QUARANTINE_MS} from './gates/times.ts'
import type {Fairness} from './limits.ts'
import type {Asker, GateChoice, Limits} from './planner/plan.ts'
import {revoke} from './revoke.ts'
import {LIVE, type Owner} from './store/paths.ts'
import type {PathRow} from './store/schema.ts'

type Context = Pick<ServiceContext, 'db' | 'clock' | 'sessions' | 'settled' | 'wakeLater'>

/** Accounts of ended paths rest for a while: so many rests a user may cause with one VM before they must wait. */
const RESTS = 4
/** How long a project counts as waiting after it was refused, ms. */
const WAITING_MS = 120_000
/** A path this young is not called unused, ms. */
const SETTLED_MS = 60_000
const WAIT_S = Math.ceil(QUARANTINE_MS / 1000) + 5

/**
 * Before a user gets one more path to a VM: their own oldest one without a session gives way, since CI jobs and the keychain
 * `agent` come with a new key each time.
 *
 * @throws OsSshError RATE_LIMITED when all are in use, or too many have just ended
 */
export async function giveWay(context: Context, owner: Owner, fairness: Fairness): Promise<void> {
  const {db} = context
  const held = await db
    .selectFrom('paths')
    .selectAll()
    .where('user_id', '=', owner.user_id)
    .where('released_at', 'is', null)
    .orderBy('serial')
    .execute()
  if (fairness.perUser > 0 && held.length >= fairness.perUser)
    throw new OsSshError('RATE_LIMITED', `you have ${held.length} paths, as many as one user may`, {
      retryAfter: WAIT_S,
    })
  const here = held.filter(path => path.server_id === owner.server_id)
  if (fairness.perVm === 0 || here.length < fairness.perVm) return
  const live = here.filter(path => path.state === 'pending' || path.state === 'active')
  if (here.length >= fairness.perVm * (RESTS + 1))
    throw new OsSshError('RATE_LIMITED', 'too many paths of yours to this VM have ended just now', {
      retryAfter: WAIT_S,
    })
  if (live.length < fairness.perVm) return
  if (!(await endIdle(context, live, 1, 'gave way to a newer one of the same user')))
    throw new OsSshError('RATE_LIMITED', `you have ${live.length} paths to this VM, all with a session`, {
      hint: 'use the key of one of them, or end one: os-ssh paths list',
      retryAfter: 30,
    })
}

/** Accounts of one gate that the project may hold now. @param now epoch ms */
export function share(
  {fairness, paths}: Limits & {readonly fairness?: Fairness | undefined},
  projectId: string,
  now: number,
): number | undefined {
  if (fairness === undefined || fairness.share === 0) return undefined
  const others = [...fairness.waiting].some(([project, until]) => project !== projectId && until > now)
  return others ? Math.max(1, Math.floor(paths * fairness.share)) : undefined
}

/** The gates that the project may use and that answer. */
const usable = (gates: readonly GateChoice[], {project_id}: Asker) =>
  gates.filter(gate => gate.state !== 'down' && (gate.scope === 'shared' || gate.project_id === project_id))

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
  const {numUpdatedRows} = await context.db
    .updateTable('attachments')
    .set({state: 'removing'})
    .where('id', '=', longest.one.id)
    .where('idle_since', 'is not', null)
    .where('id', 'not in', context.db.selectFrom('paths').select('attachment_id').where('state', 'in', LIVE))
    .executeTakeFirst()
  if (numUpdatedRows > 0n) context.wakeLater(longest.gate.id, 0)
  return letting
}

/**
 * On a full gate, paths without a session of projects that hold more than their share give way to one that holds less, which
 * counts as waiting from now on.
 *
 * @returns what to say meanwhile; undefined when the project has its own share already
 */
export async function makeRoom(
  context: Context,
  gates: readonly GateChoice[],
  {project_id, ...asker}: Asker,
  limits: Limits & {readonly fairness?: Fairness | undefined},
): Promise<OsSshError | undefined> {
  const {fairness} = limits
  if (fairness === undefined || fairness.share === 0) return undefined
  const most = Math.max(1, Math.floor(limits.paths * fairness.share))
  const now = context.clock()
  for (const [project, until] of fairness.waiting) if (until <= now) fairness.waiting.delete(project)
  for (const gate of usable(gates, {project_id, ...asker})) {
    if (gate.paths < limits.paths || (gate.held.get(project_id) ?? 0) >= most) continue
    fairness.waiting.set(project_id, now + WAITING_MS)
    const greedy = [...gate.held].filter(([project, n]) => project !== project_id && n > most)
    if (greedy.length === 0) continue
    const live = await context.db
      .selectFrom('paths')
      .selectAll()
      .where('gate_id', '=', gate.id)
      .where(
        'project_id',
        'in',
        greedy.map(([project]) => project),
      )
      .where('state', '=', 'active')
      // Whoever has just got one has not used it yet.
      .where('created_at', '<=', now - SETTLED_MS)
      .orderBy('serial')
      .execute()
    const room = greedy.reduce((sum, [, n]) => sum + n - most, 0)
    if (await endIdle(context, live, Math.min(room, ROOM), 'gave way: its project has more than its share'))
      return new OsSshError('RATE_LIMITED', 'the gate is full; others are making room', {retryAfter: WAIT_S})
  }
  return undefined
}

/** Paths that give way at a time: enough for one who waits to go on for a while. */
const ROOM = 8

/** Ends at most `most` of these, first come first, that have no session. @returns whether there were any */
async function endIdle(
  context: Context,
  paths: readonly PathRow[],
  most: number,
  detail: string,
): Promise<boolean> {
  const gates = [...new Set(paths.map(path => path.gate_id))]
  const busy = new Map(await Promise.all(gates.map(async id => [id, await context.sessions(id)] as const)))
  const idle = paths.filter(path => !busy.get(path.gate_id)?.has(path.login)).slice(0, most)
  if (idle.length === 0) return false
  const ended = await revoke(context, {ids: idle.map(path => path.id)}, {detail})
  for (const id of new Set(ended.map(path => path.gate_id))) context.wakeLater(id, 0)
  return true
}
