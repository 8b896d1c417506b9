import {randomUUID} from 'node:crypto'

import {OsSshError} from '../../errors.ts'
import {hostKeysFromConsole} from '../../ssh/console.ts'
import {actor, type Caller} from '../caller.ts'
import {areCut} from '../cut.ts'
import {revoke} from '../endings.ts'
import {userFault} from '../faults.ts'
import {retireAll} from '../store/attachment-steps.ts'
import {attachmentViews} from '../store/attachments.ts'
import {auditPage} from '../store/audit.ts'
import {gatesFor, gateViews} from '../store/gate-views.ts'
import {addGate, gate as gateById, type NewGate, removeGate as removeRow} from '../store/gates.ts'
import {forgetMachine, machine as machineById} from '../store/machines.ts'
import {gateRemoved} from '../store/path-steps.ts'
import {pathsOfGate} from '../store/paths.ts'
import * as answers from './answers.ts'
import {isOperator, operator} from './auth.ts'
import type {Api, Deps} from './deps.ts'
import {AuditQuery, type GateBody, GateBody as GateBodySchema, IdParams} from './schemas.ts'

/** Looks the gate's server up and pins its host key. */
async function gateRow({context}: Deps, body: GateBody): Promise<NewGate> {
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
    keep_nics: body.keep_nics ?? [],
    zone: server['OS-EXT-AZ:availability_zone'] || null,
    created_at: context.clock(),
  }
}

async function consoleKey(cloud: Deps['context']['cloud'], serverId: string): Promise<string | undefined> {
  const log = await cloud.compute.consoleLog(serverId).catch(error => {
    throw userFault(error, 'the console log of the gate cannot be read')
  })
  return hostKeysFromConsole(log).find(key => key.startsWith('ssh-ed25519 '))
}

/** Ends a gate's paths and lets its networks go; the row goes when nothing is plugged in any more. One that we have made is deleted, one that failed forgotten. @returns whether it is gone */
async function removeGate({context, gates, fleet}: Deps, caller: Caller, id: string): Promise<boolean> {
  const {db, clock} = context
  const machine = await machineById(db, id)
  if (machine?.state === 'failed') return forgetMachine(db, machine, actor(caller), clock())
  if (machine !== undefined) {
    await fleet.delete(machine, actor(caller))
    return false
  }
  const gate = await gateById(db, id)
  if (gate === undefined)
    throw new OsSshError('NOT_FOUND', `there is no gate ${id}`, {hint: 'see os-ssh gate list'})
  const paths = await pathsOfGate(db, id)
  await areCut(
    context,
    gates,
    await revoke(context, {ids: paths.map(path => path.id)}, gateRemoved(actor(caller))),
  )
  await retireAll(db, id)
  if (!(await removeRow(db, gate, actor(caller), clock()))) {
    await gates.wake(id)
    return false
  }
  await gates.leave(gate)
  return true
}

/** /v1/gates, /v1/attachments, /v1/audit: what operators see and do. */
export function gateRoutes(api: Api, deps: Deps): void {
  const {context, gates, authenticate} = deps
  const {db} = context

  const listed = {response: {200: answers.Gates, ...answers.problems}}
  api.get('/v1/gates', {schema: listed}, async request => {
    const caller = await authenticate(request)
    const all = await isOperator(caller, context.cloud)
    return {gates: await (all ? gateViews(db) : gatesFor(db, caller.token.project?.id))}
  })

  const added = {body: GateBodySchema, response: {201: answers.Gate, ...answers.problems}}
  api.post('/v1/gates', {schema: added}, async (request, reply) => {
    const caller = await operator(deps, request)
    const row = await gateRow(deps, request.body)
    await addGate(db, row, actor(caller))
    await gates.wake(row.id)
    const view = (await gateViews(db)).find(gate => gate.id === row.id)
    if (view === undefined) throw new OsSshError('BUSY', 'the gate was removed while it was being added')
    return reply.code(201).send(view)
  })

  const removed = {
    params: IdParams,
    response: {202: answers.Nothing, 204: answers.Nothing, ...answers.problems},
  }
  api.delete('/v1/gates/:id', {schema: removed}, async (request, reply) => {
    const caller = await operator(deps, request)
    return reply.code((await removeGate(deps, caller, request.params.id)) ? 204 : 202).send()
  })

  const plugged = {response: {200: answers.Attachments, ...answers.problems}}
  api.get('/v1/attachments', {schema: plugged}, async request => {
    await operator(deps, request)
    return {attachments: await attachmentViews(db)}
  })

  const told = {querystring: AuditQuery, response: {200: answers.Audit, ...answers.problems}}
  api.get('/v1/audit', {schema: told}, async request => {
    await operator(deps, request)
    const {limit = 100, before, denials = false} = request.query
    const rows = await auditPage(db, {limit, before, denials})
    const last = rows.at(-1)
    return {
      audit: rows.map(row => ({
        ...row,
        at: new Date(row.at).toISOString(),
        until: row.until === null ? null : new Date(row.until).toISOString(),
      })),
      ...(last !== undefined && rows.length === limit ? {next: last.id} : {}),
    }
  })
}
