import {randomUUID} from 'node:crypto'

import {OsSshError} from '../../errors.ts'
import {hostKeysFromConsole} from '../../ssh/console.ts'
import {actor, audit} from '../audit.ts'
import type {Caller} from '../caller.ts'
import {userFault} from '../faults.ts'
import {revoke} from '../revoke.ts'
import {gateViews} from '../store/gates.ts'
import {pathsOfGate} from '../store/paths.ts'
import type {GateRow} from '../store/schema.ts'
import {isOperator, operator} from './auth.ts'
import type {Api, Deps} from './deps.ts'
import {AuditQuery, type GateBody, GateBody as GateBodySchema, IdParams} from './schemas.ts'

/** Looks the gate's server up and pins its host key. */
async function gateRow({context}: Deps, body: GateBody): Promise<GateRow> {
  const {cloud} = context
  const server = await cloud.compute.server(body.server_id).catch(error => {
    throw userFault(error, `the account of the SSH service sees no server ${body.server_id}`)
  })
  const key = body.host_key ?? (await consoleKey(context.cloud, body.server_id))
  if (key === undefined)
    throw new OsSshError('HOST_KEY', 'the console log of the gate shows no Ed25519 host key', {
      hint: 'give it with --host-key',
    })
  return {
    id: randomUUID(),
    name: body.name,
    server_id: server.id,
    project_id: server.tenant_id,
    scope: body.scope,
    host: body.host,
    port: body.port ?? 22,
    login: body.login ?? 'root',
    host_key: key,
    keep_nics: JSON.stringify(body.keep_nics ?? []),
    state: 'new',
    reason: null,
    created_at: context.clock(),
  }
}

async function consoleKey(cloud: Deps['context']['cloud'], serverId: string): Promise<string | undefined> {
  const log = await cloud.compute.consoleLog(serverId).catch(error => {
    throw userFault(error, 'the console log of the gate cannot be read')
  })
  return hostKeysFromConsole(log).find(key => key.startsWith('ssh-ed25519 '))
}

/** Ends a gate's paths and lets its networks go; the row goes when nothing is plugged in any more. */
async function removeGate({context, reconciler}: Deps, caller: Caller, id: string): Promise<boolean> {
  const {db, clock} = context
  const gate = await db.selectFrom('gates').selectAll().where('id', '=', id).executeTakeFirst()
  if (gate === undefined)
    throw new OsSshError('NOT_FOUND', `there is no gate ${id}`, {hint: 'see os-ssh gate list'})
  const paths = await pathsOfGate(db, id)
  await revoke(context, {ids: paths.map(path => path.id)}, {detail: 'gate removed'})
  await reconciler.wake(id)
  await db.updateTable('attachments').set({state: 'removing'}).where('gate_id', '=', id).execute()
  const left = await db.selectFrom('attachments').select('id').where('gate_id', '=', id).execute()
  if (left.length > 0) {
    await reconciler.wake(id)
    return false
  }
  await db.deleteFrom('gates').where('id', '=', id).execute()
  reconciler.dropGate(id)
  const user = actor(caller)
  await audit(db, {action: 'gate-remove', at: clock(), user, source: caller.source, detail: gate.name})
  return true
}

/** /v1/gates, /v1/attachments, /v1/audit: what operators see and do. */
export function gateRoutes(api: Api, deps: Deps): void {
  const {context, reconciler, authenticate} = deps
  const {db} = context

  api.get('/v1/gates', async request => {
    const caller = await authenticate(request)
    const all = await isOperator(caller, context.cloud)
    return {gates: await gateViews(db, all ? undefined : (caller.token.project?.id ?? ''))}
  })

  api.post('/v1/gates', {schema: {body: GateBodySchema}}, async (request, reply) => {
    const caller = await operator(deps, request)
    const row = await gateRow(deps, request.body)
    await db
      .insertInto('gates')
      .values(row)
      .execute()
      .catch(error => {
        throw /unique/i.test(String(error))
          ? new OsSshError('USAGE', 'a gate of this name or server is registered already')
          : error
      })
    const user = actor(caller)
    await audit(db, {
      action: 'gate-add',
      at: context.clock(),
      user,
      source: caller.source,
      server_id: row.server_id,
      detail: row.name,
    })
    await reconciler.wake(row.id)
    return reply.code(201).send((await gateViews(db)).find(gate => gate.id === row.id))
  })

  api.delete('/v1/gates/:id', {schema: {params: IdParams}}, async (request, reply) => {
    const caller = await operator(deps, request)
    return reply.code((await removeGate(deps, caller, request.params.id)) ? 204 : 202).send()
  })

  api.get('/v1/attachments', async request => {
    await operator(deps, request)
    const rows = await db.selectFrom('attachments').selectAll().orderBy('created_at').execute()
    return {
      attachments: rows.map(({reach, addresses, groups, own_groups: _, ...row}) => ({
        ...row,
        reach: JSON.parse(reach) as unknown,
        addresses: JSON.parse(addresses) as unknown,
        groups: JSON.parse(groups) as unknown,
      })),
    }
  })

  api.get('/v1/audit', {schema: {querystring: AuditQuery}}, async request => {
    await operator(deps, request)
    const {limit = 100, before, denials = false} = request.query
    let query = db.selectFrom('audit').selectAll().orderBy('id', 'desc').limit(limit)
    query = query.where('action', denials ? '=' : '!=', 'deny')
    if (before !== undefined) query = query.where('id', '<', before)
    const rows = await query.execute()
    return {
      audit: rows.map(row => ({
        ...row,
        at: new Date(row.at).toISOString(),
        until: row.until && new Date(row.until).toISOString(),
      })),
      ...(rows.length === limit ? {next: rows.at(-1)?.id} : {}),
    }
  })
}
