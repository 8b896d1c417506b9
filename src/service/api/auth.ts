import {createHash} from 'node:crypto'

import type {FastifyRequest} from 'fastify'

import {OsSshError} from '../../errors.ts'
import type {OpenStack, Token} from '../../openstack/index.ts'
import {actor, type Caller} from '../caller.ts'
import {userFault} from '../faults.ts'
import {auditDenial} from '../store/audit.ts'
import type {Authenticate, Deps} from './deps.ts'

/** A validated token is believed this long, ms: what a revocation in Keystone may take to reach us. */
const BELIEVE_MS = 30_000
const MAX_CACHED = 10_000

/**
 * Makes callers out of requests: their token, validated with itself, and the cloud as they see it.
 *
 * @param adminProjects ids of the projects whose admins count as such here
 * @param onCaller is told of each token that was found to be valid
 */
export function authenticator(
  cloud: OpenStack,
  clock: () => number,
  adminProjects: readonly string[],
  onCaller: (token: Token) => void = () => undefined,
): Authenticate {
  const isAdmin = ({roles, project, system}: Token) =>
    roles.includes('admin') && (system === true || adminProjects.includes(project?.id ?? ''))
  const cache = new Map<string, {token: Token; until: number}>()
  return async request => {
    const secret = request.headers['x-auth-token']
    if (typeof secret !== 'string' || !/^[\x21-\x7e]{16,8192}$/.test(secret))
      throw new OsSshError('NOT_LOGGED_IN', 'this needs a Keystone token in X-Auth-Token')
    const key = createHash('sha256').update(secret).digest('base64')
    const now = clock()
    let entry = cache.get(key)
    if (entry === undefined || entry.until <= now) {
      const token = await cloud.identity.validate(secret).catch(error => {
        throw userFault(error, 'the token is not known')
      })
      onCaller(token)
      entry = {token, until: Math.min(now + BELIEVE_MS, token.expires_at.getTime())}
      cache.delete(key)
      cache.set(key, entry)
      const oldest = cache.keys().next()
      if (cache.size > MAX_CACHED && !oldest.done) cache.delete(oldest.value)
    }
    const {token} = entry
    return {token, cloud: cloud.as(token), source: request.ip, admin: isAdmin(token)}
  }
}

/**
 * Admins of the system or of a named project (whoever is admin of a domain makes projects, and is admin there, too); members of
 * the project that runs the service, since it is theirs.
 */
export async function isOperator({token, admin}: Caller, service: OpenStack): Promise<boolean> {
  if (admin) return true
  const own = await service.identity.token()
  return token.roles.includes('member') && token.project !== undefined && token.project.id === own.project?.id
}

/** The caller, when they are an operator; who is not is written down. @throws OsSshError DENIED, NOT_LOGGED_IN */
export async function operator({context, authenticate}: Deps, request: FastifyRequest): Promise<Caller> {
  const caller = await authenticate(request)
  if (await isOperator(caller, context.cloud)) return caller
  await auditDenial(context, actor(caller), {detail: `DENIED ${request.method} ${request.routeOptions.url}`})
  throw new OsSshError('DENIED', 'this is for operators of the SSH service', {
    hint: 'it needs the admin role where the service counts it, or membership in the project of the service',
  })
}
