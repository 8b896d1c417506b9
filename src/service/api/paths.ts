import {type ErrorCode, OsSshError} from '../../errors.ts'
import type {Path, PathGrant, PathRequest} from '../../protocol/index.ts'
import {audit} from '../audit.ts'
import {type Caller, hostKeys, wish} from '../grant.ts'
import {endPaths, path as pathById} from '../store/paths.ts'
import type {GateRow, PathRow} from '../store/schema.ts'
import {problem} from './problems.ts'
import {IdParams, PathBody, PathPatch, PathQuery, WaitQuery} from './schemas.ts'
import type {Api, Deps} from './server.ts'

const DEFAULT_WAIT_S = 60
const time = (ms: number) => new Date(ms).toISOString()

/** A failed path's reason, as it was written when it failed. */
function failure(row: PathRow): OsSshError | undefined {
  if (row.error === null) return undefined
  const {code, message, hint} = JSON.parse(row.error) as {code: ErrorCode; message: string; hint?: string}
  return new OsSshError(code, message, hint === undefined ? {} : {hint})
}

function view(row: PathRow, gate: Pick<GateRow, 'id' | 'name' | 'host' | 'port'> | undefined): Path {
  const fault = failure(row)
  return {
    id: row.id,
    state: row.state,
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
    ...(fault === undefined ? {} : {error: problem(fault)}),
  }
}

const gateOf = ({context}: Deps, row: PathRow) =>
  context.db.selectFrom('gates').selectAll().where('id', '=', row.gate_id).executeTakeFirst()

/** Makes the wish true, waiting at most `wait` seconds, and answers with what the client needs to use it. */
async function grant(
  deps: Deps,
  caller: Caller,
  request: PathRequest,
  wait: number,
): Promise<Path | PathGrant> {
  const {context, reconciler} = deps
  const wished = await wish(context, caller, request, deps.limits).catch(async error => {
    if (error instanceof OsSshError) await deny(deps, caller, request.server_id, error)
    throw error
  })
  reconciler.pursue(wished)
  const [keys, row, gate] = await Promise.all([
    hostKeys(context, caller.cloud, wished.server_id),
    reconciler.wait(wished.id, context.clock() + wait * 1000),
    gateOf(deps, wished),
  ])
  if (row === undefined || row.state === 'ended')
    throw new OsSshError('BUSY', 'the path was revoked while it was being made')
  const fault = failure(row)
  if (fault !== undefined) throw fault
  if (row.state === 'pending') return view(row, gate)
  const certificate = context.ca.signPath({
    publicKey: row.public_key,
    serial: row.serial,
    pathId: row.id,
    userName: row.user_name,
    until: row.expires_at,
  })
  return {...view(row, gate), certificate, host_ca: context.ca.hostCa, host_keys: keys}
}

async function deny(
  {context}: Deps,
  {token, source}: Caller,
  serverId: string,
  fault: OsSshError,
): Promise<void> {
  const user = {id: token.user.id, name: token.user.name, project_id: token.project?.id ?? ''}
  await audit(context.db, {
    action: 'deny',
    at: context.clock(),
    user,
    server_id: serverId,
    source,
    detail: fault.code,
  })
}

/** The caller's own path; an admin's may be anybody's. What is not theirs looks as if it were not there. */
async function ownPath({context}: Deps, {token}: Caller, id: string): Promise<PathRow> {
  const row = await pathById(context.db, id)
  if (row === undefined || (row.user_id !== token.user.id && !token.roles.includes('admin')))
    throw new OsSshError('NOT_FOUND', `there is no path ${id}`, {hint: 'see os-ssh paths list'})
  return row
}

/** /v1/paths */
export function pathRoutes(api: Api, deps: Deps): void {
  const {context, reconciler, authenticate} = deps

  api.post('/v1/paths', {schema: {body: PathBody, querystring: WaitQuery}}, async (request, reply) => {
    const caller = await authenticate(request)
    const answer = await grant(deps, caller, request.body, request.query.wait ?? DEFAULT_WAIT_S)
    return reply.code(answer.state === 'pending' ? 202 : 201).send(answer)
  })

  api.get('/v1/paths', {schema: {querystring: PathQuery}}, async request => {
    const {token} = await authenticate(request)
    const {server_id, all} = request.query
    if (all === true && !token.roles.includes('admin'))
      throw new OsSshError('DENIED', 'only an admin sees the paths of others')
    let query = context.db.selectFrom('paths').selectAll().where('state', 'in', ['pending', 'active'])
    if (all !== true) query = query.where('user_id', '=', token.user.id)
    if (server_id !== undefined) query = query.where('server_id', '=', server_id)
    const [rows, gates] = await Promise.all([
      query.orderBy('serial').execute(),
      context.db.selectFrom('gates').selectAll().execute(),
    ])
    return {
      paths: rows.map(row =>
        view(
          row,
          gates.find(gate => gate.id === row.gate_id),
        ),
      ),
    }
  })

  api.get('/v1/paths/:id', {schema: {params: IdParams}}, async request => {
    const row = await ownPath(deps, await authenticate(request), request.params.id)
    return view(row, await gateOf(deps, row))
  })

  api.patch('/v1/paths/:id', {schema: {params: IdParams, body: PathPatch}}, async request => {
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
    return grant(deps, caller, again, DEFAULT_WAIT_S)
  })

  api.delete('/v1/paths/:id', {schema: {params: IdParams}}, async (request, reply) => {
    const caller = await authenticate(request)
    const row = await ownPath(deps, caller, request.params.id)
    const now = context.clock()
    for (const ended of await endPaths(context.db, {ids: [row.id]}, now)) {
      await audit(context.db, {
        action: 'revoke',
        path: ended,
        at: now,
        source: caller.source,
        detail: caller.token.user.name,
      })
      context.settled(ended.id)
    }
    // Answer when the gate has really cut it: that is what the caller wants to know.
    await reconciler.wake(row.gate_id)
    const gate = await gateOf(deps, row)
    const after = await pathById(context.db, row.id)
    if (after?.killed_at === null && gate?.state === 'down')
      throw new OsSshError(
        'GATE_DOWN',
        'the path is revoked, but its gate does not answer: it is cut when its time is over or the gate is back',
      )
    return reply.code(204).send()
  })
}
