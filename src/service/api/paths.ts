import {type ErrorCode, OsSshError} from '../../errors.ts'
import type {Path, PathGrant, PathRequest, PathState} from '../../protocol/index.ts'
import {actor, type Caller} from '../caller.ts'
import {areCut} from '../cut.ts'
import {revoke, revokeBarred} from '../endings.ts'
import {grantPath} from '../grant.ts'
import {hostKeys} from '../host-keys.ts'
import {auditDenial} from '../store/audit.ts'
import {bar} from '../store/bars.ts'
import {gates as allGates, gate as gateById} from '../store/gates.ts'
import {livePaths, path as pathById, uncutPaths} from '../store/paths.ts'
import type {GateRow, PathRow} from '../store/schema.ts'
import * as answers from './answers.ts'
import {isOperator, operator} from './auth.ts'
import type {Api, Deps} from './deps.ts'
import {problem} from './problems.ts'
import {IdParams, PathBody, PathPatch, PathQuery, RevokeQuery, WaitQuery} from './schemas.ts'

const DEFAULT_WAIT_S = 60
/** So long a grant keeps its project's turn at most, ms: a VM that does not answer must not hold up its project's others. */
const TURN_MS = 2000
const time = (ms: number) => new Date(ms).toISOString()

/** A failed path's reason, as it was written when it failed. */
function failure(row: PathRow): OsSshError | undefined {
  if (row.error === undefined) return undefined
  const {code, message, hint} = row.error
  return new OsSshError(code, message, hint === undefined ? {} : {hint})
}

/** What its client is told: whether the gate has cut it already is none of theirs. */
function stateOf({state, error}: PathRow): PathState {
  if (state === 'requested') return 'pending'
  if (state === 'cut' || state === 'released') return error === undefined ? 'ended' : 'failed'
  return state
}

function view(
  row: PathRow,
  gate: Pick<GateRow, 'id' | 'name' | 'host' | 'port'> | undefined,
  progress?: string,
): Path {
  const fault = failure(row)
  return {
    id: row.id,
    state: stateOf(row),
    user_id: row.user_id,
    user_name: row.user_name,
    project_id: row.project_id,
    server_id: row.server_id,
    server_name: row.server_name,
    network_id: row.network_id,
    route: row.route,
    address: row.address,
    alias: row.alias,
    port: 22,
    gate: {id: row.gate_id, name: gate?.name ?? '', host: gate?.host ?? '', port: gate?.port ?? 22},
    login: row.login,
    created_at: time(row.created_at),
    expires_at: time(row.expires_at),
    certificate_until: time(row.certificate_until),
    ...(progress === undefined ? {} : {progress}),
    ...(fault === undefined ? {} : {error: problem(fault)}),
  }
}

/** What it waits for, where that is a gate. */
const progressOf = async ({fleet}: Deps, row: PathRow) =>
  row.state === 'requested' ? fleet.progress() : undefined

const gateOf = ({context}: Deps, row: PathRow) => gateById(context.db, row.gate_id)

/** Grants a path, waiting at most `wait` seconds, and answers with what the client needs to use it. */
async function grant(
  deps: Deps,
  caller: Caller,
  request: PathRequest,
  wait: number,
): Promise<Path | PathGrant> {
  const {context, turns} = deps
  const over = await turns?.take(caller.token.project?.id ?? caller.token.user.id)
  const longest = setTimeout(() => over?.(), TURN_MS)
  try {
    const {row, known} = await made(deps, caller, request, context.clock() + wait * 1000)
    if (row === undefined || stateOf(row) === 'ended')
      throw new OsSshError('BUSY', 'the path was revoked while it was being made')
    const fault = failure(row)
    if (fault !== undefined) throw fault
    const gate = await gateOf(deps, row)
    if (row.state !== 'active') return view(row, gate, await progressOf(deps, row))
    const {keys, rebuild} = known
    return {...view(row, gate), ...credentials(deps, row, gate), host_keys: keys, ...(rebuild && {rebuild})}
  } finally {
    clearTimeout(longest)
    over?.()
  }
}

/** A path, until `deadline` (epoch ms) or until it is made. One whose gate fails meanwhile is asked for once more: there may be another. */
async function made(deps: Deps, caller: Caller, request: PathRequest, deadline: number, again = false) {
  const {context, gates, fleet} = deps
  const {path, renewed} = await grantPath({...context, gates, fleet}, caller, request, deps.limits)
  if (path.state === 'pending') gates.wakeFor([path])
  // What the gate has of a path that was asleep may have run out: its new time is there before the answer.
  if (renewed && !(await gates.wake(path.gate_id)))
    await context.events.wait(
      context,
      path.id,
      deadline,
      async row => row.version === row.applied || (await gateOf(deps, row))?.state === 'down',
    )
  const [known, row] = await Promise.all([
    hostKeys(context, caller.cloud, path.server_id),
    context.events.wait(context, path.id, deadline),
  ])
  if (row?.error?.code === 'GATE_DOWN' && !again) return made(deps, caller, request, deadline, true)
  return {row, known}
}

