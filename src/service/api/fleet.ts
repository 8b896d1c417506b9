import {OsSshError} from '../../errors.ts'
import {plain} from '../../names/plain.ts'
import {isRange} from '../../names/ranges.ts'
import {OpenStackError} from '../../openstack/index.ts'
import {actor} from '../caller.ts'
import {cloudFault} from '../faults.ts'
import {gateViews} from '../store/gate-views.ts'
import {drainGate, gate as gateById} from '../store/gates.ts'
import {machine as machineById} from '../store/machines.ts'
import type {MachineRow} from '../store/schema.ts'
import * as answers from './answers.ts'
import {operator} from './auth.ts'
import type {Api, Deps} from './deps.ts'
import {AccessBody, DeployBody, DrainBody, IdParams} from './schemas.ts'

/** /v1/gates/deploy, /v1/gates/ID/drain, /v1/gates/access: gates that the service makes, and what becomes of any. */
export function fleetRoutes(api: Api, deps: Deps): void {
  const {context, fleet} = deps
  const {db, clock} = context

  const deployed = {
    body: DeployBody,
    response: {200: answers.Deployed, 202: answers.Deployed, ...answers.problems},
  }
  api.post('/v1/gates/deploy', {schema: deployed}, async (request, reply) => {
    const caller = await operator(deps, request)
    const {scope, project_id, dry_run = false, ...wish} = request.body
    const wanted = {wish, scope, project: project_id}
    const refused = told('what the gates would be made of cannot be looked up')
    if (dry_run) return reply.code(200).send({plan: await fleet.preview(wish).catch(refused), gates: []})
    const {ids, plan} = await fleet.deploy(wanted, actor(caller)).catch(refused)
    const gates = (await gateViews(db)).filter(gate => ids.includes(gate.id))
    return reply.code(202).send({plan, gates})
  })

  const drained = {params: IdParams, body: DrainBody, response: {200: answers.Gate, ...answers.problems}}
  api.post('/v1/gates/:id/drain', {schema: drained}, async request => {
    const caller = await operator(deps, request)
    const {id} = request.params
    const [gate, machine] = await Promise.all([gateById(db, id), machineById(db, id)])
    if (machine !== undefined) mayDrain(machine)
    if (gate !== undefined) await drainGate(db, gate, request.body.drain, actor(caller), clock())
    const view = (await gateViews(db)).find(one => one.id === gate?.id)
    if (view === undefined)
      throw new OsSshError('NOT_FOUND', `there is no gate ${id}`, {
        hint: 'see os-ssh gate list',
      })
    return view
  })

  // They are written down first, and put into the group by the next ticks; who asks again has it at once.
  const unchanged = told('the security group of the gates could not be changed')
  const access = {response: {200: answers.GateAccess, ...answers.problems}}
  api.get('/v1/gates/access', {schema: access}, async request => {
    await operator(deps, request)
    return {allow: await fleet.admission.allowed()}
  })

  api.put('/v1/gates/access', {schema: {body: AccessBody, ...access}}, async request => {
    const caller = await operator(deps, request)
    const {allow} = request.body
    if (allow.length === 1 && allow[0] === 'auto')
      return {allow: await fleet.admission.allowSeen(actor(caller)).catch(unchanged)}
    const wrong = allow.find(prefix => !isRange(prefix))
    if (wrong !== undefined)
      throw new OsSshError('USAGE', `${plain(wrong)} is not an address range such as 192.0.2.0/24`)
    await fleet.admission.allow(allow, actor(caller)).catch(unchanged)
    return {allow}
  })

  api.delete('/v1/gates/access', {schema: access}, async request => {
    const caller = await operator(deps, request)
    await fleet.admission.allow(undefined, actor(caller)).catch(unchanged)
    return {allow: await fleet.admission.allowed()}
  })
}

/** Faults of the cloud as they are told to whoever asked; others stay as they are. */
const told = (what: string) => (error: unknown) => {
  throw error instanceof OpenStackError ? cloudFault(error, what) : error
}

/** Only what is a gate takes paths, or takes none. @throws OsSshError BUSY, USAGE with its state */
function mayDrain({id, name, state}: Pick<MachineRow, 'id' | 'name' | 'state'>): void {
  if (state === 'deleting')
    throw new OsSshError('BUSY', `${name} is being deleted: it takes no paths any more`, {
      hint: 'see os-ssh gate list',
    })
  if (state === 'failed')
    throw new OsSshError('USAGE', `${name} could not be made: it takes no paths`, {
      hint: `os-ssh gate show ${id} says why, os-ssh gate delete ${id} forgets it`,
    })
  if (state !== 'running')
    throw new OsSshError('BUSY', `${name} is ${state}: it takes no paths yet`, {
      hint: `os-ssh gate list says when it is ready; if it is not meant to be: os-ssh gate delete ${id}`,
    })
}
