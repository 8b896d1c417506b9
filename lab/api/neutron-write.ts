import type {FastifyRequest} from 'fastify'

import {neutronFault, neutronForbidden, neutronNotFound} from '../fault.ts'
import type {Cloud} from '../state.ts'
import {type Caller, callerOf} from './caller.ts'
import {type Resource, resources, show} from './neutron-resources.ts'

type Params = Record<string, string>
type Body = Record<string, Record<string, unknown>>
/** Where Neutron's API lies. */
export const base = '/network/v2.0'

/** The body's one object. @throws ApiFault 400 */
export function bodyOf(request: FastifyRequest, singular: string): Record<string, unknown> {
  const given = (request.body as Body | undefined)?.[singular]
  if (typeof given !== 'object' || given === null) {
    throw neutronFault(400, 'HTTPBadRequest', `Unable to find '${singular}' in request body`)
  }
  return given
}

/** Who may create this, and for which project. @throws ApiFault 401, 403 */
export function creator(
  cloud: Cloud,
  request: FastifyRequest,
  singular: string,
  given: Record<string, unknown>,
) {
  const who = callerOf(cloud, request)
  const projectId = String(given['project_id'] ?? given['tenant_id'] ?? who.projectId)
  if (!who.admin && !who.advsvc && projectId !== who.projectId) {
    const message = `Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin or advsvc privileges`
    throw neutronFault(400, 'HTTPBadRequest', message)
  }
  if (!who.admin && (!who.member || projectId !== who.projectId))
    throw neutronForbidden(`rule:create_${singular}`)
  return {who, projectId}
}

/**
 * An existing record that the caller may change.
 *
 * @param seen whether the caller sees it all the same: Neutron then says 404 in other words
 * @throws ApiFault 401, 404, 403 for readers
 */
export function writable<T extends {project_id: string}>(
  cloud: Cloud,
  request: FastifyRequest,
  map: Map<string, T>,
  kind: string,
  rule: string,
  seen: (who: Caller, record: T) => boolean = () => false,
): {who: Caller; record: T} {
  const who = callerOf(cloud, request)
  const id = (request.params as Params)['id'] ?? ''
  const record = map.get(id)
  if (!record) throw neutronNotFound(kind, id)
  if (!who.admin && record.project_id !== who.projectId) {
    if (seen(who, record)) throw neutronFault(404, 'HTTPNotFound', 'The resource could not be found.')
    throw neutronNotFound(kind, id)
  }
  if (!who.admin && !who.member) throw neutronForbidden(`rule:${rule}`)
  return {who, record}
}

/** Those of the keys that were given. */
export function pick(given: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.filter(key => given[key] !== undefined).map(key => [key, given[key]]))
}

/** The resource's view of a fresh or changed record. */
export function answer(who: Caller, plural: string, record: object): Record<string, unknown> {
  const resource = resources.find(one => one.plural === plural) as Resource
  return {[resource.singular]: show(resource, who, record as Record<string, unknown>)}
}

/**
 * @param all whether groups of other projects will do where the caller sees them: on an update, Neutron does not ask whose
 *   they are (neutron/db/securitygroups_db.py, _get_security_groups_on_port)
 * @throws ApiFault 404 for a group that the caller does not see
 */
export function checkGroups(cloud: Cloud, who: Caller, groups: unknown, all = who.admin): void {
  if (groups === undefined || groups === null) return
  for (const id of groups as string[]) {
    const group = cloud.security_groups.get(id)
    if (!group || (!all && group.project_id !== who.projectId)) throw neutronNotFound('SecurityGroup', id)
  }
}