function credentials(
  {context: {ca, clock}}: Deps,
  row: PathRow,
  gate: GateRow | undefined,
): Pick<PathGrant, 'certificate' | 'host_ca' | 'host_cas'> {
  const ahead = gate?.clock_skew ?? 0
  const certificate = ca.signPath({
    publicKey: row.public_key,
    serial: row.serial,
    pathId: row.id,
    userName: row.user_name,
    from: clock() + ahead,
    until: row.certificate_until + ahead,
  })
  const {hostCas} = ca
  return {certificate, host_ca: hostCas[0] ?? '', host_cas: hostCas}
}

/** The caller's own path; an operator's may be anybody's. What is not theirs looks as if it were not there. */
async function ownPath({context}: Deps, caller: Caller, id: string): Promise<PathRow> {
  const row = await pathById(context.db, id)
  if (
    row === undefined ||
    (row.user_id !== caller.token.user.id && !(await isOperator(caller, context.cloud)))
  )
    throw new OsSshError('NOT_FOUND', `there is no path ${id}`, {hint: 'see os-ssh paths list'})
  return row
}

/** /v1/paths */
export function pathRoutes(api: Api, deps: Deps): void {
  const {context, authenticate} = deps
  const granted = (caller: Caller, body: PathRequest, wait: number) =>
    grant(deps, caller, body, wait).catch(async error => {
      if (error instanceof OsSshError && REFUSALS.has(error.code))
        await auditDenial(context, actor(caller), {server_id: body.server_id, detail: error.code})
      throw error
    })

  const asked = {
    body: PathBody,
    querystring: WaitQuery,
    response: {201: answers.PathGrant, 202: answers.Path, ...answers.problems},
  }
  api.post('/v1/paths', {schema: asked}, async (request, reply) => {
    const caller = await authenticate(request)
    const answer = await granted(caller, request.body, request.query.wait ?? DEFAULT_WAIT_S)
    if ('certificate' in answer) return reply.code(201).send(answer)
    return reply.code(202).send(answer)
  })

  const listed = {querystring: PathQuery, response: {200: answers.Paths, ...answers.problems}}
  api.get('/v1/paths', {schema: listed}, async request => {
    const {server_id, all, user_id, project_id} = request.query
    const everybody = all === true || user_id !== undefined || project_id !== undefined
    const {token} = await (everybody ? operator(deps, request) : authenticate(request))
    const whose = everybody ? user_id : token.user.id
    const [rows, them] = await Promise.all([
      livePaths(context.db, {user_id: whose, server_id, project_id}),
      allGates(context.db),
    ])
    const byId = new Map(them.map(gate => [gate.id, gate]))
    return {paths: rows.map(row => view(row, byId.get(row.gate_id)))}
  })

  const one = {params: IdParams, response: {200: answers.Path, ...answers.problems}}
  api.get('/v1/paths/:id', {schema: one}, async request => {
    const row = await ownPath(deps, await authenticate(request), request.params.id)
    return view(row, await gateOf(deps, row), await progressOf(deps, row))
  })

  const renewed = {
    params: IdParams,
    body: PathPatch,
    response: {200: answers.PathGrant, 202: answers.Path, ...answers.problems},
  }
  api.patch('/v1/paths/:id', {schema: renewed}, async (request, reply) => {
    const caller = await authenticate(request)
    const row = await ownPath(deps, caller, request.params.id)
    if (row.user_id !== caller.token.user.id) throw new OsSshError('DENIED', 'only its user may renew a path')
    // A renewal is a new grant of the same thing: the right is checked again, with today's token.
    const {life} = request.body
    const again = {
      server_id: row.server_id,
      public_key: row.public_key,
      ...(life === undefined ? {} : {life}),
    }
    const answer = await granted(caller, again, DEFAULT_WAIT_S)
    if ('certificate' in answer) return reply.code(200).send(answer)
    return reply.code(202).send(answer)
  })

  const ended = {params: IdParams, response: {204: answers.Nothing, ...answers.problems}}
  api.delete('/v1/paths/:id', {schema: ended}, async (request, reply) => {
    const caller = await authenticate(request)
    const row = await ownPath(deps, caller, request.params.id)
    await revoke(context, {ids: [row.id]}, {source: caller.source, detail: caller.token.user.name})
    // Answer when the gate has really cut it: that is what the caller wants to know.
    if (!(await areCut(context, deps.gates, [row])))
      throw new OsSshError(
        'GATE_DOWN',
        'the path is revoked, but its gate does not answer: it is cut when its time is over or the gate is back',
      )
    return reply.code(204).send()
  })

  // Barred first: whoever asks meanwhile is refused, and a grant that was under way ends within a second.
  const revoked = {querystring: RevokeQuery, response: {200: answers.Revoked, ...answers.problems}}
  api.delete('/v1/paths', {schema: revoked}, async request => {
    const caller = await operator(deps, request)
    await bar(context.db, request.query, context.clock())
    const why = {source: caller.source, detail: caller.token.user.name}
    const ended = await revokeBarred(context, why)
    // Another replica may have ended some of them.
    if (!(await areCut(context, deps.gates, await uncutPaths(context.db, request.query))))
      throw new OsSshError(
        'GATE_DOWN',
        `paths are revoked (${ended.length} just now), but not all gates answer: what goes by those is cut when its time is over or the gate is back`,
      )
    return {revoked: ended.length}
  })
}

/** Faults that say that somebody wanted what is not theirs. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['DENIED', 'NOT_FOUND', 'RATE_LIMITED', 'NO_GATE'])
