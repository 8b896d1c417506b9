import {OsSshError} from '../../errors.ts'
import {actor} from '../caller.ts'
import {isRange} from '../deploy/ranges.ts'
import {gateViews} from '../store/gate-views.ts'
import {drainGate, gate as gateById} from '../store/gates.ts'
import {allowed} from '../store/machines.ts'
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
    if (dry_run) return reply.code(200).send({plan: await fleet.plan(wish), gates: []})
    const {ids, plan} = await fleet.deploy(wanted, actor(caller))
    const gates = (await gateViews(db)).filter(gate => ids.includes(gate.id))
    return reply.code(202).send({plan, gates})
  })

  const drained = {params: IdParams, body: DrainBody, response: {200: answers.Gate, ...answers.problems}}
  api.post('/v1/gates/:id/drain', {schema: drained}, async request => {
    const caller = await operator(deps, request)
    const gate = await gateById(db, request.params.id)
    if (gate !== undefined) await drainGate(db, gate, request.body.drain, actor(caller), clock())
    const view = (await gateViews(db)).find(one => one.id === gate?.id)
    if (view === undefined)
      throw new OsSshError('NOT_FOUND', `there is no gate ${request.params.id}`, {
        hint: 'see os-ssh gate list',
      })
    return view
  })

  const access = {response: {200: answers.GateAccess, ...answers.problems}}
  api.get('/v1/gates/access', {schema: access}, async request => {
    await operator(deps, request)
    return {allow: (await allowed(db)) ?? fleet.usualAccess}
  })

  api.put('/v1/gates/access', {schema: {body: AccessBody, ...access}}, async request => {
    const caller = await operator(deps, request)
    const {allow} = request.body
    const wrong = allow.find(prefix => !isRange(prefix))
    if (wrong !== undefined)
      throw new OsSshError('USAGE', `${wrong} is not an address range such as 192.0.2.0/24`)
    await fleet.allow(allow, actor(caller))
    return {allow}
  })
}
