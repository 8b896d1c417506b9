import type {FastifyInstance, FastifyRequest} from 'fastify'

import {novaFault, novaForbidden} from '../fault.ts'
import {bootServer, note, rebootServer, rebuildServer, stopServer} from '../ops/servers.ts'
import type {ServerRecord} from '../state.ts'
import type {Caller} from './caller.ts'
import {faultOf} from './faults.ts'
import {checkFit, checkMetadata, checkUserData, imageFor} from './nova-boot.ts'
import {type NovaContext, novaBase} from './nova-context.ts'
import {microversion, serverView, vmState} from './nova-view.ts'

type Params = Record<string, string>
type Input = Record<string, unknown>

const rules: Readonly<Record<string, string>> = {
  'os-getConsoleOutput': 'os-console-output',
  'os-start': 'servers:start',
  'os-stop': 'servers:stop',
  reboot: 'servers:reboot',
  rebuild: 'servers:rebuild',
  'os-resetState': 'os-admin-actions:reset_state',
}

/** vm_states in which Nova does it, and task_states beside none (nova/compute/api.py, check_instance_state). */
const allowed: Readonly<Record<string, {vm: readonly string[]; task?: readonly string[]}>> = {
  start: {vm: ['stopped']},
  stop: {vm: ['active', 'error']},
  'reboot SOFT': {vm: ['active']},
  'reboot HARD': {
    vm: ['active', 'stopped', 'error'],
    task: ['rebooting', 'rebooting_hard'],
  },
  rebuild: {vm: ['active', 'stopped', 'error']},
}

/** @throws ApiFault 409 */
function checkState(server: ServerRecord, action: string, kind = action): void {
  const cannot = (what: string) =>
    novaFault(409, `Cannot '${action}' instance ${server.id} while it is in ${what}`)
  const state = vmState(server)
  const {vm, task = []} = allowed[kind] ?? {vm: []}
  if (!vm.includes(state)) throw cannot(`vm_state ${state}`)
  if (server.task_state !== null && !task.includes(server.task_state))
    throw cannot(`task_state ${server.task_state}`)
  if (server.launched_at === null && server.host === '')
    throw novaFault(409, `Instance ${server.id} is in an invalid state for '${action}'`)
}

function later(what: string, server: ServerRecord, work: Promise<void>): void {
  void work.catch(error => process.stderr.write(`${what} ${server.id}: ${error.message}\n`))
}

function rebuild(
  nova: NovaContext,
  request: FastifyRequest,
  who: Caller,
  server: ServerRecord,
  input: Input,
) {
  const {cloud, fabric} = nova
  const minor = microversion(request)
  if (input['imageRef'] === undefined)
    throw novaFault(
      400,
      `Invalid input for field/attribute rebuild. Value: ${JSON.stringify(input)}. 'imageRef' is a required property`,
    )
  checkUserData(input['user_data'] as string | undefined)
  checkMetadata(input['metadata'] as Record<string, string> | undefined)
  checkState(server, 'rebuild')
  const image = imageFor(cloud, who, String(input['imageRef']), 'Cannot find image for rebuild')
  const keeps = server.root_volume !== null && minor < 93
  if (keeps && image.id !== server.image_id)
    throw novaFault(
      400,
      `Image ${image.id} is unacceptable: Unable to rebuild with a different image for a volume-backed server.`,
    )
  const flavor = cloud.flavors.get(server.flavor_id)
  if (flavor) checkFit(flavor, {image, volume: server.root_volume})
  if (minor >= 54 && input['key_name'] !== undefined) {
    const key = cloud.keypairs.get(`${who.user.id}/${input['key_name']}`)
    if (input['key_name'] !== null && !key) throw novaFault(400, 'Invalid key_name provided.')
    Object.assign(server, {key_name: key?.name ?? null, key_data: key?.public_key ?? null})
  }
  if (minor >= 57 && input['user_data'] !== undefined) server.user_data = input['user_data'] as string | null
  if (input['metadata'] !== undefined) server.metadata = input['metadata'] as Record<string, string>
  if (typeof input['name'] === 'string') server.name = input['name']
  server.image_id = image.id
  note(server, 'rebuild', who.user.id)
  const off = server.status === 'SHUTOFF'
  Object.assign(server, {status: 'REBUILD', task_state: 'rebuilding'})
  // before 2.93 the disk of a volume-backed server stays what it is
  const work = keeps ? rebootServer(cloud, fabric, server) : rebuildServer(cloud, fabric, server, off)
  later('rebuild', server, work)
  const view = {...serverView(cloud, server, who, minor), adminPass: 'notInUseHere'}
  return {server: minor >= 57 ? {...view, user_data: server.user_data} : view}
}

function reboot({cloud, fabric}: NovaContext, who: Caller, server: ServerRecord, input: Input): void {
  const type = String(input['type'] ?? '').toUpperCase()
  if (type !== 'SOFT' && type !== 'HARD')
    throw novaFault(
      400,
      `Invalid input for field/attribute type. Value: ${input['type']}. '${input['type']}' is not one of ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft']`,
    )
  checkState(server, 'reboot', `reboot ${type}`)
  note(server, 'reboot', who.user.id)
  const [status, task_state] = type === 'SOFT' ? ['REBOOT', 'rebooting'] : ['HARD_REBOOT', 'rebooting_hard']
  Object.assign(server, {status, task_state})
  later('reboot', server, rebootServer(cloud, fabric, server))
}

async function act(
  nova: NovaContext,
  request: FastifyRequest,
  id: string | undefined,
  action: string,
  input: Input,
) {
  const {cloud, fabric} = nova
  const rule = rules[action]
  if (rule === undefined) throw novaFault(400, `There is no such action: ${action}`)
  const who = nova.caller(request, rule)
  const server = nova.server(who, id)
  if (!who.admin && (!who.member || action === 'os-resetState')) throw novaForbidden(rule)
  if (action === 'os-getConsoleOutput') {
    const log = faultOf(request)?.effect === 'no-console' ? '' : await fabric.console(server)
    return {output: tail(log, input['length'])}
  }
  if (action === 'os-resetState') return resetState(server, input)
  if (action === 'rebuild') return rebuild(nova, request, who, server, input)
  if (action === 'reboot') {
    reboot(nova, who, server, input)
    return undefined
  }
  const verb = action === 'os-start' ? 'start' : 'stop'
  checkState(server, verb)
  note(server, verb, who.user.id)
  server.task_state = verb === 'start' ? 'powering-on' : 'powering-off'
  later(
    verb,
    server,
    verb === 'start' ? bootServer(cloud, fabric, server) : stopServer(cloud, fabric, server),
  )
  return undefined
}

/** Nova's word for the server changes, and nothing else. */
function resetState(server: ServerRecord, {state}: Input): undefined {
  if (state !== 'active' && state !== 'error')
    throw novaFault(
      400,
      `Invalid input for field/attribute state. Value: ${state}. '${state}' is not one of ['active', 'error']`,
    )
  Object.assign(server, {status: state.toUpperCase(), task_state: null})
}

function tail(log: string, length: unknown): string {
  const count = Number(length ?? -1)
  if (!Number.isInteger(count))
    throw novaFault(400, `Invalid input for field/attribute length. Value: ${length}.`)
  if (count < 0) return log
  const lines = log.split('\n')
  return count === 0 ? '' : lines.slice(-count - 1).join('\n')
}

/** What may be done to a server that is there. */
export function novaActions(app: FastifyInstance, nova: NovaContext): void {
  app.post<{Params: Params; Body: Record<string, Input | null>}>(
    `${novaBase}/servers/:id/action`,
    async (request, reply) => {
      const action = Object.keys(request.body ?? {})[0] ?? ''
      const result = await act(nova, request, request.params['id'], action, request.body?.[action] ?? {})
      if (result === undefined) return reply.code(202).type('application/json').send()
      return action === 'rebuild' ? reply.code(202).send(result) : result
    },
  )
  metadata(app, nova)
}

function metadata(app: FastifyInstance, nova: NovaContext): void {
  const path = `${novaBase}/servers/:id/metadata`
  type Body = {metadata?: Record<string, string>; meta?: Record<string, string>} | undefined
  const find = (request: FastifyRequest, who: Caller) => nova.server(who, (request.params as Params)['id'])
  const set = (request: FastifyRequest, wanted: Record<string, string>, keep: boolean) => {
    const server = find(request, nova.writer(request, 'server-metadata:update'))
    const all = {...(keep ? server.metadata : {}), ...wanted}
    checkMetadata(all)
    server.metadata = all
    return server.metadata
  }
  app.get(path, request => ({
    metadata: find(request, nova.caller(request, 'server-metadata:index')).metadata,
  }))
  app.post(path, request => ({metadata: set(request, (request.body as Body)?.metadata ?? {}, true)}))
  app.put(path, request => ({metadata: set(request, (request.body as Body)?.metadata ?? {}, false)}))
  app.put<{Params: Params}>(`${path}/:key`, request => {
    const {key = ''} = request.params
    const meta = (request.body as Body)?.meta ?? {}
    if (Object.keys(meta).length !== 1 || !(key in meta))
      throw novaFault(400, 'Request body and URI mismatch')
    return {meta: {[key]: set(request, meta, true)[key]}}
  })
  app.get<{Params: Params}>(`${path}/:key`, request => {
    const {key = ''} = request.params
    const server = find(request, nova.caller(request, 'server-metadata:show'))
    if (!(key in server.metadata)) throw novaFault(404, 'Metadata item was not found')
    return {meta: {[key]: server.metadata[key]}}
  })
  app.delete<{Params: Params}>(`${path}/:key`, (request, reply) => {
    const {key = ''} = request.params
    const server = find(request, nova.writer(request, 'server-metadata:delete'))
    if (!(key in server.metadata)) throw novaFault(404, 'Metadata item was not found')
    const {[key]: _, ...rest} = server.metadata
    server.metadata = rest
    return reply.code(204).send()
  })
}
